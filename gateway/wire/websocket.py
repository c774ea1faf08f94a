"""One WebSocket: its ASGI application on one side, its line on the other.

It replaces the HTTP connection as the transport's protocol. This is ASGI's side: the handshake's answer, messages as
they are received and sent, and an application that fails.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.core.asgi import App, Headers, Message, Scope
from gateway.core.codes import INTERNAL, NORMAL
from gateway.errors import ClientError
from gateway.wire.bell import Bell
from gateway.wire.deflate import framings, negotiate
from gateway.wire.denial import Denial
from gateway.wire.handshake import switching
from gateway.wire.listener import log
from gateway.wire.response import refusal
from gateway.wire.websocket_line import ASKED, CLOSING, HANDSHAKE, LOST, OPEN, REFUSING, WebSocketLine

if TYPE_CHECKING:
    from gateway.wire.listener import Listener

_NO_HEADERS: Headers = []


class WebSocket(WebSocketLine):
    """`receive`, `send` and the extension `tidegate.wire` of one WebSocket."""

    __slots__ = ("_accept", "_denial", "raw_headers")

    def __init__(self, listener: Listener, transport: asyncio.Transport, raw_headers: Headers, accept: bytes) -> None:
        self._accept: bytes | None = accept
        self._denial: Denial | None = None
        self.raw_headers = raw_headers
        super().__init__(listener, transport)

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
        self._end(LOST)
        self._hang_up()

    def _end(self, goodbye: Message) -> None:
        super()._end(goodbye)
        self._denial = self._accept = None

    # tidegate.wire

    @property
    def trailers(self) -> Headers:
        return _NO_HEADERS

    def informational(self, status: int, headers: Headers, /) -> None:
        """Nothing: a handshake has no interim response."""
