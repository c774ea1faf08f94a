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
from gateway.core.codes import INTERNAL, NO_HEARTBEAT, NORMAL
from gateway.errors import ClientError
from gateway.wire.bell import Bell
from gateway.wire.exchange import discard
from gateway.wire.frame_parser import FrameError, FrameParser, parse_close
from gateway.wire.frames import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)
from gateway.wire.handshake import switching
from gateway.wire.listener import log
from gateway.wire.response import Fields, header_lines, refusal
from gateway.wire.sweep import LINGER_VISITS

if TYPE_CHECKING:
    from gateway.wire.listener import Listener
    from gateway.wire.sweep import Member, Ring

# The life of a WebSocket. ASKED: the application has been told. REFUSING: it has begun to answer with a response.
HANDSHAKE, ASKED, REFUSING, OPEN, CLOSING, CLOSED = range(6)

# Messages that the application has not yet received; beyond either, nothing more is read.
_QUEUE_BYTES = 64 * 1024
_QUEUE_MESSAGES = 16

_ABNORMAL = 1006
_NO_STATUS = 1005
_MISSED_VISITS = 2
_PING = ping_frame(b"")
_EMPTY_CLOSE = b"\x88\x00"
_NO_HEADERS: Headers = []

_FRAMINGS: dict[str, Framing] = {"text": text_frame, "binary": binary_frame, "ping": ping_frame}


class WebSocket(asyncio.Protocol):
    """`receive`, `send` and the extension `tidegate.wire` of one WebSocket."""

    __slots__ = (
        "_accept", "_bell", "_code", "_drained", "_full", "_listener", "_messages", "_parser", "_paused", "_phase",
        "_queued", "_reason", "_response", "_strikes", "_transport", "_waiter", "full", "raw_headers", "slot",
        "write",
    )  # fmt: skip

    def __init__(self, listener: Listener, transport: asyncio.Transport, raw_headers: Headers, accept: bytes) -> None:
        self._listener = listener
        self._transport = transport
        self._accept: bytes | None = accept
        self._bell: Bell | None = None
        self._parser: FrameParser | None = FrameParser(listener.limits.message)
        self._messages: list[str | bytes] = []
        self._queued = 0
        self._waiter: asyncio.Future[None] | None = None
        self._response: tuple[Fields, list[bytes]] | None = None
        self._full: Callable[[], None] | None = None
        self._drained: Callable[[], None] | None = None
        self._paused = False
        self._phase = HANDSHAKE
        self._strikes = 0
        self._code = _ABNORMAL
        self._reason = ""
        self.raw_headers = raw_headers
        self.full = False
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
        self._strikes = 0 if self._phase == OPEN else self._strikes
        if self._parser is None:
            return
        self._parser.feed(data)
        if self._phase < OPEN:
            self._pause()
        else:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.left()
        if self._phase < CLOSING:
            self._end(_ABNORMAL, "")
        self.slot.discard(self)
        self._phase = CLOSED
        self._parser = None

    def pause_writing(self) -> None:
        self.full = True
        if self._full is not None:
            self._full()

    def resume_writing(self) -> None:
        self.full = False
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
            self._end(_ABNORMAL, "")
        self._transport.abort()

    # Frames.

    def _read(self) -> None:
        try:
            self._parse()
        except FrameError as error:
            self._fail(error)

    def _parse(self) -> None:
        """Take what has been read, while the application keeps up."""
        while (parser := self._parser) is not None:
            if len(self._messages) >= _QUEUE_MESSAGES or self._queued > _QUEUE_BYTES:
                self._pause()
                return
            event = parser.next()
            if event is None:
                self._resume()
                return
            self._take(*event)

    def _take(self, opcode: int, payload: str | bytes) -> None:
        if self._phase == CLOSING:
            if opcode == CLOSE:
                self._hang_up()
        elif opcode in (TEXT, BINARY):
            self._messages.append(payload)
            self._queued += len(payload)
            self._wake()
        elif opcode == PING:
            if not self.full:  # section 5.5.3: of several pings the last is worth an answer
                self._transport.write(pong_frame(bytes(payload)))  # type: ignore[arg-type]
        elif opcode == CLOSE:
            code, reason = parse_close(payload)  # type: ignore[arg-type]
            self._transport.write(close_frame(code, "") if code != _NO_STATUS else _EMPTY_CLOSE)
            self._end(code, reason)
            self._hang_up()

    def _fail(self, error: FrameError) -> None:
        """Section 7.1.7: say why, and read no more; the client may still be sending, so it must not be reset."""
        if self._phase == OPEN:
            self._parser = None
            self.close(error.code, error.reason)
            self._resume()
            if self._transport.can_write_eof():
                self._transport.write_eof()
        else:
            self._hang_up()

    def _heartbeat(self) -> None:
        if self._paused:
            self._strikes = 0  # it is not the client who is silent
        elif self._strikes > _MISSED_VISITS:
            self.close(NO_HEARTBEAT.code, NO_HEARTBEAT.reason)
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
                return {"type": "websocket.disconnect", "code": self._code, "reason": self._reason}
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
            self._response = Fields(message["status"], message.get("headers", ())), []
            self._phase = REFUSING
        elif kind == "websocket.http.response.body" and self._phase == REFUSING:
            self._respond(message)
        else:
            raise RuntimeError(f"{kind} can't be sent now")
        while self.full and self._phase == OPEN:
            self._bell = self._bell or Bell()
            await self._bell.wait()

    def _send(self, message: Message) -> None:
        text: str | None = message.get("text")
        self.write(text_frame(text.encode()) if text is not None else binary_frame(bytes(message["bytes"])))

    def _open(self, message: Message) -> None:
        accept, self._accept = self._accept, None
        self._transport.write(switching(accept or b"", message.get("subprotocol"), message.get("headers") or ()))
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

    def _respond(self, message: Message) -> None:
        if self._response is None:
            return
        fields, parts = self._response
        parts.append(bytes(message.get("body", b"")))
        if message.get("more_body", False):
            return
        body = b"".join(parts)
        lines = [fields.data]
        if not fields.dated:
            lines.append(self._listener.sweep.date)
        if fields.length < 0:
            lines.append(header_lines([(b"content-length", b"%d" % len(body))]))
        self._answer(b"".join([*lines, b"connection: close\r\n\r\n", body]))

    def _refuse(self, error: ClientError) -> None:
        head, body = refusal(error, self._listener.sweep.date)
        self._answer(head + body)

    def _answer(self, response: bytes) -> None:
        """Answer the handshake with a response, and close."""
        self._transport.write(response)
        self._end(_ABNORMAL, "")
        self._hang_up()

    # The end.

    def _end(self, code: int, reason: str) -> None:
        """The conversation is over; what remains is to close."""
        self._phase = CLOSING
        self._code, self._reason = code, reason
        self.write = discard
        self._full = self._drained = self._response = None
        self._accept = None
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
        return _FRAMINGS[kind]

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        self._full, self._drained = full, drained

    def close(self, code: int, reason: str, /) -> None:
        if self._phase != OPEN:
            return
        self._transport.write(close_frame(code, reason))
        self._messages.clear()
        self._queued = 0
        self._end(code, reason)
        self._read()
