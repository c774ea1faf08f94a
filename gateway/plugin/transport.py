"""Transports carry a channel's events to one client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.core.asgi import Headers
from gateway.core.codes import Disconnect
from gateway.core.event import Event
from gateway.core.http import Request


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Encoding:
    """How events become bytes for one audience.

    Compared by identity: the bytes of an event are made once per Encoding and shared by its receivers,
    so a transport makes one per codec when it starts, never one per connection. `kind` is the framing
    of `Writer.framing`; `heartbeat` a payload for quiet times, where the transport needs one.
    """

    encode: Callable[[Event], bytes]
    kind: str
    heartbeat: bytes = b""


class Connection(Protocol):
    """One client exchange, as a transport sees it."""

    @property
    def request(self) -> Request: ...

    async def accept(self, subprotocol: str | None) -> None:
        """Complete a WebSocket handshake."""

    async def respond(self, status: int, headers: Headers) -> None:
        """Begin a streaming HTTP response."""

    def deliver(self, encoding: Encoding, *, preamble: bytes = b"") -> None:
        """From now on events flow to the client, after `preamble` (a payload). Call once, after accept or respond."""

    async def receive(self) -> str | bytes | None:
        """The client's next message; None when it has gone or was disconnected. Cancel-safe."""

    def disconnect(self, disconnect: Disconnect) -> None:
        """End the stream for this reason."""


class Transport(Protocol):
    """Made once and used by every connection that it accepts."""

    @property
    def name(self) -> str:
        """The metric label."""

    def accepts(self, request: Request) -> bool:
        """Whether the client asks for this transport; exactly one transport should say yes."""

    async def serve(self, connection: Connection) -> None:
        """Carry one connection: accept or respond, deliver, then receive until None. Returning ends it.

        May be cancelled at any await. Raising ClientError before accept or respond refuses with its
        status; after it, closes with its close code and text.
        """
