from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.asgi import Headers
from gateway.errors import ClientError
from gateway.wire.outgoing import chunk, framed, last_chunk, request_head

HOST = (b"Host", b"up")


def test_a_request_is_written_as_it_is_given() -> None:
    head = request_head(b"GET", b"/a%20b/\xc3\xa9?x=1&y", [(b"hOst", b"x"), (b"A", b""), (b"A", b"caf\xe9")])
    assert head == b"GET /a%20b/\xc3\xa9?x=1&y HTTP/1.1\r\nhOst: x\r\nA: \r\nA: caf\xe9\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"A", b"1\r\nEvil: 2"),
        (b"A", b"1\nEvil: 2"),
        (b"A", b"1\rEvil: 2"),
        (b"A", b"1\r\n\r\nGET /evil HTTP/1.1"),
        (b"A\r\nEvil", b"2"),
        (b"A", b"\0"),
    ],
)
def test_nothing_in_a_header_makes_another_line(name: bytes, value: bytes) -> None:
    with pytest.raises(ClientError):
        request_head(b"GET", b"/", [(b"Host", b"x"), (name, value)])
    with pytest.raises(ClientError):
        last_chunk([(name, value)])


@pytest.mark.parametrize(
    "target",
    [b"", b"/a b", b"/a\r\n", b"/\t", b"/\0", b"/\x7f", b"http://x/", b"x", b"*x", b"/ HTTP/1.1\r\nA: b\r\n\r\n"],
)
def test_a_target_is_a_path(target: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        request_head(b"GET", target, [HOST])
    assert (caught.value.status, caught.value.code) == (400, "bad_target")


@pytest.mark.parametrize("method", [b"", b"G T", b"GET\r\n", b"G\xe9T", b"GET /evil HTTP/1.1\r\n", b"X" * 65])
def test_a_method_is_a_token(method: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        request_head(method, b"/", [HOST])
    assert caught.value.code == "bad_method"


def test_options_may_ask_for_everything() -> None:
    assert request_head(b"OPTIONS", b"*", [(b"Host", b"x")]).startswith(b"OPTIONS * HTTP/1.1\r\n")


def test_host_and_framing_are_added_where_missing() -> None:
    assert framed([(b"A", b"1")], b"", b"up") == ([HOST, (b"A", b"1")], 0)
    assert framed([(b"HOST", b"x")], b"", b"up") == ([(b"HOST", b"x")], 0)
    assert framed([HOST], b"hello", b"up") == ([HOST, (b"Content-Length", b"5")], 5)
    assert framed([HOST], None, b"up") == ([HOST, (b"Transfer-Encoding", b"chunked")], None)


def test_a_given_length_is_kept_as_it_was_written() -> None:
    headers = [(b"content-LENGTH", b"005 "), HOST]
    assert framed(headers, b"hello", b"up") == (headers, 5)
    assert framed(headers, None, b"up") == (headers, 5)
    zero = [HOST, (b"Content-Length", b"0")]
    assert framed(zero, b"", b"up") == (zero, 0)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"Content-Length", b"4")], b"hello"),
        ([(b"Content-Length", b"6")], b"hello"),
        ([(b"Content-Length", b"5")], b""),
        ([(b"Content-Length", b"0")], b"hello"),
        ([(b"Content-Length", b"5"), (b"content-length", b"5")], b"hello"),
        ([(b"Content-Length", b"5, 5")], b"hello"),
        ([(b"Content-Length", b"+5")], b"hello"),
        ([(b"Content-Length", b"0x5")], b"hello"),
        ([(b"Content-Length", b"")], b""),
        ([(b"Content-Length", b"9" * 19)], None),
        ([(b"Transfer-Encoding", b"chunked")], None),
        ([(b"transfer-encoding", b"identity")], b""),
    ],
)
def test_a_body_is_framed_once_and_truly(headers: Headers, body: bytes | None) -> None:
    with pytest.raises(ClientError) as caught:
        framed(headers, body, b"up")
    assert caught.value.code == "bad_framing"


def test_chunks() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert last_chunk([]) == b"0\r\n\r\n"
    assert last_chunk([(b"A", b"1"), (b"B", b"2")]) == b"0\r\nA: 1\r\nB: 2\r\n\r\n"


header_values = st.text("abcXYZ123 !é", max_size=20).map(lambda text: text.strip(" ").encode("latin-1"))


@given(
    st.sampled_from([b"GET", b"POST", b"PATCH"]),
    st.lists(st.tuples(st.sampled_from([b"A", b"b-C", b"X_y"]), header_values), max_size=5),
    st.lists(st.binary(min_size=1, max_size=50), max_size=4),
    st.booleans(),
)
def test_h11_reads_what_is_written(method: bytes, headers: Headers, pieces: list[bytes], known: bool) -> None:
    body = b"".join(pieces)
    head, _ = framed(headers, body if known else None, b"up")
    data = request_head(method, b"/x?y", head)
    data += body if known else b"".join(map(chunk, pieces)) + last_chunk([])
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(data)
    request = reader.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (method, b"/x?y")
    assert [pair for pair in request.headers.raw_items() if pair[0] in (b"A", b"b-C", b"X_y")] == headers
    got = b""
    while isinstance(event := reader.next_event(), h11.Data):
        got += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert got == body
    assert reader.trailing_data == (b"", False)
