"""One client exchange of a live route: what a transport holds, and what the gateway holds it by.

Kept small: everything that only the handshake needs is dropped when delivery begins, because an idle
connection is little more than this object, its task and its socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.core.access import StreamEnd
from gateway.core.asgi import Headers, Message, Receive, Scope, Send, Writer
from gateway.core.codes import GOING_AWAY, NORMAL, Disconnect
from gateway.core.http import Request
from gateway.core.position import Position
from gateway.core.settings import Mode
from gateway.core.voices import Voice
from gateway.errors import ClientError
from gateway.live.basket import Basket
from gateway.live.channel import Channel
from gateway.live.race import race
from gateway.live.refusal import ended, refused_by_backend
from gateway.live.subscriptions import Subscription
from gateway.plugin import Collected, Encoding, Transport

WriterFor = Callable[[Scope, Send], Writer]

# How long the last bytes of a stream may take on a server without the extension `tidegate.wire`.
LAST_BYTES = 5.0


# What nginx logs for a client that left before it was answered; nobody receives it.
_CLIENT_GONE = 499


class Over(Exception):
    """The exchange ended with this status and without delivery: nothing is left to do but to count it."""

    def __init__(self, status: int, opening: Opening) -> None:
        super().__init__(status)
        self.status = status
        self.scope = opening.scope


@dataclass(slots=True, kw_only=True)
class Opening:
    """What only the handshake needs. `begun` is told when delivery begins; `extra` headers go with the answer.

    `interval` is at most how often the client wants to hear of changes, 0 without.
    """

    scope: Scope
    send: Send
    request: Request
    mode: Mode
    since: Position | None
    interval: float
    writer_for: WriterFor
    begun: Callable[[StreamConnection, Opening], None]
    sleep: Callable[[float], Coroutine[object, object, None]]
    extra: Headers = field(default_factory=list)


class StreamConnection:
    """The `Connection` that transports are given.

    `id` ties its lines in the access log together; `route` is whose it is in there, and in metrics; `opening` is None
    once delivery has begun, `began` is when;
    `voice` are the credentials that it lends to a shared channel; `expires` is when its client's credentials end;
    `pump` is the task of a writer that needs one.
    """

    __slots__ = (
        "_ending",
        "_farewell",
        "_gone",
        "_receive",
        "_subscription",
        "began",
        "channel",
        "expires",
        "id",
        "opening",
        "pump",
        "received",
        "route",
        "transport",
        "voice",
        "writer",
    )

    def __init__(self, number: int, transport: Transport, channel: Channel, receive: Receive, opening: Opening) -> None:
        self.id = number
        self.transport = transport
        self.channel = channel
        self.route = channel.route
        self.began: float | None = None
        self.expires: float | None = None
        self.received = 0
        self.voice: Voice | None = None
        self.writer: Writer | None = None
        self._receive = receive
        self.opening: Opening | None = opening
        self._ending: Disconnect | None = None
        self._farewell = False
        self._gone = False
        self._subscription: Subscription | None = None
        self.pump: asyncio.Task[None] | None = None

    @property
    def request(self) -> Request:
        return self._handshake().request

    async def ready(self) -> None:
        """Wait for the channel's first word from the backend; raises ClientError if it is a refusal."""
        if self.request.kind == "websocket":
            await self._receive()  # websocket.connect
        if not self.channel.ready.is_set():
            await race(self.channel.ready.wait(), self._left())
        self._check()

    def _check(self) -> None:
        """Raises ClientError or Over when there is nothing to go on with."""
        if self._gone:
            raise Over(_CLIENT_GONE, self._handshake())
        if self.channel.refused is not None:
            raise refused_by_backend(self.channel.refused)
        if self._ending is not None:
            raise ended(self._ending)

    async def _left(self) -> None:
        """Wait until the client has gone."""
        while await self.receive() is not None:
            pass

    async def accept(self, subprotocol: str | None) -> None:
        opening = self._handshake()
        compression = self.channel.settings.compression
        await opening.send(
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": [], "compression": compression}
        )
        self.writer = opening.writer_for(opening.scope, opening.send)

    async def respond(self, status: int, headers: Headers) -> None:
        opening = self._handshake()
        if opening.request.method == "HEAD":
            await self.answer(status, headers, b"")
            raise Over(status, opening)
        start = {"type": "http.response.start", "status": status, "headers": [*headers, *opening.extra]}
        await opening.send(start)
        self.writer = opening.writer_for(opening.scope, opening.send)

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        opening = self._handshake()
        if opening.request.method != "HEAD":  # which has no body, and whose stream would have had no length
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        self.opening = None
        with suppress(OSError):  # ASGI 3.0: how `send` says that the client is gone
            start = {"type": "http.response.start", "status": status, "headers": [*headers, *opening.extra]}
            await opening.send(start)
            await opening.send({"type": "http.response.body", "body": body})

    async def collect(self, encoding: Encoding, wait: float) -> Collected:
        opening, basket, since = self._handshake(), Basket(), self._handshake().since
        if opening.interval:
            raise ClientError(400, "bad_interval", "live.interval is for streams; poll as often as you like")
        opening.begun(self, opening)
        self.writer = basket
        subscription = self.channel.subscribe(encoding, opening.mode, self.transport.name, basket, self.disconnect)
        self._subscription = subscription
        basket.on_flow(subscription.full, subscription.drained)
        # To be told of bad news at once, over and over, would be a busy loop: it waits for the end of the wait.
        subscription.start(since, told=since is not None)
        if wait > 0 and not basket.filled.is_set():
            await race(basket.filled.wait(), opening.sleep(wait), self._left())
        subscription.stop()
        self._check()
        if not basket.full:
            subscription.remind()
        log = self.channel.log
        reached = subscription.position if log.has_state or log.messages or since is None else since
        return Collected(basket.data, reached)

    def deliver(self, encoding: Encoding, *, preamble: bytes = b"") -> None:
        opening, writer = self._handshake(), self.writer
        if writer is None:
            raise RuntimeError("deliver() comes after accept() or respond()")
        self.opening = None
        opening.begun(self, opening)
        if preamble:
            writer.write(writer.framing(encoding.kind)(preamble))
        subscribe = self.channel.subscribe
        name, end = self.transport.name, self.disconnect
        subscription = subscribe(encoding, opening.mode, name, writer, end, opening.interval)
        self._subscription = subscription
        self._farewell = encoding.kind == "body"  # HTTP has no close code: the last event says it
        if self._ending is not None:
            self._close(self._ending)
        else:
            writer.on_flow(subscription.full, subscription.drained)
            subscription.start(opening.since, mark=True)

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
                self._gone = True
                self._ending = self._ending or peer_left(message)
                if self.pump is not None:
                    self.pump.cancel()  # nobody is left to read what it still has
                return None

    def silence(self) -> None:
        """Hear nothing more; `disconnect` is to follow."""
        if self._subscription is not None:
            self._subscription.stop()

    def disconnect(self, disconnect: Disconnect) -> None:
        if self._ending is not None:
            return
        self._ending = disconnect
        self._close(disconnect)

    def _close(self, ending: Disconnect) -> None:
        """End delivery, if it has begun."""
        subscription, writer = self._subscription, self.writer
        if subscription is None or writer is None:
            return
        subscription.stop()
        if self._farewell and ending is not NORMAL:
            writer.write(subscription.group.audience.render(ending.event()))
        writer.close(ending.code, ending.reason)

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


def peer_left(message: Message) -> Disconnect:
    """Why a client that has gone went."""
    code = message.get("code", GOING_AWAY.code)
    label = message.get("label") or ("normal" if code == 1000 else GOING_AWAY.label)
    return Disconnect(code, message.get("reason") or "", label, reconnect=True)
