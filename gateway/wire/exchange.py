"""One HTTP request and its response, between an ASGI application and a connection.

Decides the framing of the response (RFC 9112 section 6) and when `100 Continue` is sent (RFC 9110 section
10.1.1); writes to the transport, and tells the connection when the response is complete. The head waits for
the first piece of body, so that a small response is one write. Knows nothing of parsing, limits or the next request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from gateway.core.asgi import App, Framing, Headers, Message, Scope
from gateway.errors import ClientError, TidegateError
from gateway.wire.bell import Bell
from gateway.wire.listener import log
from gateway.wire.response import CONTINUE, LAST_CHUNK, Fields, chunk, header_lines, identity, status_line

if TYPE_CHECKING:
    from gateway.wire.head import Head
    from gateway.wire.http1 import Connection

# The life of a response. HELD: its head is known but not written. DONE: all of it is written. GONE: no client.
WAITING, HELD, OPEN, TRAILERS, DONE, GONE = range(6)

# From this size on, copying a body to join it to its head costs more than writing twice.
_JOIN = 16 * 1024

_MUTE = frozenset({204, 304})  # statuses whose responses have no body


def discard(data: bytes, /) -> None:
    """`write` of a connection that is gone."""


class Exchange:
    """`receive`, `send` and the extension `tidegate.wire` of one request.

    `whole` says that the request has come to its end, `keep_alive` that the connection outlives the response,
    `expects` that the client waits for `100 Continue`, `unread` how much of the body waits to be received.
    """

    __slots__ = (
        "_bell", "_chunks", "_connection", "_drained", "_fields", "_framing", "_full", "_given", "_left", "_mute",
        "_old", "_status", "_taken", "_trailers", "expects", "full", "keep_alive", "notes", "phase", "raw_headers",
        "trailers", "unread", "whole", "write",
    )  # fmt: skip

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection = connection
        self.raw_headers = head.raw_headers
        self.notes = head.notes
        self.keep_alive = head.keep_alive
        self.whole = head.length == 0
        self.full = connection.full
        self.write: Callable[[bytes], None] = discard
        self.trailers = head.trailers
        self.phase = WAITING
        self.unread = 0
        self._old = head.version == "1.0"
        self._mute = head.method == "HEAD"
        self.expects = head.expects_continue
        self._bell: Bell | None = None
        self._chunks: list[bytes] | None = None
        self._given = self._taken = False
        self._framing: Framing = identity
        self._left = -1
        self._trailers: Headers | None = None
        self._fields: Fields | None = None
        self._full: Callable[[], None] | None = None
        self._drained: Callable[[], None] | None = None

    def start(self, app: App, scope: Scope) -> None:
        """Call the application once, and run what it returns."""
        try:
            answer = app(scope, self.receive, self.send)
        except Exception as error:
            self._failed(error)
        else:
            if not self._taken:
                self.carry(answer)

    def take(self) -> None:
        self._taken = True

    def carry(self, answer: Awaitable[None], /) -> None:
        self._taken = False
        self._connection.listener.spawn(self._run(answer))

    async def _run(self, answer: Awaitable[None]) -> None:
        """Leave the connection in order whatever the application does."""
        try:
            await answer
            if self.phase < DONE and not self._taken:
                raise RuntimeError("the application returned before its response was complete")
        except Exception as error:
            self._failed(error)
        finally:
            if self.phase < DONE and not self._taken:
                self._connection.abort()
            self._connection.listener.done()

    def _failed(self, error: Exception) -> None:
        """A bug; or, once the response has begun, the way to say on purpose that it can't be completed."""
        if isinstance(error, TidegateError) and self.phase >= OPEN:
            log.debug("a response was broken off: %s", error)
        else:
            log.error("the application failed", exc_info=error)
        if self.phase < OPEN:
            self._connection.refuse(ClientError(500, "internal", "the request could not be answered"))
        elif self.phase < DONE:
            self._connection.abort()

    # The request, from the connection.

    def feed(self, data: bytes) -> None:
        """A piece of the body."""
        self.unread += len(data)
        if self._chunks is None:
            self._chunks = [data]
        else:
            self._chunks.append(data)
        self._ring()

    def end(self) -> None:
        """The body is complete."""
        self.whole = True
        self._ring()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()

    def gone(self) -> None:
        """The client has left, or was answered in the application's place."""
        if self.phase < DONE:
            self._finish(GONE)

    def stalled(self) -> None:
        """The write buffer is above its high-water mark."""
        self.full = True
        if self._full is not None and self.phase < DONE:
            self._full()

    def flowing(self) -> None:
        """The write buffer has drained."""
        self.full = False
        if self._drained is not None and self.phase < DONE:
            self._drained()

    # ASGI.

    async def receive(self) -> Message:
        while self.phase < DONE:
            if self._chunks or (self.whole and not self._given):
                return self._request()
            if self.expects:
                self.informational(100, [])
            self._bell = self._bell or Bell()
            await self._bell.wait()
        return {"type": "http.disconnect"}

    def _request(self) -> Message:
        chunks, self._chunks = self._chunks or (), None
        self._given = self.whole
        if self.unread:
            self.unread = 0
            self._connection.resume()
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return {"type": "http.request", "body": body, "more_body": not self.whole}

    async def send(self, message: Message) -> None:
        if self.phase == GONE:
            return
        kind = message["type"]
        if kind == "http.response.body":
            self._body(bytes(message.get("body", b"")), more=message.get("more_body", False))
        elif kind == "http.response.start" and self.phase == WAITING:
            if message.get("trailers", False):
                self._trailers = []
            status, reason = message["status"], message.get("tidegate.reason", b"")
            self._start(status, Fields(status, message.get("headers", ()), reason))
            return
        elif kind == "http.response.trailers" and self.phase == TRAILERS:
            self._trail(message)
        else:
            raise RuntimeError(f"{kind} can't be sent now")
        connection = self._connection
        while connection.full and self.phase < DONE:
            await connection.bell.wait()

    def _start(self, status: int, fields: Fields) -> None:
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is not the status of a response")
        self._fields = fields
        self.keep_alive = self.keep_alive and not fields.close
        if status in _MUTE:
            self._mute = True
        self.phase = HELD
        self.write = self._write_first

    def _body(self, data: bytes, *, more: bool) -> None:
        head = b""
        if self.phase == HELD:
            head = self._head(final=not more)
        elif self.phase != OPEN:
            raise RuntimeError("http.response.body can't be sent now")
        last = not more and self._trailers is None
        data = self._framed(data, last=last)
        connection = self._connection
        if len(data) > _JOIN and head:
            connection.transport.write(head)
            connection.transport.write(data)
        elif head and last:
            connection.write_whole(head + data)
        elif head or data:
            connection.transport.write(head + data)
        if last:
            self._complete()
        elif not more:
            self.phase = TRAILERS

    def _framed(self, data: bytes, *, last: bool) -> bytes:
        if self._mute:
            return b""
        if self._framing is chunk:
            return chunk(data) + LAST_CHUNK if last else chunk(data)
        if self._left >= 0:
            if len(data) > self._left:
                raise RuntimeError("the body is longer than its content-length")
            self._left -= len(data)
        return data

    def _head(self, *, final: bool) -> bytes:
        """The head's bytes, and the framing of what follows; `final` when all of the body follows at once."""
        fields, connection = self._fields, self._connection
        if fields is None:
            raise RuntimeError("no response has been started")
        keep = self.keep_alive and not (self.expects or connection.listener.closing)
        if final and not self.whole and not connection.may_discard():
            keep = False
        end = connection.listener.end
        if fields.length >= 0:
            self._left = fields.length
        elif self._mute:
            pass
        elif self._old:
            keep = False
        else:
            self._framing = chunk
            end = b"transfer-encoding: chunked\r\n" + end
        if not keep:
            end = b"connection: close\r\n" + end
        elif self._old:
            end = b"connection: keep-alive\r\n" + end
        self.keep_alive = keep
        self._fields = None
        self.phase = OPEN
        self.write = discard if self._mute else connection.transport.write
        return fields.data + end if fields.dated else fields.data + connection.listener.sweep.date + end

    def _trail(self, message: Message) -> None:
        trailers = self._trailers if self._trailers is not None else []
        trailers += message.get("headers", ())
        if message.get("more_trailers", False):
            return
        if self._framing is chunk:
            self._connection.transport.write(b"0\r\n" + header_lines(trailers) + b"\r\n")
        self._complete()

    def _complete(self) -> None:
        if self._left > 0 and not self._mute:
            raise RuntimeError("the body is shorter than its content-length")
        self._finish(DONE)
        self._connection.answered(self)

    def _finish(self, phase: int) -> None:
        self.phase = phase
        self.write = discard
        self._full = self._drained = self._chunks = None
        self.unread = 0
        if self._bell is not None:
            self._bell.ring()

    # tidegate.wire

    def answer(self, status: int, headers: Headers, body: bytes, notes: dict[object, Any], reason: bytes, /) -> None:
        if self.phase != WAITING:
            return
        fields: Fields | None = notes.get(Fields)
        if fields is None:
            fields = notes[Fields] = Fields(status, headers, reason)
        if self._usual(status, fields) and fields.length == len(body) <= _JOIN:
            connection = self._connection
            date = b"" if fields.dated else connection.listener.sweep.date
            self._finish(DONE)
            connection.write_whole(b"%b%b%b%b" % (fields.data, date, connection.listener.end, body))
            connection.answered(self)
        else:
            self._start(status, fields)
            self._body(body, more=False)

    def _usual(self, status: int, fields: Fields) -> bool:
        """Whether nothing has to be decided: HTTP/1.1, a body, a whole request, and another may follow."""
        if self._mute or self._old or self.expects or fields.close or not (self.whole and self.keep_alive):
            return False
        return 200 <= status <= 999 and status not in _MUTE and not self._connection.listener.closing

    def informational(self, status: int, headers: Headers, /) -> None:
        if not 100 <= status < 200 or status == 101:
            raise ValueError(f"{status} is not the status of an interim response")
        if self._old or self.phase > HELD:
            return
        if status == 100:
            self.expects = False
        data = status_line(status) + header_lines(headers) + b"\r\n" if headers or status != 100 else CONTINUE
        self._connection.transport.write(data)

    @property
    def buffered(self) -> int:
        return self._connection.transport.get_write_buffer_size() if self.phase < DONE else 0

    def framing(self, kind: str, /) -> Framing:
        if kind != "body":
            raise ValueError(f"a response has no framing {kind!r}, only 'body'")
        self._flush()
        return self._framing

    def _write_first(self, data: bytes, /) -> None:
        self._flush()
        self.write(data)

    def _flush(self) -> None:
        """Write the head that was held, for a body that comes as ready bytes."""
        if self.phase == HELD:
            self._connection.transport.write(self._head(final=False))

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        self._full, self._drained = full, drained

    def close(self, code: int, reason: str, /) -> None:
        self._flush()
        if self.phase != OPEN:
            return
        if self._framing is chunk:
            self._connection.transport.write(LAST_CHUNK)
        self._left = -1
        self._complete()
