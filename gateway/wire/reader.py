"""Reads requests of HTTP/1.1, one at a time: bytes in, a head, pieces of a body and an end out.

llhttp parses; this decides how much it is given: never more than one request, so that what a client sends ahead
stays bytes until it is wanted. It guards what llhttp does not: sizes and counts, and an upgrade that is ignored.
No transport, no clock, no application.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from gateway.core.asgi import Headers
from gateway.core.settings import Limits
from gateway.errors import ClientError
from gateway.wire.head import Head

_END = b"\r\n\r\n"
_LINE_BREAKS = b"\r\n"
_METHOD = re.compile(rb"[\r\n]*[A-Z]")  # what begins otherwise is no request at all

_SOME = 16
_GLANCE = 2048

# A request line about which there can be no two opinions, of a method that usually has no body.
_USUAL = re.compile(rb"(GET|HEAD|OPTIONS|DELETE) (/[!\"$-~]*) HTTP/1\.1")
_REMEMBERED = 4096  # bytes of a head that are kept for each connection; browsers send 1 KB and their cookies

_TARGET_TOO_LONG = "the request target is too long"
_HEADERS_TOO_LARGE = "the headers are too many or too large"


class Sink(Protocol):
    """Who is told of a request."""

    def begin(self, head: Head, /) -> None: ...

    def body(self, data: bytes, /) -> None: ...

    def end(self) -> None:
        """The body is complete; not called for a request without one."""


class RequestReader:
    """`whole` is true from the end of a request until `reset`; `length` is the body's that is still to come.

    `begun` is true when part of a head has been read. After ClientError nothing more may be fed.
    """

    __slots__ = (
        "_bytes", "_fields", "_head", "_headed", "_last", "_limits", "_lines", "_max_bytes", "_max_count", "_parser",
        "_sink", "_split", "_start", "_target", "_upgraded", "length", "whole",
    )  # fmt: skip

    def __init__(self, sink: Sink, limits: Limits) -> None:
        self._sink = sink
        self._limits = limits
        self._max_bytes = limits.header_bytes
        self._max_count = limits.header_count
        self._parser = HttpRequestParser(self)
        self._upgraded = False
        self._last: Head | None = None  # whose header lines were `_lines`
        self._lines = b""
        self.length = 0
        self.reset()

    def reset(self) -> None:
        """The next request may begin."""
        if self._upgraded:
            self._parser = HttpRequestParser(self)
            self._upgraded = False
        self._fields: Headers = []  # of the head, then of the trailers
        self._head: Head | None = None
        self._headed = False
        self._start = b""  # of a request line, when that comes in pieces
        self._target = b""
        self._split = False
        self._bytes = 0  # of the head, or since the last piece of a chunked body
        self.whole = False

    def close(self) -> None:
        """Let go of what refers back to here: nothing is fed any more."""
        self._parser = None  # type: ignore[assignment]
        self._sink = None  # type: ignore[assignment]
        self._last = None

    @property
    def begun(self) -> bool:
        return self._bytes > 0 and self._head is None

    @property
    def seen(self) -> tuple[str, bytes]:
        """Method and target, as far as they are known."""
        if self._head is not None:
            return self._head.method, self._target
        return (self._parser.get_method().decode(), self._target) if self._target else ("", b"")

    def feed(self, data: bytes) -> int:
        """Parse to the end of a request at most; how many bytes that took. Raises ClientError."""
        fresh = not (self._bytes or self._headed)
        if fresh and self._last is not None and (taken := self._repeated(self._last, data)):
            return taken
        at, size = 0, len(data)
        while at < size and not self.whole:
            end = self._boundary(data, at, size)
            if self._bytes > self._max_bytes and self._head is None:
                with suppress(HttpParserError):  # as much as is of interest: for the log, which line it was
                    self._parser.feed_data(memoryview(data)[at : at + _GLANCE])
                raise self._too_large(data)
            try:
                self._parser.feed_data(data if end - at == size else memoryview(data)[at:end])
            except HttpParserUpgrade:
                self._upgraded = True
            except HttpParserError as error:
                raise _translated(error, self._start.lstrip(_LINE_BREAKS) or data) from None
            if self._bytes > self._max_bytes or len(self._fields) > self._max_count:
                raise self._too_large(data)
            if self._headed and self._head is None:
                head = self._begin()
                self._remember(head, data[:end] if fresh and not at else b"")
                self._sink.begin(head)
            at = end
        if not self.whole:
            self._split = data[-1] in _LINE_BREAKS
            if not self._target:
                self._start = self._start.lstrip(_LINE_BREAKS) or data[:_SOME]
        return at

    def _repeated(self, last: Head, data: bytes) -> int:
        """Read a head whose header lines are those of the one before, as most clients' are: how many bytes it took.

        llhttp has read these lines and would read them alike; only the request line is new. 0: it has to be parsed.
        """
        end = data.find(b"\r\n")
        line = _USUAL.fullmatch(data, 0, end) if data.startswith(self._lines, end) else None
        taken = end + len(self._lines)
        if line is None or end > self._limits.target or taken > self._max_bytes:
            return 0
        method, self._target = line.groups()
        head = self._head = last.again(method, self._target)
        self._headed = self.whole = True
        self._sink.begin(head)
        return taken

    def _remember(self, head: Head, data: bytes) -> None:
        """Keep the header lines of a head, if they may be repeated: `data` is all of it, when it came in one piece."""
        self._last = None
        if head.length or self._upgraded or not head.keep_alive or not 0 < len(data) <= _REMEMBERED:
            return
        end = data.find(b"\r\n")
        if _USUAL.fullmatch(data, 0, end):
            self._last, self._lines = head, data[end:]

    def _boundary(self, data: bytes, at: int, size: int) -> int:
        """How far llhttp may read and not come to a second request.

        A body of known length ends there. A head ends with an empty line, and so does a chunked body. When
        the bytes before these ended in a line break, the end may be among the first three.
        """
        if self.length > 0:
            end = min(size, at + self.length)
            self.length -= end - at
            return end
        if self._split and at < 3:
            end = at + 1
        else:
            found = data.find(_END, at - 3 if self._split else at)
            end = found + 4 if found >= 0 else size
        self._bytes += end - at
        return end

    def _too_large(self, data: bytes) -> ClientError:
        if self._head is None:
            line = data.find(_LINE_BREAKS) % (len(data) + 1)  # all of it where there is no line break
            most = min(self._limits.target, self._max_bytes // 2)
            if len(self._target) > most or (not self._fields and line > most):
                return ClientError(414, "target_length", _TARGET_TOO_LONG)
        return ClientError(431, "headers", _HEADERS_TOO_LARGE)

    def _begin(self) -> Head:
        limits = self._limits
        if len(self._target) > limits.target:
            raise ClientError(414, "target_length", _TARGET_TOO_LONG)
        if self._bytes > limits.header_value and any(len(value) > limits.header_value for _, value in self._fields):
            raise ClientError(431, "headers", "a header is too long")
        parser = self._parser
        parts = parser.get_method(), parser.get_http_version(), self._target, self._fields
        head = self._head = Head(*parts)
        self._fields = head.trailers
        self._bytes = 0
        self.length = head.length
        self.whole = head.length == 0
        if self._upgraded and not self.whole:
            self._prime()
        return head

    def _prime(self) -> None:
        """Make llhttp read the body of an upgrade that is ignored; it would take the body for another protocol."""
        self._parser = HttpRequestParser(_Body(self))
        framing = b"content-length: %d" % self.length if self.length > 0 else b"transfer-encoding: chunked"
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + _END)

    # Callbacks of llhttp.

    def on_url(self, url: bytes) -> None:
        if self._headed:
            raise ClientError(400, "malformed", "a second request where one ends")
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, data: bytes) -> None:
        self._bytes = 0
        self._sink.body(data)

    def on_message_complete(self) -> None:
        self.whole = True
        if self._head is not None:
            self._sink.end()


class _Body:
    """The callbacks of a parser that reads one body: not its head, which is made up, nor its trailers."""

    __slots__ = ("on_body", "on_message_complete")

    def __init__(self, reader: RequestReader) -> None:
        self.on_body = reader.on_body
        self.on_message_complete = reader.on_message_complete


def _translated(error: HttpParserError, piece: bytes) -> Exception:
    """What llhttp says, as the error that a client is answered with."""
    if isinstance(error, HttpParserCallbackError):
        cause = error.__context__
        return cause if isinstance(cause, Exception) else error
    if isinstance(error, HttpParserInvalidMethodError) and _METHOD.match(piece) is not None:
        return ClientError(501, "method", "the method is not known")
    return ClientError(400, "malformed", f"the request is malformed: {error}")
