"""Reads one answer of an HTTP/1.1 upstream: bytes in, an answer out. No transport, no clock.

What must be known beside what llhttp knows: the answer to HEAD has no body; 1xx answers come before the final
one; heads, trailers and chunk headers are bounded; what follows the end of an answer is not the next answer,
because nothing was asked. Whatever an upstream sends, nothing but UpstreamProtocolError is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gateway.core.headers import Rules
from gateway.errors import UpstreamProtocolError
from gateway.wire.repeats import Repeat, Repeats

if TYPE_CHECKING:
    from typing import Any

    from gateway.core.asgi import Headers

# nginx allows an answer's head 4 to 8 KB, Node 16 KB, Envoy 60 KB; a backend that needs more is broken.
MAX_HEAD = 64 * 1024
MAX_HEADERS = 256
# More 1xx answers than any protocol needs: 102 comes every 20 s where it is used at all.
MAX_INFORMATIONAL = 32

_LENGTH, _TRANSFER = 1, 2
_rules = Rules(lambda name: {b"content-length": _LENGTH, b"transfer-encoding": _TRANSFER}.get(name, 0))

_VERSIONS = frozenset(("1.1", "1.0"))
# How llhttp begins to refuse a Content-Length among the trailers, where it means nothing: RFC 9110 section 6.5.1 has
# recipients ignore it. All of the body has come by then.
_LATE_LENGTH = "Content-Length can't be present"


class AnswerParser:
    """llhttp for the answers of one connection, one after the other: to make a parser costs more than to use it.

    What it reads goes to `answer`, headers and trailers to `fields`. `fresh` says that it stands at the beginning of
    an answer, or will: it does not after the answer to HEAD, whose head it takes for the beginning of a body.
    `repeats` are the heads that need not be parsed again.
    """

    __slots__ = ("answer", "fields", "fresh", "llhttp", "repeats")

    def __init__(self, repeats: Repeats | None = None) -> None:
        self.repeats = Repeats() if repeats is None else repeats
        self.answer: Incoming | None = None
        self.fields: Headers = []
        self.fresh = True
        self.llhttp = HttpResponseParser(self)

    # llhttp calls these, and swallows what they raise: they only pass on.

    def on_message_begin(self) -> None:
        if self.answer is not None:
            self.answer.on_message_begin()

    def on_status(self, reason: bytes) -> None:
        if self.answer is not None:
            self.answer.on_status(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.answer is not None:
            self.answer.on_headers_complete()

    def on_body(self, data: bytes) -> None:
        if self.answer is not None:
            self.answer.on_body(data)

    def on_message_complete(self) -> None:
        if self.answer is not None:
            self.answer.on_message_complete()


class Incoming:
    """An answer while it arrives; headers are the bytes that came.

    `begun`: a byte of it was seen. `headed`: the final head is here. `complete`: all of it is.
    `reusable`: the connection may carry another request after it. `between`: 1xx answers, to be taken away
    by the owner. `buffered`: how much of the body waits for `take`. `notes`: as UpstreamCall has them.
    """

    __slots__ = (
        "_chunked",
        "_informational",
        "_parser",
        "_pieces",
        "_quiet",
        "_version",
        "_without_body",
        "_wrong",
        "begun",
        "between",
        "buffered",
        "complete",
        "headed",
        "headers",
        "notes",
        "reason",
        "reusable",
        "status",
        "trailers",
    )

    def __init__(self, method: bytes, parser: AnswerParser) -> None:
        self.status = self.buffered = 0
        self.reason = b""
        self.headers: Headers = []
        self.trailers: Headers = []
        self.notes: dict[object, Any] = {}
        self.between: list[tuple[int, Headers]] = []
        self.begun = self.headed = self.complete = self.reusable = False
        self._pieces: list[bytes] = []
        self._informational = self._quiet = 0
        self._chunked = False
        self._wrong = self._version = ""
        self._without_body = method == b"HEAD"
        self._parser = parser
        parser.answer = self
        parser.fields = self.headers

    def feed(self, data: bytes) -> None:
        """Read what came; not to be called again once complete, or after it raised UpstreamProtocolError."""
        first = not (self.begun or self._without_body)
        self.begun = True
        if first and (known := self._parser.repeats.find(data)) is not None:
            self._repeat(known, data)
            return
        headed = self.headed
        try:
            if not headed and len(data) > (room := MAX_HEAD - self._quiet):
                self._feed(data[:room])  # so that a head above the limit can't hide in one big read
                data = data[room:]
            self._feed(data)
        except UpstreamProtocolError:
            # Nobody was told of a head that came with this: it is not the head of an answer, nor is that whole.
            self.headed, self.complete = headed, False
            raise
        if self.complete:
            if first and self.reusable:
                self._parser.repeats.add(data, self, self.buffered)
            self._part()

    def _repeat(self, known: Repeat, data: bytes) -> None:
        """Take a whole answer whose head was read before."""
        self.status, self.reason, self.headers, self.notes = known.status, known.reason, known.headers, known.notes
        if known.length:
            self._pieces.append(data[-known.length :])
            self.buffered = known.length
        self.headed = self.complete = self.reusable = True
        self._part()

    def eof(self) -> None:
        """The upstream closes: the end of a body that has no other end, else UpstreamProtocolError."""
        if not self.headed:
            raise UpstreamProtocolError("closed the connection without an answer")
        if self._chunked or any(name.lower() == b"content-length" for name, _ in self.headers):
            raise UpstreamProtocolError("closed the connection in the middle of an answer")
        self.complete = True
        self._part()

    def _part(self) -> None:
        """The parser goes on to the next answer, and must not keep this one."""
        self._parser.answer = None
        del self._parser

    def take(self) -> bytes:
        """The body as far as it is here and was not taken yet."""
        pieces, self._pieces, self.buffered = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def take_some(self, least: int) -> bytes:
        """As `take`, but no more than what came together once there are `least` bytes."""
        if self.buffered <= least:
            return self.take()
        pieces, size, count = self._pieces, 0, 0
        while size < least:
            size += len(pieces[count])
            count += 1
        data = pieces[0] if count == 1 else b"".join(pieces[:count])
        del pieces[:count]
        self.buffered -= size
        return data

    def _feed(self, data: bytes) -> None:
        self._quiet += len(data)
        try:
            self._parser.llhttp.feed_data(data)
        except HttpParserUpgrade:
            self._wrong = "switched protocols unasked"
        except HttpParserError as error:
            if self.headed and not self.complete and str(error).startswith(_LATE_LENGTH):
                self._end()
            self.reusable = False
            if not self.complete:
                raise UpstreamProtocolError(f"sent what is not HTTP/1.1: {error}") from error
        if self._quiet >= MAX_HEAD and not self.complete:
            self._wrong = f"sent headers above {MAX_HEAD} bytes"
        if self._wrong:
            raise UpstreamProtocolError(self._wrong)

    # The parser calls these: they only take note.

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False

    def on_status(self, reason: bytes) -> None:
        if not self.headed:
            self.reason += reason

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self._parser.llhttp.get_status_code()
        if status < 200:
            self._between(status)
            return
        self.status = status
        self.headed = True
        self._quiet = 0
        self._parser.fields = self.trailers
        for name, value in self.headers:
            if _rules[name]:
                self._framing(name, value)
        self._version = self._parser.llhttp.get_http_version()
        if status > 599 or len(self.headers) > MAX_HEADERS or self._version not in _VERSIONS:
            self._wrong = self._wrong or f"sent HTTP/{self._version}, status {status}, {len(self.headers)} headers"
        if self._without_body:
            self._parser.fresh = False
            self._end()

    def _framing(self, name: bytes, value: bytes) -> None:
        """Look closer at a header that frames; llhttp leaves the space behind its value."""
        if _rules[name] == _TRANSFER:
            if self._chunked or value.strip().lower() != b"chunked":
                self._wrong = "used a transfer coding that it was not offered"
            self._chunked = True
        elif not value.isdigit():
            self.headers[self.headers.index((name, value))] = name, value.rstrip(b" \t")

    def on_body(self, data: bytes) -> None:
        if self.complete or not self.headed:
            self.reusable = False
            self._wrong = self._wrong if self.complete else "sent a body with a 1xx answer"
            return
        self._quiet = 0
        self._pieces.append(data)
        self.buffered += len(data)

    def on_message_complete(self) -> None:
        if self.headed and not self.complete:
            self._end()

    def _end(self) -> None:
        self.complete = True
        # RFC 9112 section 6.1: chunks of HTTP/1.0 may not mean to its sender what they mean to us.
        self.reusable = self._parser.llhttp.should_keep_alive() and not (self._chunked and self._version == "1.0")
        self._parser.fields = []  # of what follows, which nobody asked for
        if len(self.trailers) > MAX_HEADERS:
            self._wrong = f"sent more than {MAX_HEADERS} trailers"

    def _between(self, status: int) -> None:
        self._informational += 1
        if status < 100 or self._informational > MAX_INFORMATIONAL:
            self._wrong = f"sent status {status}" if status < 100 else "sent too many 1xx answers"
        self.between.append((status, self.headers))
        self.headers = self._parser.fields = []
        self.reason = b""
