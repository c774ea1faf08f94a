from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.asgi import Headers
from gateway.errors import ClientError
from gateway.wire.head import _SOME_HOSTS, CHUNKED, MAX_NAME, Head, _hosts, tokens

HOST = (b"Host", b"shop.test")


def head(
    *headers: tuple[bytes, bytes],
    method: bytes = b"GET",
    version: str = "1.1",
    target: bytes = b"/",
    host: bool = True,
) -> Head:
    return Head(method, version, target, [*([HOST] if host else []), *headers])


def refusal(*headers: tuple[bytes, bytes], host: bool = True, **more: object) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        head(*headers, host=host, **more)  # type: ignore[arg-type]
    return caught.value.status, caught.value.code


def test_names_are_lowered_and_the_raw_ones_kept() -> None:
    got = head((b"X-MiXeD", b"1"), (b"x-mixed", b"2"), (b"Accept", b"*/*"))
    assert got.headers == [(b"host", b"shop.test"), (b"x-mixed", b"1"), (b"x-mixed", b"2"), (b"accept", b"*/*")]
    assert got.raw_headers == [HOST, (b"X-MiXeD", b"1"), (b"x-mixed", b"2"), (b"Accept", b"*/*")]


def test_white_space_after_a_value_is_not_part_of_it() -> None:
    assert head((b"A", b"b \t "), (b"C", b""), (b"D", b" "))  # an empty value is a value
    got = head((b"A", b"b \t "), (b"C", b""), (b"D", b" "))
    assert got.headers[1:] == [(b"a", b"b"), (b"c", b""), (b"d", b"")]
    assert got.raw_headers == [HOST, (b"A", b"b"), (b"C", b""), (b"D", b"")]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a%20b/..//c?x=%2F&y?z", b"/a%20b/..//c", b"x=%2F&y?z"),
        (b"//shop.test/a", b"//shop.test/a", b""),
        (b"/?", b"/", b""),
        (b"http://other.test/a?b=c", b"/a", b"b=c"),
        (b"HTTPS://other.test:8443", b"/", b""),
        (b"http://other.test?q", b"/", b"q"),
    ],
)
def test_targets(target: bytes, path: bytes, query: bytes) -> None:
    got = head(target=target)
    assert (got.path, got.query) == (path, query)


@pytest.mark.parametrize(
    ("target", "bare"),
    [(b"/a?", True), (b"/a", False), (b"/a?b", False), (b"/a??", False), (b"http://x?", True), (b"http://x/a", False)],
)
def test_a_query_that_is_empty_is_told_from_none(target: bytes, *, bare: bool) -> None:
    assert head(target=target).bare_query is bare
    if target.startswith(b"/"):
        assert head().again(b"GET", target).bare_query is bare


def test_the_same_headers_again() -> None:
    first = head((b"X-A", b"1"), target=b"/a?b")
    first.notes["proxy"] = b"lines"
    again = first.again(b"HEAD", b"/c?d")
    assert (again.method, again.path, again.query) == ("HEAD", b"/c", b"d")
    assert (again.headers, again.raw_headers, again.notes) == (first.headers, first.raw_headers, first.notes)
    assert (again.length, again.keep_alive, again.expects_continue, again.version) == (0, True, False, "1.1")
    assert again.trailers is not first.trailers


def test_the_authority_of_an_absolute_target_replaces_host() -> None:
    got = head((b"A", b"b"), target=b"http://other.test:81/a")
    assert got.headers == [(b"host", b"other.test:81"), (b"a", b"b")]
    assert got.raw_headers == [(b"Host", b"other.test:81"), (b"A", b"b")]


@pytest.mark.parametrize("target", [b"*", b"http://shop.test"])
def test_asking_for_options_of_the_server(target: bytes) -> None:
    assert head(method=b"OPTIONS", target=target).path == b"*"


@pytest.mark.parametrize(
    "target",
    [b"*", b"shop.test:443", b"ftp://shop.test/", b"http://", b"http://user@shop.test/", b"/a#b", b"http://a/b#c", b""],
)
def test_targets_that_are_refused(target: bytes) -> None:
    assert refusal(target=target) == (400, "bad_target")


@pytest.mark.parametrize(
    "host",
    [
        b"a b", b"a/b", b"a@b", b"a?b", b"a#b", b"a\\b", b"\xc3\xa9.test", b"a,b", b"<a>", b"a;b", b"a:b", b"a:1:2",
        b"a:-1", b"a:123456", b"[::1", b"[::1]a", b"[x]", b"::1", b"a%41", b"x" * 256,
    ],
)  # fmt: skip
def test_a_host_that_is_none(host: bytes) -> None:
    assert refusal((b"Host", host), host=False) == (400, "bad_host")


def test_hosts_that_are_remembered_are_bounded() -> None:
    for number in range(2 * _SOME_HOSTS):
        head((b"Host", b"h%d.test" % number), host=False)
    assert len(_hosts) <= _SOME_HOSTS


@pytest.mark.parametrize("host", [b"", b"shop.test", b"[::1]:80", b"127.0.0.1:9", b"a_b.test", b"xn--caf-dma.test"])
def test_hosts(host: bytes) -> None:
    assert head((b"hOsT", host), host=False).headers == [(b"host", host)]


def test_host_once_and_only_once() -> None:
    assert refusal(host=False) == (400, "bad_host")
    assert refusal(HOST) == (400, "bad_host")
    assert refusal(HOST, version="1.0") == (400, "bad_host")
    assert head(host=False, version="1.0").headers == []


@pytest.mark.parametrize("version", ["0.9", "2.0"])
def test_other_versions(version: str) -> None:
    assert refusal(version=version) == (505, "http_version")


def test_connect_is_refused() -> None:
    assert refusal(method=b"CONNECT", target=b"a:1") == (501, "method")


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", b"", True),
        ("1.1", b"close", False),
        ("1.1", b"x, Close", False),
        ("1.1", b"closed", True),
        ("1.0", b"", False),
        ("1.0", b"Keep-Alive", True),
        ("1.0", b"keep-alive, close", False),
    ],
)
def test_keeping_the_connection(version: str, connection: bytes, *, kept: bool) -> None:
    assert head((b"Connection", connection), version=version).keep_alive is kept


def test_two_connection_headers_are_one_list() -> None:
    assert head((b"Connection", b"a"), (b"Connection", b"close")).keep_alive is False


def test_the_length_of_the_body() -> None:
    assert head().length == 0
    assert head((b"Content-Length", b"12")).length == 12
    assert head((b"Transfer-Encoding", b"Chunked")).length == CHUNKED


def test_a_length_that_others_might_read_in_fewer_bits() -> None:
    assert head((b"Content-Length", b"9" * 18)).length == 10**18 - 1
    assert refusal((b"Content-Length", b"1" + b"0" * 18)) == (400, "bad_framing")


def test_names_have_a_length() -> None:
    assert len(head((b"x" * MAX_NAME, b"")).headers) == 2
    assert refusal((b"x" * (MAX_NAME + 1), b"")) == (431, "headers")


def test_framing_that_could_be_read_two_ways() -> None:
    both: Headers = [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")]
    assert refusal(*both) == (400, "bad_framing")
    assert refusal(both[1], version="1.0") == (400, "bad_framing")
    assert refusal((b"Transfer-Encoding", b"gzip, chunked")) == (501, "transfer_coding")
    assert refusal((b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")) == (501, "transfer_coding")


def test_expectations() -> None:
    expect, length = (b"Expect", b"100-Continue"), (b"Content-Length", b"1")
    assert head(expect, length).expects_continue
    assert not head(expect).expects_continue
    assert not head(expect, length, version="1.0").expects_continue
    assert refusal((b"Expect", b"wonders")) == (417, "expectation")


def test_upgrades_are_noted() -> None:
    assert head((b"Upgrade", b"h2c"), (b"Connection", b"Upgrade")).upgrade == b"h2c"


@given(st.lists(st.sampled_from([b"a", b"Close", b" x ", b"\ty", b""])))
def test_tokens(parts: list[bytes]) -> None:
    assert tokens(b",".join(parts)) == {part.strip().lower() for part in parts} | (set() if parts else {b""})
