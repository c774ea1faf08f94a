"""Signature schemes find out whether a webhook's delivery is from who it claims to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.core.asgi import Header
from gateway.core.event import Json
from gateway.core.http import header


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A sender's request as it came, before anything of it is parsed: `body` is the bytes that were signed."""

    method: str
    target: bytes
    headers: tuple[Header, ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header; `name` in lower case."""
        return header(self.headers, name)


class Signature(Protocol):
    """Made once for a route. What it knows are its options and the clock."""

    def verify(self, delivery: Delivery) -> int:
        """Which of the configured secrets this delivery was made with, from 0: so that operators see old ones go.

        Raises ClientError 401 for any other delivery; the code says what is wrong (`unsigned`, `bad_signature`,
        `stale`), the detail nothing of secrets or signatures. Any other exception is a bug: it is logged, and the
        delivery refused. Nothing is logged here.

        Secrets are compared in a time that does not depend on where they differ. Called once for each delivery, also
        from other threads, with bodies of any size that the route allows; keeps no state.
        """


@runtime_checkable
class Handshaking(Protocol):
    """A `Signature` whose sender asks whether deliveries are wanted here; it may do so again at any time."""

    def handshake(self, body: Json) -> Json:
        """What to answer, as JSON, to a verified delivery that is such a question; None to any other."""
