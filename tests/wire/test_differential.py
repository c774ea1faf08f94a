"""Our reading of generated and mutated requests against that of h11 and of httptools, and what we make of them.

Three things must hold for any bytes. How they are cut does not change what they mean. A request that is accepted
means to the others what it means to us, unless they refuse it. And what is written upstream of it is one request to
everybody, with the same method, body and headers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import h11
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.asgi import Headers
from gateway.core.headers import request_headers, trailer_headers
from gateway.core.settings import Limits
from gateway.errors import ClientError
from gateway.wire.head import CHUNKED
from gateway.wire.outgoing import chunk, framed, last_chunk, request_head
from gateway.wire.reader import RequestReader
from tests.corpus.passed import PASSED
from tests.corpus.requests import REFUSED
from tests.wire.test_reader import Request, Requests

CASES = [case[0] for case in PASSED.values()] + [case[0] for case in REFUSED.values()]
SEEDS = [data for data in CASES if len(data) < 1500]  # far below every limit: sizes are another test's subject
PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\x0b", b":", b",", b";", b"0", b"5", b"-", b"+", b"_", b"#", b"?",
    b"%",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Host: y\r\n",
    b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"hello", b"GET / HTTP/1.1\r\n",
    b"HTTP/1.0", b"\xff", b"chunked", b"Expect: 100-continue\r\n",
]  # fmt: skip


# The host of a URL in the request line is ours to put into Host; h11 lowers the coding's case.
_ASIDE = (b"host", b"transfer-encoding")


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """One to three requests of the corpus, with up to four mutations."""
    data = b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 3))
        piece = draw(st.one_of(st.just(b""), st.sampled_from(PIECES), st.binary(max_size=2)))
        data = data[:at] + piece + data[at + gone :]
    return data


def ours(data: bytes, sizes: list[int]) -> tuple[list[Request], tuple[int, str] | None]:
    """The requests, the last of them perhaps not ended, and the refusal if there is one."""
    requests = Requests()
    reader = RequestReader(requests, Limits())
    at = count = 0
    try:
        while at < len(data):
            size = sizes[count % len(sizes)]
            rest, at, count = data[at : at + size], at + size, count + 1
            while rest:
                rest = rest[reader.feed(rest) :]
                if reader.whole:
                    requests.all[-1].ended = True
                    reader.reset()
    except ClientError as error:
        return requests.all, (error.status, error.code)
    return requests.all, None


def told(requests: list[Request]) -> list[tuple[object, ...]]:
    return [
        (one.head.method, one.head.path, one.head.query, one.head.raw_headers, one.head.trailers, one.body, one.ended)
        for one in requests
    ]


@given(streams(), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_the_meaning_does_not_depend_on_the_cut(data: bytes, sizes: list[int]) -> None:
    requests, refusal = ours(data, [len(data) or 1])
    cut, cut_refusal = ours(data, sizes)
    assert cut_refusal == refusal
    whole = [one for one in told(requests) if one[-1]]
    assert [one for one in told(cut) if one[-1]] == whole


# Not the empty line: a header line is then taken for a request line, and whether that is a method depends on the cut.
LINES = sorted({data.partition(b"\r\n")[0] for data in SEEDS} - {b""})
HEADERS = [
    b"\r\nHost: x\r\n\r\n",
    b"\r\nHost: x\r\nA: b \r\nCookie: a=b\r\n\r\n",
    b"\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
]


@given(st.lists(st.sampled_from(LINES), max_size=4), st.sampled_from(HEADERS), st.integers(1, 9))
def test_header_lines_that_are_repeated_are_read_as_before(lines: list[bytes], headers: bytes, size: int) -> None:
    """A head that comes whole after one with the same header lines is read by its request line alone."""
    data = b"".join(line + headers for line in (b"GET /first HTTP/1.1", *lines, b"GET /last? HTTP/1.1"))
    requests, refusal = ours(data, [len(data)])
    parsed, parsed_refusal = ours(data, [size])
    assert (told(requests), refusal) == (told(parsed), parsed_refusal)
    assert [one.head.bare_query for one in requests] == [one.head.bare_query for one in parsed]


@st.composite
def repeated(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A whole request, and one whose head is nearly the same: another line, something more or less between lines."""
    first = draw(st.sampled_from(REMEMBERED))
    line, _, lines = first.partition(b"\r\n")
    second = draw(st.sampled_from([line, *LINES])) + b"\r\n" + lines
    breaks = [at for at in range(len(second)) if second[at : at + 2] == b"\r\n"]
    at = draw(st.sampled_from(breaks)) + draw(st.sampled_from([0, 2, 2, -1]))
    piece = draw(st.sampled_from([b"", b"", *PIECES]) | st.binary(max_size=2))
    return first, second[:at] + piece + second[at + draw(st.sampled_from([0, 0, 1, 2])) :] + draw(
        st.sampled_from(TAILS)
    )


def _alone(data: bytes) -> bool:
    """Whether it is one whole request that another one may follow."""
    requests, refusal = ours(data, [len(data)])
    return refusal is None and len(requests) == 1 and requests[0].ended and requests[0].head.keep_alive


REMEMBERED = [
    data
    for seed in [*SEEDS, *(b"GET /first HTTP/1.1" + headers for headers in HEADERS)]
    if _alone(data := seed.replace(b"Connection: close\r\n", b""))
]
TAILS = [b"", b"hello", b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"]


@given(repeated())
def test_a_head_that_is_nearly_repeated_is_read_as_on_a_new_connection(pair: tuple[bytes, bytes]) -> None:
    first, second = pair
    alone, alone_refusal = ours(second, [len(second) or 1])
    both, both_refusal = ours(first + second, [len(first), len(second) or 1])
    assert (told(both[1:]), both_refusal) == (told(alone), alone_refusal)
    for one, other in zip(both[1:], alone, strict=True):
        for part in ("bare_query", "headers", "keep_alive", "expects_continue", "length", "upgrade", "version"):
            assert getattr(one.head, part) == getattr(other.head, part)


def by_h11(data: bytes) -> tuple[bytes, Headers, bytes] | None:
    """Method, headers and body of the first request; None when h11 refuses it, or waits for more."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
    try:
        server.receive_data(data)
        event = server.next_event()
        if not isinstance(event, h11.Request):
            return None
        fields, method, body = event.headers.raw_items(), event.method, b""
        while not isinstance(event := server.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return None
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return None
    return method, fields + event.headers.raw_items(), body


@dataclass
class Httptools:
    """The first message as httptools tells of it, and how many there are."""

    headers: Headers = field(default_factory=list)
    body: bytes = b""
    ended: int = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.ended:
            self.headers.append((name, value.rstrip(b" \t")))

    def on_body(self, data: bytes) -> None:
        self.body += b"" if self.ended else data

    def on_message_complete(self) -> None:
        self.ended += 1


def by_httptools(data: bytes) -> tuple[bytes, Httptools] | None:
    told = Httptools()
    parser = HttpRequestParser(told)
    try:
        parser.feed_data(data)
    except HttpParserUpgrade:
        return None
    except HttpParserError:
        if not told.ended:
            return None
    return (parser.get_method(), told) if told.ended == 1 else None


@given(streams())
def test_what_is_accepted_means_the_same_to_others(data: bytes) -> None:
    requests, _ = ours(data, [len(data) or 1])
    if not requests or not requests[0].ended:
        return
    first = requests[0]
    fields = [pair for pair in first.head.raw_headers + first.head.trailers if pair[0].lower() not in _ASIDE]
    theirs = by_h11(data)
    if theirs is not None:
        headers = [pair for pair in theirs[1] if pair[0].lower() not in _ASIDE]
        assert (first.head.method.encode(), first.body, fields) == (theirs[0], theirs[2], headers)
    parsed = by_httptools(data)
    if parsed is not None and len(requests) == 1:
        headers = [pair for pair in parsed[1].headers if pair[0].lower() not in _ASIDE]
        assert (first.body, fields) == (parsed[1].body, headers)


def written(request: Request) -> bytes:
    """What goes upstream of it, by the same functions as in the proxy."""
    head = request.head
    headers = request_headers(head.raw_headers, host=None, trailers=True, added=())
    target = head.path + (b"?" + head.query if head.query or head.bare_query else b"")
    if head.length == CHUNKED:
        headers, _ = framed(headers, None, b"shop")
        body = (chunk(request.body) if request.body else b"") + last_chunk(trailer_headers(head.trailers))
    else:
        headers, _ = framed(headers, request.body, b"shop")
        body = request.body
    return request_head(head.method.encode(), target, headers) + body


@given(streams())
def test_what_is_written_is_one_request_to_everybody(data: bytes) -> None:
    requests, _ = ours(data, [len(data) or 1])
    for request in requests:
        if not request.ended:
            continue
        out = written(request)
        again, refusal = ours(out, [len(out)])
        assert refusal is None
        assert [one.body for one in again] == [request.body]
        assert (again[0].head.method, again[0].head.path) == (request.head.method, request.head.path)
        theirs = by_h11(out)
        assert theirs is not None
        assert theirs == (
            request.head.method.encode(),
            again[0].head.raw_headers + again[0].head.trailers,
            request.body,
        )
        parsed = by_httptools(out)
        assert parsed is not None
        assert parsed[1].body == request.body
