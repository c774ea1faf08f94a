from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamProtocolError
from gateway.wire.incoming import AnswerParser, Incoming
from gateway.wire.repeats import LONGEST, MOST, PAUSE, Repeats


def read(repeats: Repeats, data: bytes, method: bytes = b"GET") -> tuple[object, ...]:
    """All that can be seen of an answer that was read in one piece."""
    one = Incoming(method, AnswerParser(repeats))
    try:
        one.feed(data)
    except UpstreamProtocolError as error:
        return str(error), one.headed, one.complete
    facts = one.status, one.reason, one.headers, one.trailers, one.between, one.buffered
    return *facts, one.begun, one.headed, one.complete, one.reusable, one.take()


def known(repeats: Repeats, data: bytes) -> bool:
    return repeats.find(data) is not None


def ok(body: bytes = b"hello", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), more, body)


def test_a_head_is_read_once_and_what_was_made_of_it_is_kept() -> None:
    parser = AnswerParser()
    first = Incoming(b"GET", parser)
    first.feed(ok(b"hello"))
    first.notes["mine"] = b"ready"
    second = Incoming(b"GET", parser)
    second.feed(ok(b"world"))
    assert second.headers is first.headers
    assert second.notes == {"mine": b"ready"}
    assert (second.status, second.reason, second.reusable, second.take()) == (200, b"OK", True, b"world")


@pytest.mark.parametrize(
    ("data", "method"),
    [
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", b"GET"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"DELETE"),
        (ok(b""), b"GET"),
        (ok(b"\r\n\r\n"), b"GET"),
    ],
)
def test_answers_that_are_remembered(data: bytes, method: bytes) -> None:
    repeats = Repeats()
    once = read(repeats, data, method)
    assert known(repeats, data)
    assert read(repeats, data, method) == once


@pytest.mark.parametrize(
    ("data", "method"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"HEAD"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HEAD"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"GET"),
        (b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + ok(), b"GET"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", b"GET"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"GET"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"GET"),
        (ok() + b"\r\n", b"GET"),
        (ok() + ok(), b"GET"),
        (ok()[:-1], b"GET"),
        (ok(more=b"A: " + b"x" * LONGEST + b"\r\n"), b"GET"),
        (b"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", b"GET"),
    ],
)
def test_answers_that_are_not(data: bytes, method: bytes) -> None:
    repeats = Repeats()
    once = read(repeats, data, method)
    assert not known(repeats, data)
    assert read(repeats, data, method) == once


@pytest.mark.parametrize("data", [ok()[:-1], ok() + b"x", ok() + ok(), ok()[:10], ok().replace(b"200", b"201")])
def test_only_a_whole_answer_with_this_head_is_a_repeat(data: bytes) -> None:
    repeats = Repeats()
    read(repeats, ok())
    assert read(repeats, data) == read(Repeats(), data)


def test_chunks_are_not_taken_for_a_body_of_their_length() -> None:
    repeats = Repeats()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    read(repeats, head + b"4\r\nabcd\r\n0\r\n\r\n")
    assert read(repeats, head + b"1\r\na") == read(Repeats(), head + b"1\r\na")


def test_the_answer_to_head_is_not_taken_for_one_with_a_body() -> None:
    repeats = Repeats()
    read(repeats, ok(b""))
    parser = AnswerParser(repeats)
    Incoming(b"HEAD", parser).feed(ok(b""))
    assert not parser.fresh


def test_too_many_heads_are_forgotten_and_those_that_never_repeat_not_looked_at_for_a_while() -> None:
    repeats = Repeats()
    answers = [ok(more=b"X-Request-Id: %d\r\n" % number) for number in range(MOST + 1)]
    for answer in answers:
        read(repeats, answer)
    for _ in range(PAUSE - 1):
        read(repeats, answers[-1])
    assert not known(repeats, answers[-1])
    assert known(repeats, answers[-1])
    assert not known(repeats, answers[0])


def test_heads_that_do_repeat_are_looked_for_at_once_again() -> None:
    repeats = Repeats()
    answers = [ok(more=b"Age: %d\r\n" % number) for number in range(MOST + 1)]
    for answer in answers:
        read(repeats, answer)
        read(repeats, answer)
    assert known(repeats, answers[-1])
    assert not known(repeats, answers[0])


heads = st.sampled_from([b"200 OK", b"204 None", b"304 Same", b"200 Fine", b"103 Soon", b"404 "])
lines = st.sampled_from(
    [
        b"Content-Length: 0",
        b"Content-Length: 4",
        b"A: b",
        b"Connection: close",
        b"Transfer-Encoding: chunked",
        b" x",
        b"",
    ]
)
ends = st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n \r\n\r\n"])
answers = st.builds(
    lambda head, more, end, body: b"HTTP/1.1 " + head + b"\r\n" + b"\r\n".join(more) + end + body,
    heads, st.lists(lines, max_size=3), ends,
    st.sampled_from([b"", b"abcd", b"\r\n\r\n", b"0\r\n\r\n", b"abcde", b"ab\r\n"]),
)  # fmt: skip


@given(st.lists(st.tuples(answers, st.sampled_from([b"GET", b"HEAD"])), max_size=8))
def test_with_a_memory_or_without_it_reads_the_same(sequence: list[tuple[bytes, bytes]]) -> None:
    repeats = Repeats()
    for data, method in sequence * 2:
        assert read(repeats, data, method) == read(Repeats(), data, method)
