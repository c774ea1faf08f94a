"""What a source may ask of the backend that its route names."""

from __future__ import annotations

from typing import Protocol

from gateway.core.asgi import Headers
from gateway.core.http import Answer


class Upstream(Protocol):
    """A named REST backend behind a pool of connections."""

    @property
    def name(self) -> str: ...

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int) -> Answer:
        """One request without a body, its whole answer.

        `target` is the encoded path and query. `Host` is added when missing; nothing else is.
        Redirects are not followed. Raises UpstreamError: unavailable, timeout, or protocol (which
        includes a body above `max_body` bytes, noticed while it streams). Safe to cancel at any await:
        the connection is then closed, not reused.
        """
