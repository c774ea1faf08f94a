"""Who a client is, once an authenticator has found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.core.asgi import Header
from gateway.core.event import Json


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Identity:
    """One client, as long as its credentials hold.

    `subject` names it to people, `claims` are what is known of it; `expires` is in seconds since 1970, None when
    nothing says so. `headers` go upstream in its name: the gateway makes them from the configuration, an
    authenticator leaves them empty.
    """

    subject: str
    claims: Mapping[str, Json] = field(default_factory=dict)
    expires: float | None = None
    headers: tuple[Header, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", MappingProxyType(dict(self.claims)))

    def __repr__(self) -> str:  # claims are personal, and headers may be credentials
        return f"<Identity {self.subject!r}>"
