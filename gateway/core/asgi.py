"""The types of ASGI 3.0, which every layer speaks; https://asgi.readthedocs.io/en/latest/specs/main.html."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any, Protocol

from gateway.core.codes import Disconnect
from gateway.core.stats import StreamStats

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Nothing:
    def __await__(self) -> Generator[None, None, None]:
        yield from ()


NOTHING: Awaitable[None] = _Nothing()
"""What an application returns that has nothing left to do."""

Header = tuple[bytes, bytes]
Headers = list[Header]


class Framing(Protocol):
    """Turns one payload into ready bytes for a connection; pure, and shared by all connections framed alike."""

    def __call__(self, payload: bytes, /) -> bytes: ...


class Writer(Protocol):
    """Ready bytes to one client: the ASGI extension `tidegate.wire`.

    Found at `scope["extensions"]["tidegate.wire"]` under `tidegate serve`; on other servers
    `gateway.wire.writer` makes one from ASGI's `send`. Usable after `websocket.accept`, or after
    `http.response.start` of a response without `content-length`. Nothing here waits or raises:
    after the client is gone, `write` does nothing.
    """

    @property
    def buffered(self) -> int:
        """Bytes accepted by `write` that the kernel has not yet taken."""

    @property
    def full(self) -> bool:
        """True from the high-water mark until the buffer has drained."""

    def framing(self, kind: str, /) -> Framing:
        """How payloads of `kind` ("text", "binary", "ping" for WebSocket; "body" for HTTP) are framed here.

        The same function object for every connection framed alike, so it can key a cache of encodings.
        """

    def write(self, data: bytes, /) -> None:
        """Queue bytes that `framing` made, one or several payloads joined."""

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        """Call `full` each time `full` becomes true and `drained` each time it ends."""

    def close(self, code: int, reason: str, /) -> None:
        """WebSocket: send a close frame with code and reason. HTTP: end the response."""


class Hearing(Protocol):
    """What `tidegate.wire` also is for a WebSocket under `tidegate serve`: messages without a turn of the loop.

    Once it is set, `hear` is given a message that comes alone while the application waits in `receive`; where it
    returns False, `receive` brings the message after all. It must not raise.
    """

    hear: Callable[[str | bytes], bool] | None


class Far(Protocol):
    """An upgraded connection to an upstream, and the headers of its 101; to be spliced or closed."""

    @property
    def headers(self) -> Headers: ...

    def close(self) -> None: ...


class Tunnel(Protocol):
    """Two spliced connections: `sent` bytes to the client, and why they ended once `wait` has returned."""

    @property
    def sent(self) -> int: ...

    @property
    def ending(self) -> Disconnect: ...

    def end(self, why: Disconnect) -> None:
        """Close both, when all that came has been written."""

    async def wait(self) -> None:
        """Returns when both are closed; closes them when cancelled."""


class Exchange(Writer, Protocol):
    """What `tidegate.wire` is under `tidegate serve`: a Writer, and what HTTP has and ASGI has no word for."""

    @property
    def raw_headers(self) -> Headers:
        """The request's headers, names spelled as the client did; gone when a WebSocket has been accepted."""

    @property
    def trailers(self) -> Headers:
        """The request's trailers; complete when the last `http.request` message has been received."""

    def informational(self, status: int, headers: Headers, /) -> None:
        """Send a 1xx response now; nothing happens for a client of HTTP/1.0, or after the response has begun."""


class HttpExchange(Exchange, Protocol):
    """An `Exchange` of a request, which an application may take over from ASGI's messages."""

    @property
    def notes(self) -> dict[object, Any]:
        """For what is made of `raw_headers` and nothing else, by who made it; kept while a connection repeats them."""

    @property
    def whole(self) -> bool:
        """Whether all of the request has come; true from the start when it has no body."""

    def take(self) -> None:
        """The application will `answer` or `carry` the exchange, though what it returned is NOTHING or ends."""

    def answer(self, status: int, headers: Headers, body: bytes, notes: dict[object, Any], reason: bytes, /) -> None:
        """The whole response at once, in place of messages; nothing happens when the client has gone.

        An empty `reason` is the standard phrase of the status. `notes` is for what is made of status, reason and these
        headers and nothing else, by who made it.
        """

    def carry(self, answer: Awaitable[None], /) -> None:
        """Run `answer` as the exchange, after all: as if the application had returned it."""


class Splicing(Exchange, Protocol):
    """What `tidegate.wire` also is for a WebSocket that has not been answered yet."""

    @property
    def whole(self) -> bool:
        """True: a handshake has no body."""

    def splice(self, headers: Headers, far: Far, stats: StreamStats, /) -> Tunnel | None:
        """Answer the handshake with 101 and these headers, and join the connection with `far`, byte for byte.

        Bytes are counted in `stats`. None when the client has gone; then `far` is still the caller's to close.
        """
