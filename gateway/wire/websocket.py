"""One WebSocket: its ASGI application on one side, frames on the other.

It replaces the HTTP connection as the transport's protocol, and after the handshake holds nothing but what an
open WebSocket needs: an idle one must stay small. What a client may send is decided in `frame_parser`; this
decides when it is read, what answers it, and how the closing handshake goes (RFC 6455 section 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.core.asgi import App, Framing, Headers, Message, Scope
from gateway.core.codes import INTERNAL, NO_HEARTBEAT, NORMAL, TOO_MANY, Disconnect
from gateway.errors import ClientError
from gateway.wire.bell import Bell
from gateway.wire.deflate import framings, negotiate
from gateway.wire.denial import Denial
from gateway.wire.exchange import discard
from gateway.wire.frame_parser import FrameError, FrameParser, parse_close
from gateway.wire.frames import BINARY, CLOSE, FIN, FRAMINGS, PING, TEXT, close_frame, frame, ping_frame, pong_frame
from gateway.wire.handshake import switching
from gateway.wire.listener import log
from gateway.wire.response import refusal
from gateway.wire.sweep import LINGER_VISITS

if TYPE_CHECKING:
    from gateway.wire.listener import Listener
    from gateway.wire.sweep import Member, Ring

# The life of a WebSocket. ASKED: the application has been told. REFUSING: it has begun to answer with a response.
HANDSHAKE, ASKED, REFUSING, OPEN, CLOSING, CLOSED = range(6)

# Messages that the application has not yet received; beyond either, nothing more is read.
_QUEUE_BYTES = 64 * 1024
_QUEUE_MESSAGES = 16

# A ping is sent at every visit, and answered before the next one but by the dead.
_MISSED_VISITS = 1
_PING = ping_frame(b"")
_NO_HEADERS: Headers = []
_LOST: Message = {"type": "websocket.disconnect", "code": 1006, "reason": ""}


class WebSocket(asyncio.Protocol):
    """`receive`, `send` and the extension `tidegate.wire` of one WebSocket."""

    __slots__ = (
        "_accept", "_bell", "_bytes", "_denial", "_drained", "_error", "_framings", "_full", "_goodbye", "_listener",
        "_messages", "_parser", "_paused", "_phase", "_queued", "_refilled", "_strikes", "_transport", "_waiter",
        "full", "hear", "raw_headers", "slot", "write",
    )  # fmt: skip

    def __init__(self, listener: Listener, transport: asyncio.Transport, raw_headers: Headers, accept: bytes) -> None:
        self._listener = listener
        self._transport = transport
        self._accept: bytes | None = accept
        self._bell: Bell | None = None
        self._parser: FrameParser | None = FrameParser(listener.limits, listener.messages.burst)
        self._error: FrameError | None = None  # what is wrong with what comes after the messages that wait
        self._bytes = listener.bytes.burst  # may still be sent
        self._refilled = listener.sweep.now
        self._framings = FRAMINGS
        self._messages: list[str | bytes] = []
        self._queued = 0
        self._waiter: asyncio.Future[None] | None = None
        self._denial: Denial | None = None
        self._full: Callable[[], None] | None = None
        self._drained: Callable[[], None] | None = None
        self._paused = False
        self._phase = HANDSHAKE
        self._strikes = 0
        self._goodbye = _LOST  # what the application is told at the end
        self.raw_headers = raw_headers
        self.full = False
        self.hear: Callable[[str | bytes], bool] | None = None
        self.write: Callable[[bytes], None] = discard
        self.slot: set[Member] = set()
        self._enter(listener.sweep.exchanges)

    async def run(self, app: App, scope: Scope) -> None:
        """Call the application once, and leave the connection in order whatever it does."""
        try:
            answer = app(scope, self.receive, self.send)
            del scope  # it would be kept as long as the WebSocket is open
            await answer
            if self._phase < OPEN:
                raise RuntimeError("the application returned without an answer to the handshake")
            self.close(NORMAL.code, NORMAL.reason)
        except Exception:
            log.exception("the application failed")
            self._failed()
        finally:
            if self._phase < CLOSING:
                self.abort()
            self._listener.done()

    def _failed(self) -> None:
        if self._phase < OPEN:
            self._listener.stats.refused["internal"] += 1
            self._refuse(ClientError(500, "internal", "the request could not be answered"))
        self.close(INTERNAL.code, INTERNAL.reason)

    # The transport.

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        parser.feed(data)
        if self._phase < OPEN:
            self._pause()
            return
        if self._phase == OPEN:
            self._strikes = 0
            if self._refilled != self._listener.sweep.now:
                self._refill(parser)
            self._bytes -= len(data)
            if self._bytes < 0:
                self._fail(FrameError(TOO_MANY, "too many bytes"))
                return
        self._read()

    def _refill(self, parser: FrameParser) -> None:
        """Time has passed: more may be sent."""
        listener = self._listener
        seconds = listener.sweep.now - self._refilled
        self._refilled = listener.sweep.now
        self._bytes = listener.bytes.refilled(self._bytes, seconds)
        parser.allowance = listener.messages.refilled(parser.allowance, seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.left(self._transport)
        if self._phase < CLOSING:
            self._end(_LOST)
        self.slot.discard(self)
        self._phase = CLOSED
        self._parser = None
        self._error = None

    def pause_writing(self) -> None:
        self.full = True
        if self._full is not None:
            self._full()

    def resume_writing(self) -> None:
        self.full = False
        self._strikes = 0  # who reads is alive, also while no ping would get through
        if self._bell is not None:
            self._bell.ring()
        if self._drained is not None:
            self._drained()

    def visit(self) -> None:
        self._strikes += 1
        if self._phase == OPEN:
            self._heartbeat()
        elif self._phase >= CLOSING and self._strikes > LINGER_VISITS:
            self.abort()

    def drain(self) -> None:
        """Nothing: the application ends its WebSockets when its lifespan does."""

    def abort(self) -> None:
        if self._phase < CLOSING:
            self._end(_LOST)
        self._transport.abort()

    # Frames.

    def _read(self) -> None:
        try:
            self._parse()
        except FrameError as error:
            self._fail(error)

    def _parse(self) -> None:
        """Take what has been read, while the application keeps up."""
        while (parser := self._parser) is not None and self._error is None:
            if len(self._messages) >= _QUEUE_MESSAGES or self._queued > _QUEUE_BYTES:
                self._pause()
                return
            event = parser.next()
            if event is None:
                self._resume()
                return
            self._take(*event, last=not parser.more)

    def _take(self, opcode: int, payload: str | bytes, *, last: bool) -> None:
        if self._phase == CLOSING:
            if opcode == CLOSE:
                self._hang_up()
        elif opcode in (TEXT, BINARY):
            waiter = self._waiter
            if last and self.hear is not None and waiter is not None and not waiter.done() and self.hear(payload):
                return  # a turn of the loop is spared
            self._messages.append(payload)
            self._queued += len(payload)
            self._wake()
        elif opcode == PING:
            if not self.full:  # section 5.5.3: of several pings the last is worth an answer
                self._transport.write(pong_frame(bytes(payload)))  # type: ignore[arg-type]
        elif opcode == CLOSE:
            code, reason = parse_close(payload)  # type: ignore[arg-type]
            self._transport.write(frame(FIN | CLOSE, payload[:2]))  # type: ignore[arg-type]
            self._end({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._hang_up()

    def _fail(self, error: FrameError) -> None:
        """What was sent before the error is still the application's, and then the client is told."""
        if self._phase != OPEN:
            self._hang_up()
            return
        self._error = error
        if self._messages:
            self._pause()
        else:
            self._close_for(error)

    def _linger(self) -> None:
        """What the client sends can't be read any more; but it may still be sending, so it must not be reset."""
        self._parser = None
        self._resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()  # of TLS: it says so to the client, and waits until that closes too

    def _heartbeat(self) -> None:
        if self._paused:
            self._strikes = 0  # it is not the client who is silent
        elif self._strikes > _MISSED_VISITS:
            self._close_for(NO_HEARTBEAT)
            if self._transport.get_write_buffer_size():
                self.abort()
            else:
                self._hang_up()
        elif not self.full:
            self._transport.write(_PING)

    def _hang_up(self) -> None:
        self._parser = None
        self._transport.close()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # ASGI.

    async def receive(self) -> Message:
        if self._phase == HANDSHAKE:
            self._phase = ASKED
            return {"type": "websocket.connect"}
        while not self._messages:
            if self._phase >= CLOSING:
                return dict(self._goodbye)
            if self._error is not None:
                self._close_for(self._error)
                continue
            if self._waiter is not None:
                raise RuntimeError("receive is already being awaited")
            self._waiter = self._listener.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.pop(0)
        self._queued -= len(message)
        if self._paused:
            self._read()
        return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self._phase >= CLOSING:
            return
        if kind == "websocket.send" and self._phase == OPEN:
            self._send(message)
        elif kind == "websocket.accept" and self._phase < REFUSING:
            self._open(message)
        elif kind == "websocket.close" and self._phase != REFUSING:
            self._close_asked(message)
        elif kind == "websocket.http.response.start" and self._phase < REFUSING:
            self._denial = Denial(message)
            self._phase = REFUSING
        elif kind == "websocket.http.response.body" and self._denial is not None:
            if self._denial.add(message):
                self._answer(self._denial.response(self._listener.sweep.date))
        else:
            raise RuntimeError(f"{kind} can't be sent now")
        while self.full and self._phase == OPEN:
            self._bell = self._bell or Bell()
            await self._bell.wait()

    def _send(self, message: Message) -> None:
        text: str | None = message.get("text")
        kind, data = ("binary", bytes(message["bytes"])) if text is None else ("text", text.encode())
        self.write(self._framings[kind](data))

    def _open(self, message: Message) -> None:
        accept, self._accept = self._accept, None
        deflate = negotiate(self.raw_headers) if message.get("compression") else None
        extension, headers = deflate.answer if deflate is not None else b"", message.get("headers") or ()
        self._transport.write(switching(accept or b"", message.get("subprotocol"), extension, headers))
        if deflate is not None and self._parser is not None:
            self._parser.inflate(deflate.client_window)
            self._framings = framings(deflate.server_window)
        self.raw_headers = _NO_HEADERS
        self._phase = OPEN
        self.write = self._transport.write
        self._enter(self._listener.sweep.sockets)
        if self._paused:
            self._read()

    def _close_asked(self, message: Message) -> None:
        if self._phase == OPEN:
            self.close(message.get("code", NORMAL.code), message.get("reason") or "")
            return
        self._refuse(ClientError(403, "refused", "the WebSocket was refused"))

    def _refuse(self, error: ClientError) -> None:
        self._answer(b"".join(refusal(error, self._listener.sweep.date)))

    def _answer(self, response: bytes) -> None:
        """Answer the handshake with a response, and close."""
        self._transport.write(response)
        self._end(_LOST)
        self._hang_up()

    # The end.

    def _end(self, goodbye: Message) -> None:
        """The conversation is over; what remains is to close."""
        self._phase = CLOSING
        self._goodbye = goodbye
        self.write = discard
        self._full = self._drained = self._denial = self._accept = self.hear = None
        self._enter(self._listener.sweep.exchanges)
        self._wake()
        if self._bell is not None:
            self._bell.ring()

    def _enter(self, ring: Ring) -> None:
        self.slot.discard(self)
        self.slot = ring.place()
        self.slot.add(self)
        self._strikes = 0

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # tidegate.wire

    @property
    def buffered(self) -> int:
        return self._transport.get_write_buffer_size() if self._phase == OPEN else 0

    @property
    def trailers(self) -> Headers:
        return _NO_HEADERS

    def informational(self, status: int, headers: Headers, /) -> None:
        """Nothing: a handshake has no interim response."""

    def framing(self, kind: str, /) -> Framing:
        return self._framings[kind]

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        self._full, self._drained = full, drained

    def close(self, code: int, reason: str, /) -> None:
        self._close({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _close_for(self, fault: FrameError | Disconnect) -> None:
        """Close in the application's place; it is told why, with the metric's label."""
        code, reason = fault.code, fault.reason
        log.debug("closes the WebSocket of %s: %d %s", self._transport.get_extra_info("peername"), code, reason)
        self._close({"type": "websocket.disconnect", "code": code, "reason": reason, "label": fault.label})

    def _close(self, goodbye: Message) -> None:
        """Begin the closing handshake."""
        if self._phase != OPEN:
            return
        self._transport.write(close_frame(goodbye["code"], goodbye["reason"]))
        self._messages.clear()
        self._queued = 0
        self._end(goodbye)
        if self._error is None:
            self._read()
        else:
            self._linger()
