"""The HTTP/1.1 server connection: one client's requests, answered one at a time and in order.

It decides when to read and when to stop, what follows a response, and how long a client may take; hands the
transport over to HTTP/2 and to WebSocket. Reading is in `reader`, what a head means in `head`, the response in
`exchange`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.errors import ClientError
from gateway.wire.asgi import Ends, http_scope, refused_scope, websocket_scope
from gateway.wire.bell import Bell
from gateway.wire.exchange import DONE, OPEN, Exchange
from gateway.wire.handshake import accept_key, wants_websocket
from gateway.wire.http2_frames import CALM, PREFACE
from gateway.wire.reader import RequestReader
from gateway.wire.response import refusal
from gateway.wire.splice import Spliceable
from gateway.wire.sweep import LINGER_VISITS

if TYPE_CHECKING:
    from gateway.core.proxy_protocol import Told
    from gateway.wire.head import Head
    from gateway.wire.listener import Listener
    from gateway.wire.sweep import Member, Patience

HIGH_WATER = 64 * 1024
LOW_WATER = 16 * 1024
# Request body that is read and thrown away after the response, rather than closing: what is in flight anyway.
_DISCARD = 64 * 1024

# What a client that has sent its end is given to be answered: it may be a tool that reads on, or somebody who left.
_HALF_CLOSED = 1.0


class Connection(asyncio.Protocol):
    """One client. `full` is true while its write buffer is above the high-water mark, `bell` rings when it ends."""

    __slots__ = (
        "_age", "_closing", "_deferred", "_ends", "_exchange", "_fresh", "_got", "_life", "_paused", "_reader", "_rest",
        "_told", "_unsent", "_upgrade", "bell", "full", "listener", "slot", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, listener: Listener, told: Told | None = None) -> None:
        self.listener = listener
        self._told = told  # by a proxy's header, of who is at its other end
        self.bell = Bell()
        self.full = False
        self._reader = RequestReader(self, listener.limits)
        self._exchange: Exchange | None = None
        self._upgrade: tuple[Head, bytes] | None = None
        self._rest = b""  # read, but not yet parsed
        self._unsent = b""  # a whole response, to be written at the end of the turn
        self._age = 0  # visits since something was last due
        self._life = 0  # visits in all
        self._got = 0  # of a body, since the last visit
        self._fresh = True
        self._paused = False
        self._closing = False
        self._deferred = False  # the next request waits until the client has read the last response

    # The transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio types all of them as the base
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self._ends = Ends(transport, self._told)
        listener = self.listener
        self.slot: set[Member] = listener.sweep.exchanges.place()
        self.slot.add(self)
        error = listener.arrived(transport, self._ends.host)
        if listener.deaf(self._ends.host):
            self.abort()
            return
        if error is not None:
            self.refuse(error)
            return
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            self._hand_over(b"")

    @property
    def begun(self) -> bool:
        """Whether there was ever a transport."""
        return hasattr(self, "transport")

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self.listener.left(self.transport)
        if self._exchange is not None:
            self._exchange.gone()
        self.bell.ring()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._unsent:
            self._flush()
        if self._fresh:
            data = self._rest + data
            if PREFACE.startswith(data[: len(PREFACE)]):
                self._preface(data)
                return
            self._rest, self._fresh = b"", False
        if self._reader.whole:
            self._hold(self._rest + data)
        else:
            self._consume(data)

    def eof_received(self) -> bool:
        """The client sends nothing more. One whose request is whole is answered, if that begins soon."""
        exchange = self._exchange
        waits = exchange is not None and exchange.phase < OPEN and self._reader.whole
        if exchange is None or not waits or self._closing or not self.transport.can_write_eof():
            return False
        exchange.keep_alive = False
        self.listener.loop.call_later(_HALF_CLOSED, self._give_up, exchange)
        return True

    def _give_up(self, exchange: Exchange) -> None:
        if self._exchange is exchange and exchange.phase < OPEN and not self._closing:
            self.abort()

    def pause_writing(self) -> None:
        self.full = True
        self._age = 0
        if self._exchange is not None:
            self._exchange.stalled()

    def resume_writing(self) -> None:
        self.full = False
        self._age = 0
        self.bell.ring()
        if self._exchange is not None:
            self._exchange.flowing()
        if self._deferred:
            self._deferred = False
            self._next()

    def _leave(self) -> None:
        """Nothing more is read here: the connection is lost, or another protocol has it."""
        self._closing = True
        self._rest = b""
        self.slot.discard(self)
        self._reader.close()

    # HTTP/2 and WebSocket.

    def _preface(self, data: bytes) -> None:
        if len(data) < len(PREFACE):
            self._rest = data
        else:
            self._hand_over(data)

    def _hand_over(self, data: bytes) -> None:
        if self.listener.early(self._ends.host):
            self.transport.write(CALM)
            self._close(linger=False)
            return
        self._leave()
        self.listener.http2(self.listener, self.transport, data, self._ends)

    def _open_websocket(self, head: Head, accept: bytes, rest: bytes) -> None:
        listener = self.listener
        socket = Spliceable(listener, self.transport, head.raw_headers, accept)
        scope = websocket_scope(listener, self._ends, head, socket)
        self._leave()
        self.transport.set_protocol(socket)
        if self.full:
            socket.pause_writing()
        self.resume()
        if rest:
            socket.data_received(rest)
        listener.spawn(socket.run(listener.app, scope))

    # Requests.

    def _consume(self, data: bytes) -> None:
        """Parse to the end of a request at most; hold what follows it."""
        reader = self._reader
        if self._exchange is None and not reader.begun:
            self._age = 0
        try:
            taken = reader.feed(data)
        except ClientError as error:
            self.refuse(error)
            return
        if self._upgrade is not None:
            self._open_websocket(*self._upgrade, data[taken:])
        elif taken < len(data):
            self._hold(data[taken:])
        if reader.whole and self._exchange is not None and self._exchange.phase >= DONE:
            self._next()

    def begin(self, head: Head, /) -> None:
        """A request's head is complete."""
        if head.upgrade and wants_websocket(head):
            self._upgrade = head, accept_key(head)
            return
        listener = self.listener
        exchange = self._exchange = Exchange(self, head)
        if self._life > listener.patience.life:
            exchange.keep_alive = False
        exchange.start(listener.app, http_scope(listener, self._ends, head, exchange))

    def body(self, data: bytes, /) -> None:
        self._got += len(data)
        exchange = self._exchange
        if exchange is not None and exchange.phase < DONE:
            exchange.feed(data)
            if exchange.unread > HIGH_WATER:
                self._pause()

    def end(self) -> None:
        if self._exchange is not None:
            self._exchange.end()

    def answered(self, exchange: Exchange) -> None:
        """The response is complete."""
        if self._closing:
            return
        whole = self._reader.whole
        if not exchange.keep_alive or self.listener.closing:
            self._close(linger=not whole or bool(self._rest))
        elif not whole:
            if self.may_discard():
                self.resume()
            else:
                self._close(linger=True)
        else:
            self._next()

    def write_whole(self, data: bytes) -> None:
        """Write a whole response: when the turn ends, if nothing else can come to be written before."""
        if self._rest or self._closing:
            self.transport.write(data)
        else:
            self._unsent = data
            self.listener.turn.put_off(self._flush)

    def _flush(self) -> None:
        data, self._unsent = self._unsent, b""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def may_discard(self) -> bool:
        """Whether the rest of the request's body is small enough to be read for nothing."""
        return 0 < self._reader.length <= _DISCARD

    def _next(self) -> None:
        """Begin with the next request, once the client has read enough of the last response."""
        if self.full:
            self._deferred = True
            return
        self._exchange = None
        if self._closing:
            return
        self._reader.reset()
        self._age = 0
        rest, self._rest = self._rest, b""
        if rest:
            self._consume(rest)
        self.resume()

    # Reading stops while a request waits for its turn, and while the application has enough of a body.

    def _hold(self, data: bytes) -> None:
        self._rest = data
        self._pause()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read on, if nothing is left to do first."""
        if not self._paused or self._rest or self.transport.is_closing():
            return
        if self._exchange is None or self._exchange.unread <= HIGH_WATER:
            self._paused = False
            self.transport.resume_reading()

    # The end.

    def refuse(self, error: ClientError) -> None:
        """Answer a request in the application's place, and close."""
        if self._closing:
            return
        exchange = self._exchange
        if exchange is not None and exchange.phase >= OPEN:
            self.listener.cut_off(error)
            self.abort()
            return
        method, target = self._reader.seen
        head, body = refusal(error, self.listener.sweep.date)
        self.transport.write(head if method == "HEAD" else head + body)
        self.listener.refused(error, refused_scope(self._ends, method, target), len(body))
        if exchange is not None:
            exchange.gone()
        self._close(linger=True)

    def _close(self, *, linger: bool) -> None:
        """Close when all is written. To linger is to read on until the client closes too.

        RFC 9112 section 9.6: closing with unread bytes resets the connection, and the response may be lost.
        """
        self._flush()
        self._closing = True
        self._age = 0
        self._rest = b""
        transport = self.transport
        if linger and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()
            self.resume()
        else:
            transport.close()

    def abort(self) -> None:
        self._closing = True
        self.transport.abort()

    def drain(self) -> None:
        if self._exchange is None and not self._closing:
            self._close(linger=False)

    # Deadlines.

    def visit(self) -> None:
        self._age += 1
        self._life += 1
        exchange, patience = self._exchange, self.listener.patience
        if self._closing:
            if self._age > (patience.stall if self.transport.get_write_buffer_size() else LINGER_VISITS):
                self.abort()
        elif exchange is None:
            self._visit_idle(patience)
        else:
            self._visit_busy(exchange, patience)

    def _visit_idle(self, patience: Patience) -> None:
        begun = self._reader.begun
        if self._age <= (patience.head if begun or self._fresh else patience.idle):
            return
        if begun:
            self.refuse(ClientError(408, "head_timeout", "the head of the request took too long"))
        else:
            self._close(linger=False)

    def _visit_busy(self, exchange: Exchange, patience: Patience) -> None:
        """A client ages while everything waits for it; what it sends of a body makes it younger, by how much it is."""
        earned, self._got = divmod(self._got, patience.rate)
        self._age = max(0, self._age - earned) if self._stalled(exchange) else 0
        if self._age > patience.stall:
            self.refuse(ClientError(408, "stalled", "the client sent or read too little for too long"))

    def _stalled(self, exchange: Exchange) -> bool:
        """Whether it is the client that everything waits for."""
        return self.full or not (self._reader.whole or self._paused or exchange.expects)
