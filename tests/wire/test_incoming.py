from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamProtocolError
from gateway.wire.incoming import MAX_HEAD, MAX_HEADERS, MAX_INFORMATIONAL, AnswerParser, Incoming

Feeder = Callable[[Incoming, bytes], None]


def whole(incoming: Incoming, data: bytes) -> None:
    if data and not incoming.complete:
        incoming.feed(data)


def bytewise(incoming: Incoming, data: bytes) -> None:
    for index in range(len(data)):
        if incoming.complete:
            return
        incoming.feed(data[index : index + 1])


def in_two(incoming: Incoming, data: bytes) -> None:
    whole(incoming, data[: len(data) // 2])
    whole(incoming, data[len(data) // 2 :])


every_way = pytest.mark.parametrize("feed", [whole, bytewise, in_two])


def read(data: bytes, feed: Feeder = whole, method: bytes = b"GET") -> Incoming:
    incoming = Incoming(method, AnswerParser())
    feed(incoming, data)
    return incoming


@every_way
def test_a_body_with_a_length(feed: Feeder) -> None:
    got = read(b"HTTP/1.1 201 Made it\r\nContent-Length: 5\r\nx-B: caf\xe9\r\nX-b: 2\r\n\r\nhello", feed)
    assert (got.status, got.reason) == (201, b"Made it")
    assert got.headers == [(b"Content-Length", b"5"), (b"x-B", b"caf\xe9"), (b"X-b", b"2")]
    assert got.complete
    assert got.reusable
    assert got.take() == b"hello"
    assert got.buffered == 0


@every_way
def test_space_after_a_length_is_not_part_of_it(feed: Feeder) -> None:
    got = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5 \t\r\nX: y \r\n\r\nhello", feed)
    assert got.headers == [(b"Content-Length", b"5"), (b"X", b"y ")]
    assert got.take() == b"hello"


@every_way
def test_a_chunked_body_with_trailers(feed: Feeder) -> None:
    chunks = b"5;e=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\nX-sum: 2\r\n\r\n"
    got = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, feed)
    assert got.complete
    assert got.reusable
    assert got.take() == b"hello!"
    assert got.trailers == [(b"X-Sum", b"1"), (b"X-sum", b"2")]


@every_way
def test_a_body_that_ends_with_the_connection(feed: Feeder) -> None:
    got = read(b"HTTP/1.1 200\r\nX: 1\r\n\r\nhello", feed)
    assert got.headed
    assert not got.complete
    got.eof()
    assert got.complete
    assert not got.reusable
    assert got.take() == b"hello"


@every_way
@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(feed: Feeder, status: int) -> None:
    got = read(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status, feed)
    assert got.complete
    assert got.reusable
    assert got.take() == b""


@every_way
@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_the_answer_to_head_has_no_body(feed: Feeder, framing: bytes) -> None:
    got = read(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing, feed, b"HEAD")
    assert got.complete
    assert got.reusable
    assert got.take() == b""


def test_a_body_after_the_answer_to_head_is_not_the_next_answer() -> None:
    got = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", whole, b"HEAD")
    assert got.complete
    assert not got.reusable
    assert got.take() == b""


@every_way
def test_informational_answers_come_first(feed: Feeder) -> None:
    got = read(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\n\r\n"
        b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nA: b\r\n\r\n",
        feed,
    )
    assert got.between == [(100, []), (103, [(b"Link", b"</a>"), (b"link", b"</b>")])]
    assert (got.status, got.reason) == (200, b"Fine")
    assert got.headers == [(b"Content-Length", b"0"), (b"A", b"b")]
    assert got.complete


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "tail", [OK, b"H", b"garbage", b"\0", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
@pytest.mark.parametrize(
    "data",
    [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    ids=["length", "chunked"],
)
def test_bytes_after_the_end_make_the_connection_useless_and_change_nothing(data: bytes, tail: bytes) -> None:
    plain, got = read(data), read(data + tail)
    assert plain.reusable
    assert not got.reusable
    assert (got.status, got.reason, got.headers, got.trailers, got.between) == (
        plain.status, plain.reason, plain.headers, plain.trailers, plain.between,
    )  # fmt: skip
    assert got.take() == b"ok"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, CLOSE\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_answers_after_which_the_connection_ends(head: bytes) -> None:
    got = read(head)
    assert got.complete
    assert not got.reusable


@every_way
@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\0\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: 1\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INFORMATIONAL + 1),
        b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    ],
)
def test_what_is_not_an_answer(feed: Feeder, data: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        read(data, feed)


FLOODS = {
    "reason": (b"HTTP/1.1 200 ", b"x"),
    "header": (b"HTTP/1.1 200 OK\r\nA: ", b"x"),
    "name": (b"HTTP/1.1 200 OK\r\n", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"A: 1234567890\r\n"),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: ", b"x"),
    "extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", b"x"),
    "1xx": (b"", b"HTTP/1.1 100 Continue\r\nA: " + b"x" * 10_000 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("size", [1000, 10 * MAX_HEAD], ids=["pieces", "whole"])
def test_what_is_held_is_bounded(name: str, size: int) -> None:
    start, more = FLOODS[name]
    data = start + more * (10 * MAX_HEAD // len(more))
    assert fed_before_error(data, size) <= 2 * MAX_HEAD


def fed_before_error(data: bytes, size: int) -> int:
    incoming = Incoming(b"GET", AnswerParser())
    for at in range(0, len(data), size):
        try:
            incoming.feed(data[at : at + size])
        except UpstreamProtocolError:
            return at
    pytest.fail("all of it was taken")


@pytest.mark.parametrize("first", [1, 40, MAX_HEAD // 2, MAX_HEAD - 1])
def test_a_head_above_the_limit_is_refused_wherever_it_is_cut(first: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nA: " + b"x" * MAX_HEAD + b"\r\n\r\n"
    incoming = Incoming(b"GET", AnswerParser())
    incoming.feed(data[:first])
    with pytest.raises(UpstreamProtocolError, match="above"):
        incoming.feed(data[first:])


def test_a_body_is_taken_in_the_pieces_it_came_in() -> None:
    incoming = Incoming(b"GET", AnswerParser())
    incoming.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    for piece in (b"ab", b"cd", b"efg", b"hij"):
        incoming.feed(piece)
    assert incoming.take_some(1) == b"ab"
    assert incoming.take_some(3) == b"cdefg"
    assert incoming.buffered == 3
    assert incoming.take_some(3) == b"hij"
    assert incoming.take_some(3) == b""
    assert incoming.buffered == 0


def test_a_head_just_below_the_limit_passes_with_a_big_body_in_the_same_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\nA: " + b"x" * (MAX_HEAD - 100) + b"\r\n\r\n"
    got = read(head + b"y" * 200_000)
    assert got.complete
    assert got.take() == b"y" * 200_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
def test_an_answer_that_ends_too_early(data: bytes) -> None:
    incoming = read(data)
    with pytest.raises(UpstreamProtocolError, match="closed the connection"):
        incoming.eof()


def test_a_finished_answer_needs_no_garbage_collector() -> None:
    gc.disable()
    try:
        for data, at_eof in ((OK, False), (b"HTTP/1.1 200 OK\r\n\r\nx", True)):

            class Watched(Incoming):
                __slots__ = ("__weakref__",)

            incoming = Watched(b"GET", AnswerParser())
            incoming.feed(data)
            if at_eof:
                incoming.eof()
            seen = weakref.ref(incoming)
            del incoming
            assert seen() is None
    finally:
        gc.enable()


bodies = st.binary(max_size=200)
header_values = st.text("abcXYZ123 \t!é", max_size=20).map(lambda text: text.strip(" \t").encode("latin-1"))


@given(
    st.sampled_from([200, 201, 404, 503]),
    st.lists(st.tuples(st.sampled_from([b"A", b"b-C", b"X_y"]), header_values), max_size=5),
    st.lists(bodies, max_size=4),
    st.booleans(),
    st.data(),
)
def test_it_reads_what_h11_writes(
    status: int, headers: list[tuple[bytes, bytes]], pieces: list[bytes], chunked: bool, data: st.DataObject
) -> None:
    body = b"".join(pieces)
    framing = (b"Transfer-Encoding", b"chunked") if chunked else (b"Content-Length", b"%d" % len(body))
    writer = h11.Connection(h11.SERVER)
    writer.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    writer.next_event()
    sent = writer.send(h11.Response(status_code=status, headers=[*headers, framing])) or b""
    for piece in pieces:
        sent += writer.send(h11.Data(data=piece)) or b""
    sent += writer.send(h11.EndOfMessage()) or b""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    incoming = Incoming(b"GET", AnswerParser())
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        whole(incoming, sent[start:end])
    assert incoming.complete
    assert incoming.reusable
    assert incoming.status == status
    assert incoming.take() == body
    assert incoming.headers == [*headers, framing]


@given(st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]))
def test_nothing_but_a_protocol_error_comes_of_garbage(data: bytes, start: bytes) -> None:
    incoming = Incoming(b"GET", AnswerParser())
    try:
        whole(incoming, start + data)
        if not incoming.complete:
            incoming.eof()
    except UpstreamProtocolError:
        pass


def test_one_parser_reads_answer_after_answer() -> None:
    parser = AnswerParser()
    for number in range(3):
        incoming = Incoming(b"GET", parser)
        incoming.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        assert incoming.complete
        assert incoming.take() == b"%d" % number
        assert parser.fresh


def test_a_parser_that_read_an_answer_to_head_is_not_used_again() -> None:
    parser = AnswerParser()
    incoming = Incoming(b"HEAD", parser)
    incoming.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    assert incoming.complete
    assert not parser.fresh


def test_what_is_wrong_from_the_start_has_no_head() -> None:
    """Whoever waits for the head must not find one that came together with the mistake."""
    incoming = Incoming(b"GET", AnswerParser())
    with pytest.raises(UpstreamProtocolError):
        incoming.feed(b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n")
    assert (incoming.headed, incoming.complete) == (False, False)
    incoming = Incoming(b"GET", AnswerParser())
    incoming.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(UpstreamProtocolError):
        incoming.feed(b"x\r\n")
    assert (incoming.headed, incoming.complete) == (True, False)


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_other_versions(version: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="HTTP/"):
        Incoming(b"GET", AnswerParser()).feed(b"HTTP/" + version + b" 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_chunks_of_an_old_server_end_its_connection() -> None:
    incoming = Incoming(b"GET", AnswerParser())
    incoming.feed(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert (incoming.complete, incoming.reusable) == (True, False)


def test_a_length_among_the_trailers_means_nothing() -> None:
    incoming = Incoming(b"GET", AnswerParser())
    incoming.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nContent-Length: 9\r\n\r\n")
    assert (incoming.complete, incoming.reusable, incoming.take()) == (True, False, b"ab")
