"""What may be asked of a backend: whole answers by sources, streamed exchanges by the proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gateway.core.asgi import Far, Headers
from gateway.core.http import Answer, Asker


class Upstream(Protocol):
    """A named REST backend behind a pool of connections."""

    @property
    def name(self) -> str: ...

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        """One request, its whole answer. It must be one that may be made twice, whatever its method: it is sent
        again, once, where a kept-alive connection turns out to be dead.

        `target` is the encoded path and query. `Host` is added when missing; nothing else is.
        Redirects are not followed. Raises UpstreamError: unavailable, timeout, or protocol (which
        includes a body above `max_body` bytes, noticed while it streams). Safe to cancel at any await:
        the connection is then closed, not reused.
        """


class UpstreamCall(Protocol):
    """One request under way and its answer. `status`, `reason` and `headers` hold once `headed` is true.

    `headers` may not be changed: other answers may have the same.
    """

    status: int
    reason: bytes
    headers: Headers
    headed: bool
    buffered: int
    """Bytes of the body that `read` would give at once."""
    trailers: Headers
    """Complete when the body is."""
    notes: dict[object, Any]
    """For what is made of status and headers and nothing else, by who made it; kept while the upstream repeats them."""

    async def write(self, data: bytes) -> bool:
        """Send a piece of the request's body; waits while the upstream is slow to take it.

        False when the upstream will take no more: stop writing, `head` or `read` tell why.
        """

    def end(self, trailers: Headers) -> None:
        """The request's body is complete."""

    async def head(self) -> None:
        """Wait for the head of the final answer. Raises UpstreamError."""

    @property
    def whole(self) -> bytes | None:
        """The whole body where it is here already; None while there is more to `read`. Look once."""

    async def read(self) -> bytes:
        """The next piece of the body, b"" at its end. Raises UpstreamError when the answer breaks off."""

    def close(self) -> None:
        """Give up, or be done; an unfinished call closes its connection. May be called twice."""


class StreamingUpstream(Upstream, Protocol):
    """An upstream as the proxy needs it.

    Headers are sent as given, but for framing: `Host` is added when missing, `Content-Length` must fit the
    body, and a body of unknown length is chunked. Raises ClientError for what can't be sent as HTTP/1.1.
    """

    @property
    def host(self) -> bytes | None:
        """The `Host` to send; None: the client's own."""

    async def request(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        asker: Asker | None = None,
    ) -> UpstreamCall:
        """One request with its whole body. The caller must close the call.

        Returns with the head of the answer; when that is slow to come, without it (`headed` is false):
        time to watch the client while waiting for `head`. Sent again, once, when the method is
        idempotent and a kept-alive connection turned out to be dead. Safe to cancel, as `fetch`.
        """

    def ready(self, headers: Headers) -> bytes:
        """The header lines of requests without a body, for `ask`; the same however often it is asked."""

    def ask(
        self,
        method: bytes,
        target: bytes,
        ready: bytes,
        asker: Asker,
        then: Callable[[], None],
    ) -> UpstreamCall | None:
        """The request of most: without a body, over a connection that is there; None when none is idle.

        `then` is called once: with the head of the answer and often all of it, with a failure, or when neither
        comes soon. Whoever then finds the answer not whole goes on with `settle`, and must close the call.
        """

    async def settle(self, call: UpstreamCall) -> UpstreamCall:
        """What `request` does after asking, for a call of `ask`; the call to go on with may be another."""

    async def open(self, method: bytes, target: bytes, headers: Headers, asker: Asker | None = None) -> UpstreamCall:
        """Begin a request whose body is then written to the call. The caller must close it."""


class TunnelingUpstream(Protocol):
    """An upstream that may speak WebSocket."""

    @property
    def host(self) -> bytes | None:
        """As in StreamingUpstream."""

    async def upgrade(self, target: bytes, headers: Headers) -> Far | Answer:
        """Ask for a WebSocket by a handshake with these headers, and check that the answer fits.

        An Answer is a refusal. A Far is a connection of its own, outside the pool: the caller must have it spliced,
        or close it. Raises UpstreamError; ClientError for what can't be sent as HTTP/1.1. Safe to cancel.
        """
