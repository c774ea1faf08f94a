"""What a plugin is given when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.plugin.codec import Codec
from gateway.plugin.upstream import Upstream


class Clock(Protocol):
    """Time and chance come from here, so that tests can give both."""

    def time(self) -> float:
        """Seconds since 1970, for people."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""

    def random(self) -> float:
        """At least 0 and below 1."""

    async def sleep(self, seconds: float) -> None: ...


def _none(url: str) -> Upstream:
    raise LookupError("nothing can be asked here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The gateway's side of the seam.

    `upstreams` are the configuration's, by name. `upstream_at` makes one for a URL of the plugin's own configuration
    (scheme, host and port; targets are asked of it with `fetch`): the gateway closes it when it ends. `told` are the
    headers, in lower case, that tell the backend who a client of a source's route is (`Identity.headers`).
    """

    clock: Clock
    codecs: Mapping[str, Codec] = field(default_factory=dict)
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    upstream_at: Callable[[str], Upstream] = field(default=_none)
    told: frozenset[bytes] = frozenset()
