from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ClientError
from gateway.wire.response import Fields, chunk, header_lines, identity, refusal, status_line

OK = b"HTTP/1.1 200 OK\r\n"


def test_headers_are_written_as_they_are() -> None:
    fields = Fields(200, [(b"X-MiXeD", b"caf\xe9"), (b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"Empty", b"")])
    assert fields.data == OK + b"X-MiXeD: caf\xe9\r\nSet-Cookie: a\r\nset-cookie: b\r\nEmpty: \r\n"
    assert (fields.length, fields.dated, fields.close) == (-1, False, False)


def test_what_the_head_must_know_of() -> None:
    fields = Fields(200, [(b"Content-Length", b"12"), (b"DATE", b"today")])
    assert (fields.length, fields.dated) == (12, True)
    assert fields.data == OK + b"Content-Length: 12\r\nDATE: today\r\n"


def test_this_hop_is_not_the_applications() -> None:
    fields = Fields(200, [(b"Transfer-Encoding", b"chunked"), (b"Connection", b"Close"), (b"A", b"b")])
    assert fields.close
    assert fields.data == OK + b"A: b\r\n"


@pytest.mark.parametrize("value", [b"", b"-1", b"1, 1", b"x", b"+1"])
def test_a_length_that_is_none(value: bytes) -> None:
    with pytest.raises(ValueError, match="content-length"):
        Fields(200, [(b"content-length", value)])


def test_two_lengths() -> None:
    with pytest.raises(ValueError, match="content-length"):
        Fields(200, [(b"content-length", b"1"), (b"Content-Length", b"1")])


@pytest.mark.parametrize("bad", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0"])
def test_no_header_can_smuggle_another(bad: bytes) -> None:
    for header in ((b"x", bad), (bad, b"x")):
        with pytest.raises(ValueError, match="line break"):
            Fields(200, [header])
        with pytest.raises(ValueError, match="line break"):
            header_lines([header])


def test_status_lines() -> None:
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(599) == b"HTTP/1.1 599 \r\n"
    assert status_line(599, b"Oh no") == b"HTTP/1.1 599 Oh no\r\n"


@pytest.mark.parametrize("reason", [b"Fine", b"caf\xe9 \t x", b"Not Found", b"x" * 256])
def test_a_reason_is_passed_on(reason: bytes) -> None:
    line = b"HTTP/1.1 200 %b\r\n" % reason
    assert status_line(200, reason) == line
    assert Fields(200, [(b"a", b"b")], reason).data == line + b"a: b\r\n"


@pytest.mark.parametrize("reason", [b"", b"OK", b"a\r\nb: c", b"a\nb", b"a\rb", b"\0", b"\x1b[2J", b"\x7f", b"x" * 257])
def test_a_reason_that_is_none_is_replaced_by_the_usual_one(reason: bytes) -> None:
    assert status_line(200, reason) == OK
    assert Fields(200, [], reason).data == OK


@given(st.binary(max_size=300))
def test_chunks(payload: bytes) -> None:
    size, _, rest = chunk(payload).partition(b"\r\n")
    if payload:
        assert int(size, 16) == len(payload)
        assert rest == payload + b"\r\n"
    else:
        assert chunk(payload) == b""  # an empty chunk would be the end
    assert identity(payload) == payload


def test_refusals() -> None:
    error = ClientError(503, "connections", "too many").with_headers((b"retry-after", b"1"))
    head, body = refusal(error, b"date: now\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n")
    assert head.endswith(b"retry-after: 1\r\ndate: now\r\nconnection: close\r\n\r\n")
    assert b'"code": "connections"' in body
    assert b"content-length: %d\r\n" % len(body) in head
