"""The line of one WebSocket: frames in and out of its transport, heartbeats, and the closing handshake.

After the handshake it holds nothing but what an open WebSocket needs: an idle one must stay small. What a client may
send is decided in `frame_parser`; this decides when it is read, what answers it, and how the conversation ends
(RFC 6455 section 7). Who is behind it, and in which words, is `websocket`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.core.asgi import Framing, Message
from gateway.core.codes import NO_HEARTBEAT, TOO_MANY, Disconnect
from gateway.wire.bell import Bell
from gateway.wire.exchange import discard
from gateway.wire.frame_parser import FrameError, FrameParser, parse_close
from gateway.wire.frames import BINARY, CLOSE, FIN, FRAMINGS, PING, TEXT, close_frame, frame, ping_frame, pong_frame
from gateway.wire.listener import log
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
LOST: Message = {"type": "websocket.disconnect", "code": 1006, "reason": ""}


class WebSocketLine(asyncio.Protocol):
    """Messages that have come wait in `_messages` for whoever is behind the line, who is woken by `_wake`."""

    __slots__ = (
        "_bell", "_bytes", "_drained", "_error", "_framings", "_full", "_goodbye", "_listener", "_messages", "_parser",
        "_paused", "_phase", "_queued", "_refilled", "_strikes", "_transport", "_waiter", "full", "hear", "slot",
        "write",
    )  # fmt: skip

    def __init__(self, listener: Listener, transport: asyncio.Transport) -> None:
        self._listener = listener
        self._transport = transport
        self._bell: Bell | None = None
        self._parser: FrameParser | None = FrameParser(listener.limits, listener.messages.burst)
        self._error: FrameError | None = None  # what is wrong with what comes after the messages that wait
        self._bytes = listener.bytes.burst  # may still be sent
        self._refilled = listener.sweep.now
        self._framings = FRAMINGS
        self._messages: list[str | bytes] = []
        self._queued = 0
        self._waiter: asyncio.Future[None] | None = None
        self._full: Callable[[], None] | None = None
        self._drained: Callable[[], None] | None = None
        self._paused = False
        self._phase = HANDSHAKE
        self._strikes = 0
        self._goodbye = LOST  # what the application is told at the end
        self.full = False
        self.hear: Callable[[str | bytes], bool] | None = None
        self.write: Callable[[bytes], None] = discard
        self.slot: set[Member] = set()
        self._enter(listener.sweep.exchanges)

    # The transport.

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            return
        if self._phase == OPEN:
            self._strikes = 0
            if self._refilled != self._listener.sweep.now:
                self._refill(parser)
            self._bytes -= len(data)
            if self._bytes < 0:
                self._fail(FrameError(TOO_MANY, "too many bytes"))
                return
            message = None if self._messages else parser.alone(data)
            if message is not None:
                self._come(message, last=True)
                return
        parser.feed(data)
        if self._phase < OPEN:
            self._pause()
        else:
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
            self._end(LOST)
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
            self._end(LOST)
        self._transport.abort()

    # Frames.

    def _read(self) -> None:
        """Take what has come, while the application keeps up."""
        try:
            while (parser := self._parser) is not None and self._error is None:
                if len(self._messages) >= _QUEUE_MESSAGES or self._queued > _QUEUE_BYTES:
                    self._pause()
                    return
                event = parser.next() if parser.more else None
                if event is None:
                    if self._paused:
                        self._resume()
                    return
                opcode, payload = event
                self._take(opcode, payload, last=not parser.more)
        except FrameError as error:
            self._fail(error)

    def _take(self, opcode: int, payload: str | bytes, *, last: bool) -> None:
        if self._phase == CLOSING:
            if opcode == CLOSE:
                self._hang_up()
        elif opcode in (TEXT, BINARY):
            self._come(payload, last=last)
        elif opcode == PING:
            if not self.full:  # section 5.5.3: of several pings the last is worth an answer
                self._transport.write(pong_frame(bytes(payload)))  # type: ignore[arg-type]
        elif opcode == CLOSE:
            code, reason = parse_close(payload)  # type: ignore[arg-type]
            self._transport.write(frame(FIN | CLOSE, payload[:2]))  # type: ignore[arg-type]
            self._end({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._hang_up()

    def _come(self, message: str | bytes, *, last: bool) -> None:
        """A message is complete."""
        waiter = self._waiter
        if last and self.hear is not None and waiter is not None and not waiter.done() and self.hear(message):
            return  # a turn of the loop is spared
        self._messages.append(message)
        self._queued += len(message)
        self._wake()

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

    # The end.

    def _end(self, goodbye: Message) -> None:
        """The conversation is over; what remains is to close."""
        self._phase = CLOSING
        self._goodbye = goodbye
        self.write = discard
        self._full = self._drained = self.hear = None
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

    # What `tidegate.wire` has of it.

    @property
    def buffered(self) -> int:
        return self._transport.get_write_buffer_size() if self._phase == OPEN else 0

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
