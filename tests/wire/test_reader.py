from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.asgi import Headers
from gateway.core.settings import Limits
from gateway.errors import ClientError
from gateway.wire.head import Head
from gateway.wire.reader import RequestReader

LIMITS = Limits(header_bytes=2000, header_count=10)


@dataclass
class Request:
    head: Head
    body: bytes = b""
    ended: bool = False


@dataclass
class Requests:
    """A sink that remembers."""

    all: list[Request] = field(default_factory=list)

    def begin(self, head: Head, /) -> None:
        self.all.append(Request(head))

    def body(self, data: bytes, /) -> None:
        self.all[-1].body += data

    def end(self) -> None:
        self.all[-1].ended = True


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def halves(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2], data[len(data) // 2 :]]


Way = Callable[[bytes], list[bytes]]
WAYS = [whole, halves, bytewise]


def read(pieces: list[bytes], limits: Limits = LIMITS) -> list[Request]:
    """All requests in the pieces, the next one begun only when one is over."""
    requests = Requests()
    reader = RequestReader(requests, limits)
    for piece in pieces:
        rest = piece
        while rest:
            taken = reader.feed(rest)
            rest = rest[taken:]
            if reader.whole:
                reader.reset()
            else:
                assert not rest, "more was to be read of this request"
    return requests.all


GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello\r\n\r\n!!"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\n4\r\n\r\n\r\n\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"
)
EMPTY_CHUNKED = b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
H2C_GET = b"GET /u HTTP/1.1\r\nHost: x\r\n" + H2C + b"\r\n"
H2C_POST = POST.replace(b"Host: x\r\n", b"Host: x\r\n" + H2C)
H2C_CHUNKED = CHUNKED.replace(b"Host: x\r\n", b"Host: x\r\n" + H2C)

BODIES = {
    GET: b"",
    POST: b"hello\r\n\r\n!!",
    CHUNKED: b"hello\r\n\r\n",
    EMPTY_CHUNKED: b"",
    H2C_GET: b"",
    H2C_POST: b"hello\r\n\r\n!!",
    H2C_CHUNKED: b"hello\r\n\r\n",
    b"\r\n" + GET: b"",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", BODIES)
@pytest.mark.parametrize("second", BODIES)
def test_requests_one_after_the_other(first: bytes, second: bytes, way: Way) -> None:
    got = read(way(first + second + GET))
    assert [request.body for request in got] == [BODIES[first], BODIES[second], b""]
    assert all(request.ended == (request.head.length != 0) for request in got)
    assert [request.head.path for request in got][2] == b"/a"


def next_head(first: bytes, second: bytes) -> tuple[Head, bool]:
    """The head of a second request, and whether its header lines were not read again."""
    one, two = read([first, second])
    return two.head, two.head.headers is one.head.headers


LINES = b"Host: x\r\nAccept: a\r\n\r\n"


@pytest.mark.parametrize("line", [b"GET /a", b"HEAD /", b"OPTIONS /a?b", b"DELETE /a??", b"GET /%2e;x=1?"])
def test_header_lines_that_are_repeated_are_not_read_again(line: bytes) -> None:
    request = line + b" HTTP/1.1\r\n" + LINES
    got, repeated = next_head(b"GET /b?c HTTP/1.1\r\n" + LINES, request)
    [alone] = read([request])
    assert repeated
    for part in ("method", "path", "query", "bare_query", "headers", "raw_headers", "keep_alive", "length", "version"):
        assert getattr(got, part) == getattr(alone.head, part)


@pytest.mark.parametrize(
    "first",
    [
        b"POST / HTTP/1.1\r\n" + LINES,
        b"\r\nGET / HTTP/1.1\r\n" + LINES,
        b"GET / HTTP/1.1\r\nX: " + b"x" * 1000 + b"\r\nY: " + b"y" * 4000 + b"\r\n" + LINES,
    ],
)
def test_what_is_not_remembered(first: bytes) -> None:
    limits = Limits(header_bytes=10_000, header_count=10)
    [one, two] = read([first, b"GET / HTTP/1.1\r\n" + first.partition(b"HTTP/1.1\r\n")[2]], limits)[:2]
    assert two.head.headers is not one.head.headers


@pytest.mark.parametrize("line", [b"POST /", b"GET *", b"GET http://x/", b"GET /#", b"GET /\x80", b"PURGE /"])
def test_unusual_request_lines_are_always_parsed(line: bytes) -> None:
    answers = []
    for before in (b"", b"GET /b HTTP/1.1\r\n" + LINES):
        try:
            got = read([before, line + b" HTTP/1.1\r\n" + LINES])[-1].head
            answers.append((got.method, got.path, got.headers))
        except ClientError as error:
            answers.append((error.status, error.code))  # type: ignore[arg-type]
    assert answers[0] == answers[1]


def test_what_is_seen_of_a_repeated_head() -> None:
    reader = RequestReader(Requests(), LIMITS)
    for line in (b"GET /a", b"HEAD /b?c"):
        reader.reset()
        reader.feed(line + b" HTTP/1.1\r\n" + LINES)
    assert reader.seen == ("HEAD", b"/b?c")
    assert not reader.begun


@given(st.lists(st.sampled_from(list(BODIES)), max_size=5), st.lists(st.integers(1, 80), min_size=1, max_size=60))
def test_however_the_bytes_are_cut(requests: list[bytes], sizes: list[int]) -> None:
    data, at = b"".join(requests), 0
    pieces: list[bytes] = []
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    got = read(pieces)
    assert [request.body for request in got] == [BODIES[request] for request in requests]


@pytest.mark.parametrize("requests", [EMPTY_CHUNKED + GET, CHUNKED + GET, GET + POST, POST + GET])
def test_wherever_the_bytes_are_cut_in_two(requests: bytes) -> None:
    expected = [request.body for request in read([requests])]
    for at in range(1, len(requests)):
        assert [request.body for request in read([requests[:at], requests[at:]])] == expected


@pytest.mark.parametrize("way", WAYS)
def test_headers_and_trailers(way: Way) -> None:
    (got,) = read(way(CHUNKED))
    assert got.head.raw_headers == [(b"Host", b"x"), (b"Transfer-Encoding", b"chunked")]
    assert got.head.trailers == [(b"X-Sum", b"1"), (b"X-Other", b"2")]


def test_it_stops_at_the_end_of_a_request() -> None:
    requests = Requests()
    reader = RequestReader(requests, LIMITS)
    assert reader.feed(GET + GET) == len(GET)
    assert reader.whole
    assert len(requests.all) == 1
    reader.reset()
    assert not reader.whole


def test_what_is_known_of_a_request_that_is_not_complete() -> None:
    reader = RequestReader(Requests(), LIMITS)
    assert not reader.begun
    assert reader.seen == ("", b"")
    reader.feed(b"PUT /x HTTP/1.1\r\nHo")
    assert reader.begun
    assert reader.seen == ("PUT", b"/x")


def test_the_body_that_is_still_to_come() -> None:
    reader = RequestReader(Requests(), LIMITS)
    reader.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1234")
    assert reader.length == 6
    assert not reader.begun


def refused(data: bytes, way: Way = whole, limits: Limits = LIMITS) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        read(way(data), limits)
    return caught.value.status, caught.value.code


def line(header: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n"


MALFORMED = {
    "no request at all": b"hello\r\n\r\n",
    "no method": b"!!\r\n\r\n",
    "binary": bytes(range(32)) + b"\r\n\r\n",
    "TLS on the wrong port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: x\r\n\r\n",
    "bare LF after a header": b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: x\r\n\n",
    "bare CR in a header": line(b"A: b\rc"),
    "NUL in a header": line(b"A: b\0c"),
    "control in a header": line(b"A: b\x01c"),
    "folded header": line(b"A: b\r\n c"),
    "folded by a tab": line(b"A: b\r\n\tc"),
    "space before the colon": line(b"A : b"),
    "tab before the colon": line(b"A\t: b"),
    "space in a name": line(b"A b: c"),
    "space before the first header": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "no name": line(b": b"),
    "no colon": line(b"Ab"),
    "name not ASCII": line(b"\xc3\xa9: b"),
    "target not ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "control in the target": b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "no slash": b"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "two lengths": line(b"Content-Length: 1\r\nContent-Length: 2"),
    "the same length twice": line(b"Content-Length: 1\r\nContent-Length: 1"),
    "a list of lengths": line(b"Content-Length: 1, 1"),
    "signed length": line(b"Content-Length: +1"),
    "hexadecimal length": line(b"Content-Length: 0x1"),
    "empty length": line(b"Content-Length: "),
    "endless length": line(b"Content-Length: 99999999999999999999999"),
    "length, then chunked": line(b"Content-Length: 1\r\nTransfer-Encoding: chunked"),
    "chunked, then length": line(b"Transfer-Encoding: chunked\r\nContent-Length: 1"),
    "chunked is not last": line(b"Transfer-Encoding: chunked, gzip"),
    "no chunked": line(b"Transfer-Encoding: gzip"),
    "chunked twice": line(b"Transfer-Encoding: chunked, chunked"),
    "chunk size is none": line(b"Transfer-Encoding: chunked") + b"x\r\n",
    "chunk size signed": line(b"Transfer-Encoding: chunked") + b"-1\r\n",
    "space after the chunk size": line(b"Transfer-Encoding: chunked") + b"5 \r\nhello\r\n",
    "bare LF after the chunk size": line(b"Transfer-Encoding: chunked") + b"5\nhello\r\n",
    "bare LF after a chunk": line(b"Transfer-Encoding: chunked") + b"5\r\nhello\n0\r\n\r\n",
    "chunk longer than its size": line(b"Transfer-Encoding: chunked") + b"2\r\nhello\r\n0\r\n\r\n",
    "chunk size overflows": line(b"Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n",
    "bad trailer": line(b"Transfer-Encoding: chunked") + b"0\r\nA : b\r\n\r\n",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_requests(data: bytes, way: Way) -> None:
    with pytest.raises(ClientError):
        read([GET, *way(data)])  # whatever came before on the connection
    assert refused(data, way) == (400, "malformed")


OTHERS = {
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", (501, "method")),
    "another protocol": (b"DESCRIBE / RTSP/1.0\r\nCSeq: 1\r\n\r\n", (501, "method")),
    "connect": (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", (501, "method")),
    "HTTP/0.9": (b"GET /\r\n\r\n", (505, "http_version")),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", (505, "http_version")),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", (400, "bad_host")),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", (400, "bad_framing")),
    "another coding": (line(b"Transfer-Encoding: gzip, chunked"), (501, "transfer_coding")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("data", "error"), OTHERS.values(), ids=OTHERS)
def test_requests_that_are_refused(data: bytes, error: tuple[int, str], way: Way) -> None:
    assert refused(data, way) == error


@pytest.mark.parametrize("begin", [b"", b"\r\n", b"\r\n\r\n", b"\n"])
@pytest.mark.parametrize(
    ("method", "error"),
    [(b"B.B", (501, "method")), (b"BREW", (501, "method")), (b"get", (400, "malformed")), (b".B", (400, "malformed"))],
)
def test_one_answer_however_a_bad_method_is_cut(method: bytes, error: tuple[int, str], begin: bytes) -> None:
    data = begin + method + b" / HTTP/1.1\r\nHost: x\r\n\r\n"
    for second in range(12):
        for first in range(second):
            cut = [data[:first], data[first:second], data[second:]]
            assert refused(data, lambda _, cut=cut: cut) == error, cut  # type: ignore[misc]
    assert refused(data, bytewise) == error


@pytest.mark.parametrize("way", WAYS)
def test_how_large_a_head_may_be(way: Way) -> None:
    def padded(size: int) -> bytes:
        return GET[:-2] + b"A: " + b"b" * (size - len(GET) - 5) + b"\r\n\r\n"

    assert len(padded(LIMITS.header_bytes)) == LIMITS.header_bytes
    assert len(read(way(padded(LIMITS.header_bytes)))) == 1
    assert refused(padded(LIMITS.header_bytes + 1), way) == (431, "headers")


@pytest.mark.parametrize("way", WAYS)
def test_how_many_headers_there_may_be(way: Way) -> None:
    def counted(count: int) -> bytes:
        return GET[:-2] + b"A: b\r\n" * (count - 1) + b"\r\n"

    assert len(read(way(counted(LIMITS.header_count)))[0].head.headers) == LIMITS.header_count
    assert refused(counted(LIMITS.header_count + 1), way) == (431, "headers")


@pytest.mark.parametrize("way", WAYS)
def test_how_long_a_target_may_be(way: Way) -> None:
    assert refused(b"GET /" + b"a" * 3000, way) == (414, "target_length")
    roomy = Limits(header_bytes=2 * LIMITS.target)
    long = b"GET /" + b"a" * LIMITS.target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert refused(long, way, roomy) == (414, "target_length")


@pytest.mark.parametrize("way", WAYS)
def test_how_long_a_header_may_be(way: Way) -> None:
    limits = Limits(header_value=100)

    def valued(size: int) -> bytes:
        return GET[:-2] + b"A: " + b"b" * size + b"\r\n\r\n"

    assert len(read(way(valued(100)), limits)) == 1
    assert refused(valued(101), way, limits) == (431, "headers")


@pytest.mark.parametrize("way", WAYS)
def test_nothing_grows_without_end(way: Way) -> None:
    chunked = line(b"Transfer-Encoding: chunked")
    assert refused(b"\r\n" * 2000, way)[0] in (414, 431)
    assert refused(chunked + b"5;" + b"x" * 3000, way) == (431, "headers")
    assert refused(chunked + b"0\r\nA: " + b"x" * 3000, way) == (431, "headers")
    assert refused(chunked + b"0\r\n" + b"A: b\r\n" * 11 + b"\r\n", way) == (431, "headers")


def test_a_long_body_is_no_long_head() -> None:
    (got,) = read(whole(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n" + b"x" * 10_000))
    assert len(got.body) == 10_000


# Against another parser.

names = st.sampled_from([b"A", b"x-y", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Host"])
values = st.sampled_from([b"", b"1", b"0", b"5", b"chunked", b"close", b"x", b"a, b", b" "])
heads = st.builds(
    lambda method, target, version, fields: (
        b"%b %b HTTP/%b\r\n" % (method, target, version) + b"".join(b"%b: %b\r\n" % pair for pair in fields) + b"\r\n"
    ),
    st.sampled_from([b"GET", b"POST", b"PUT"]),
    st.sampled_from([b"/", b"/a?b=c"]),
    st.sampled_from([b"1.1", b"1.0"]),
    st.lists(st.tuples(names, values), max_size=5),
)
tails = st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"x\r\n"])


def read_by_h11(data: bytes) -> tuple[Headers, bytes] | None:
    """Headers and body of the first request, None when it is incomplete; raises h11.RemoteProtocolError."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    event = server.next_event()
    if event is h11.NEED_DATA:
        return None
    assert isinstance(event, h11.Request)
    body, fields = b"", event.headers.raw_items()
    while not isinstance(event := server.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            return None
        assert isinstance(event, h11.Data)
        body += bytes(event.data)
    return fields, body


@given(heads, tails)
def test_what_is_accepted_means_the_same_to_h11(head: bytes, tail: bytes) -> None:
    requests = Requests()
    reader = RequestReader(requests, LIMITS)
    try:
        reader.feed(head + tail)
    except ClientError:
        return
    if reader.whole:
        (got,) = requests.all
        assert read_by_h11(head + tail) == (got.head.raw_headers, got.body)
