"""One client exchange of a live route: what a transport holds, and what the gateway holds it by.

Kept small: everything that only the handshake needs is dropped when delivery begins, because an idle
connection is little more than this object, its task and its socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.access import StreamEnd
from gateway.core.asgi import Headers, Message, Receive, Scope, Send, Writer
from gateway.core.codes import GOING_AWAY, NORMAL, Disconnect
from gateway.core.http import Request
from gateway.core.position import Position
from gateway.core.settings import Mode
from gateway.errors import ClientError
from gateway.live.channel import Channel
from gateway.live.subscriptions import Subscription
from gateway.plugin import Encoding, Transport

WriterFor = Callable[[Scope, Send], Writer]

# How long the last bytes of a stream may take on a server without the extension `tidegate.wire`.
LAST_BYTES = 5.0

_REFUSALS = {
    401: "the backend refused the credentials",
    403: "the backend forbids this resource",
    404: "the backend has no such resource",
    410: "the backend says that this resource is gone",
}


@dataclass(slots=True, kw_only=True)
class Opening:
    """What only the handshake needs. `begun` is told when delivery begins."""

    scope: Scope
    send: Send
    request: Request
    mode: Mode
    since: Position | None
    writer_for: WriterFor
    begun: Callable[[StreamConnection, Opening], None]


class StreamConnection:
    """The `Connection` that transports are given.

    `id` ties its lines in the access log together; `opening` is None once delivery has begun, `began` is when;
    `pump` is the task of a writer that needs one.
    """

    __slots__ = (
        "_ending",
        "_receive",
        "_subscription",
        "began",
        "channel",
        "id",
        "opening",
        "pump",
        "received",
        "transport",
        "writer",
    )

    def __init__(self, number: int, transport: Transport, channel: Channel, receive: Receive, opening: Opening) -> None:
        self.id = number
        self.transport = transport
        self.channel = channel
        self.began: float | None = None
        self.received = 0
        self.writer: Writer | None = None
        self._receive = receive
        self.opening: Opening | None = opening
        self._ending: Disconnect | None = None
        self._subscription: Subscription | None = None
        self.pump: asyncio.Task[None] | None = None

    @property
    def request(self) -> Request:
        return self._handshake().request

    async def ready(self) -> None:
        """Wait for the channel's first word from the backend; raises ClientError if it is a refusal."""
        if self.request.kind == "websocket":
            await self._receive()  # websocket.connect
        await self.channel.ready.wait()
        refused = self.channel.refused
        if refused is not None:
            status = refused.status if refused.status in _REFUSALS else 404
            raise ClientError(status, "upstream_refused", _REFUSALS[status]).with_headers(*refused.headers)
        if self._ending is not None:
            raise ClientError(503, "closing", self._ending.reason).with_headers((b"retry-after", b"1"))

    async def accept(self, subprotocol: str | None) -> None:
        opening = self._handshake()
        await opening.send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
        self.writer = opening.writer_for(opening.scope, opening.send)

    async def respond(self, status: int, headers: Headers) -> None:
        opening = self._handshake()
        await opening.send({"type": "http.response.start", "status": status, "headers": headers})
        self.writer = opening.writer_for(opening.scope, opening.send)

    def deliver(self, encoding: Encoding, *, preamble: bytes = b"") -> None:
        opening, writer = self._handshake(), self.writer
        if writer is None:
            raise RuntimeError("deliver() comes after accept() or respond()")
        self.opening = None
        opening.begun(self, opening)
        if preamble:
            writer.write(writer.framing(encoding.kind)(preamble))
        if self._ending is not None:
            writer.close(self._ending.code, self._ending.reason)
            return
        subscribe = self.channel.subscribe
        self._subscription = subscribe(encoding, opening.mode, self.transport.name, writer, self.disconnect)
        self._subscription.start(opening.since)

    async def receive(self) -> str | bytes | None:
        while True:
            message = await self._receive()
            kind = message["type"]
            if kind == "websocket.receive":
                self.received += 1
                text: str | None = message.get("text")
                data: bytes = message.get("bytes") or b""
                return text if text is not None else data
            if kind in ("websocket.disconnect", "http.disconnect"):
                self._ending = self._ending or _peer_left(message)
                if self.pump is not None:
                    self.pump.cancel()  # nobody is left to read what it still has
                return None

    def disconnect(self, disconnect: Disconnect) -> None:
        if self._ending is not None:
            return
        self._ending = disconnect
        if self._subscription is not None:
            self._subscription.stop()
        if self.writer is not None and self.opening is None:
            self.writer.close(disconnect.code, disconnect.reason)

    async def finish(self) -> None:
        """The transport is done: end what is still open."""
        self.disconnect(NORMAL)
        if self._subscription is not None:
            self._subscription.stop()
        if self.pump is not None:
            await asyncio.wait([self.pump], timeout=LAST_BYTES)
            self.pump.cancel()

    def end(self, now: float) -> StreamEnd:
        """What is known of the stream when it is over."""
        messages, size = self._subscription.sent if self._subscription is not None else (0, 0)
        ending = self._ending or NORMAL
        return StreamEnd(
            code=ending.code,
            label=ending.label,
            seconds=now - (now if self.began is None else self.began),
            messages=messages,
            bytes=size,
            received=self.received,
        )

    def _handshake(self) -> Opening:
        if self.opening is None:
            raise RuntimeError("delivery has begun; the request is no longer kept")
        return self.opening


def _peer_left(message: Message) -> Disconnect:
    code = message.get("code", GOING_AWAY.code)
    label = "normal" if code == 1000 else GOING_AWAY.label
    return Disconnect(code, message.get("reason") or "", label, reconnect=True)
