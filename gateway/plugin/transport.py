"""Transports carry a channel's events to one client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.core.asgi import Headers
from gateway.core.codes import Disconnect
from gateway.core.event import Event
from gateway.core.http import Request
from gateway.core.position import Position


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Encoding:
    """How events become bytes for one audience.

    Compared by identity: the bytes of an event are made once per Encoding and shared by its receivers,
    so a transport makes one per codec when it starts, never one per connection. `kind` is the framing:
    "text" or "binary" for WebSocket, "body" for HTTP; `heartbeat` a payload for quiet times, where the transport
    needs one. HTTP has no close code: there the last event is of type `close`.
    """

    encode: Callable[[Event], bytes]
    kind: str
    heartbeat: bytes = b""


@dataclass(frozen=True, slots=True)
class Collected:
    """What there is for a client that polls: the encodings of its events joined, and the position after them."""

    data: bytes
    next: Position


class Connection(Protocol):
    """One client exchange, as a transport sees it.

    A stream is `accept` or `respond`, then `deliver`, then `receive` until None. A poll is `collect`, then `answer`.
    """

    @property
    def request(self) -> Request: ...

    async def accept(self, subprotocol: str | None) -> None:
        """Complete a WebSocket handshake."""

    async def respond(self, status: int, headers: Headers) -> None:
        """Begin a streaming HTTP response. A HEAD request is over with it: this does not return."""

    def deliver(self, encoding: Encoding, *, preamble: bytes = b"") -> None:
        """From now on events flow to the client, after `preamble` (a payload). Call once, after accept or respond."""

    async def collect(self, encoding: Encoding, wait: float) -> Collected:
        """What comes after the client's position: at once if there is something, else within `wait` seconds.

        At most one write's worth; nothing when the wait ends. The encoding is of kind "body", without heartbeat.
        Raises ClientError when the stream ends meanwhile.
        """

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer whole, in place of a stream; `content-length` is added."""

    async def receive(self) -> str | bytes | None:
        """The client's next message; None when it has gone or was disconnected. Cancel-safe."""

    def disconnect(self, disconnect: Disconnect) -> None:
        """End the stream for this reason."""


class Transport(Protocol):
    """Made once and used by every connection that it accepts."""

    @property
    def name(self) -> str:
        """The metric label."""

    def accepts(self, request: Request) -> float:
        """How much the client asks for this transport: 0 not at all, up to 1 (see `gateway.plugin.wish`).

        Called for every request to a live route, so it costs little. The highest carries the client; of equals,
        the first by name.
        """

    async def serve(self, connection: Connection) -> None:
        """Carry one connection. Returning ends it; at any await it may be cancelled, or end by an exception.

        Raising ClientError before accept, respond or answer refuses with its status; after it, closes with its
        close code and text.
        """


@runtime_checkable
class Discoverable(Protocol):
    """A transport that is asked for by its media type; REST answers of live routes name it in a `Link` header."""

    @property
    def media_type(self) -> str: ...
