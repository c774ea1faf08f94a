"""Asks an upstream for a WebSocket: a connection of its own, one handshake, and what came of it.

The handshake's answer is read as strictly as any other; what follows a 101 is nobody's business here. A refusal is
a whole answer, which is small. Decides nothing about the client.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.core.asgi import Headers
from gateway.core.http import Answer, header
from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout
from gateway.wire.handshake import accepted
from gateway.wire.head import tokens
from gateway.wire.incoming import MAX_HEAD, MAX_HEADERS, MAX_INFORMATIONAL, AnswerParser, Incoming

if TYPE_CHECKING:
    from gateway.core.settings import UpstreamSettings
    from gateway.wire.connect import Connector

# A page that says "log in first" is some kilobytes; whatever is larger is no answer to a handshake.
MAX_REFUSAL = 256 * 1024

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9])(?: [^\r\n]*)?\r\n")
_SWITCHING = 101


class Upgraded:
    """A connection that speaks WebSocket now: `headers` came with the 101, `rest` after it.

    Reading is paused. `idle` is how long nothing may move. Whoever has it must join it or close it.
    """

    __slots__ = ("headers", "idle", "rest", "transport")

    status = _SWITCHING

    def __init__(self, transport: asyncio.Transport, headers: Headers, rest: bytes) -> None:
        self.transport = transport
        self.idle = 0.0
        self.headers = headers
        self.rest = rest

    def close(self) -> None:
        """Give it up."""
        self.transport.abort()


class Knock(asyncio.Protocol):
    """The connection until it is answered; `answer` then has what came, or UpstreamProtocolError."""

    def __init__(self, request: bytes, key: bytes) -> None:
        self._request = request
        self._key = key
        self._data = bytearray()
        self._interim = 0
        self._refusal: Incoming | None = None
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Upgraded | Answer] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.answer.done():
            return
        try:
            if self._refusal is not None:
                self._read(self._refusal, data)
            else:
                self._data += data
                self._look()
        except UpstreamProtocolError as error:
            self.answer.set_exception(error)

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer.done():
            return
        try:
            if self._refusal is None:
                raise UpstreamProtocolError("closed the connection without an answer")
            self._refusal.eof()
            self._complete(self._refusal)
        except UpstreamProtocolError as error:
            self.answer.set_exception(error)

    def _look(self) -> None:
        """Whether the head is here, and what it says."""
        while (end := self._data.find(b"\r\n\r\n") + 4) > 3:
            head = bytes(self._data[:end])
            match = _STATUS.match(head)
            if match is None:
                raise UpstreamProtocolError("sent what is not HTTP/1.1")
            status = int(match[1])
            if status >= 200:
                data, self._data = bytes(self._data), bytearray()
                self._refusal = Incoming(b"GET", AnswerParser())
                self._read(self._refusal, data)
                return
            if status == _SWITCHING:
                self._switch(head, bytes(self._data[end:]))
                return
            del self._data[:end]
            self._interim += 1
            if self._interim > MAX_INFORMATIONAL:
                raise UpstreamProtocolError("sent too many 1xx answers")
        if len(self._data) > MAX_HEAD:
            raise UpstreamProtocolError(f"sent headers above {MAX_HEAD} bytes")

    def _switch(self, head: bytes, rest: bytes) -> None:
        headers = _headers(head)
        accepts = [value.strip() for name, value in headers if name.lower() == b"sec-websocket-accept"]
        if (
            b"websocket" not in tokens(header(headers, b"upgrade") or b"")
            or b"upgrade" not in tokens(header(headers, b"connection") or b"")
            or accepts != [accepted(self._key)]
        ):
            raise UpstreamProtocolError("sent a 101 that does not answer the WebSocket handshake")
        assert self.transport is not None
        self.transport.pause_reading()
        self.answer.set_result(Upgraded(self.transport, headers, rest))

    def _read(self, refusal: Incoming, data: bytes) -> None:
        refusal.feed(data)
        if refusal.buffered > MAX_REFUSAL:
            raise UpstreamProtocolError(f"refused a WebSocket with a body above {MAX_REFUSAL} bytes")
        if refusal.complete:
            self._complete(refusal)

    def _complete(self, refusal: Incoming) -> None:
        body = refusal.take()
        self.answer.set_result(Answer(status=refusal.status, headers=tuple(refusal.headers), body=body))


class _Fields:
    """What llhttp finds in a head."""

    def __init__(self) -> None:
        self.headers: Headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


def _headers(head: bytes) -> Headers:
    fields = _Fields()
    try:
        HttpResponseParser(fields).feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError as error:
        raise UpstreamProtocolError(f"sent what is not HTTP/1.1: {error}") from error
    if len(fields.headers) > MAX_HEADERS:
        raise UpstreamProtocolError(f"sent more than {MAX_HEADERS} headers")
    return fields.headers


async def upgrade(settings: UpstreamSettings, connector: Connector, request: bytes, key: bytes) -> Upgraded | Answer:
    """Send a handshake with this `Sec-WebSocket-Key`. Raises UpstreamError."""
    knock = await connector.connect(lambda: Knock(request, key))
    switched = False
    try:
        async with asyncio.timeout(settings.timeouts.response):
            answer = await knock.answer
        if isinstance(answer, Upgraded):
            switched = True
            answer.idle = settings.timeouts.tunnel
        return answer
    except TimeoutError as error:
        words = f"upstream {settings.name!r} did not answer within {settings.timeouts.response:g} s"
        raise UpstreamTimeout(words) from error
    except UpstreamError as error:
        raise type(error)(f"upstream {settings.name!r} {error}") from error
    finally:
        if knock.transport is not None and not switched:
            knock.transport.abort()
