from __future__ import annotations

import msgspec
import pytest

from gateway.core.formats import json_format
from gateway.core.messages import Request
from gateway.core.session_request import add_body, carried, request_headers, split_target
from gateway.errors import ClientError

JSON = json_format(msgspec.json.encode)
HANDSHAKE = [
    (b"host", b"shop.example"),
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", b"x"),
    (b"accept-encoding", b"gzip"),
    (b"cache-control", b"no-cache"),
    (b"last-event-id", b"e.1"),
    (b"authorization", b"Bearer t"),
    (b"cookie", b"a=b"),
    (b"user-agent", b"it"),
    (b"x-tenant", b"one"),
]
KEPT = [(b"host", b"shop.example"), *HANDSHAKE[7:]]


def test_what_the_handshake_alone_needed_stays_behind() -> None:
    assert carried(HANDSHAKE) == KEPT


def test_a_message_adds_its_own_headers() -> None:
    assert request_headers(Request(1, "/"), KEPT) == KEPT
    headers = request_headers(Request(1, "/", headers={"X-Tenant": "two", "Accept": " text/plain "}), KEPT)
    assert headers == [*KEPT[:-1], (b"x-tenant", b"two"), (b"accept", b"text/plain")]
    assert KEPT[-1] == (b"x-tenant", b"one")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Authorization", "credentials"),
        ("cookie", "credentials"),
        ("HOST", "the gateway writes it"),
        ("Transfer-Encoding", "the gateway"),
        ("content_length", "the gateway"),
        ("X-Forwarded-For", "the gateway"),
        ("x_forwarded_host", "the gateway"),
        ("Sec-Fetch-Site", "the gateway"),
        ("Origin", "the gateway"),
        ("a b", "not a token"),
        ("", "not a token"),
        ("x\r\ny", "not a token"),
    ],
)
def test_headers_that_are_refused(name: str, words: str) -> None:
    with pytest.raises(ClientError, match=words):
        request_headers(Request(1, "/", headers={name: "x"}), KEPT)


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\n", "\x00", "€", "\ud800"])
def test_values_that_are_refused(value: str) -> None:
    with pytest.raises(ClientError, match="holds what no header may"):
        request_headers(Request(1, "/", headers={"x": value}), KEPT)


def test_targets() -> None:
    assert split_target("/a/%20b?c=d?e") == (b"/a/%20b", b"c=d?e")
    assert split_target("/a?") == (b"/a", b"")
    for target in ("a", "", "/a b", "/a#b", "/ä", "/a\r\n", "*", "http://x/"):
        with pytest.raises(ClientError, match="percent-encoded"):
            split_target(target)


def test_bodies() -> None:
    headers: list[tuple[bytes, bytes]] = []
    assert add_body(Request(1, "/"), headers, JSON) == b""
    assert headers == []
    assert add_body(Request(1, "/", "POST"), headers, JSON) == b""
    assert headers.pop() == (b"content-length", b"0")
    assert add_body(Request(1, "/", "POST", body=msgspec.Raw(b'{"a":1}')), headers, JSON) == b'{"a":1}'
    assert headers == [(b"content-type", b"application/json"), (b"content-length", b"7")]
    headers = [(b"content-type", b"application/merge-patch+json")]
    assert add_body(Request(1, "/", "PATCH", body=msgspec.Raw(b"null")), headers, JSON) == b"null"
    assert headers[1:] == [(b"content-length", b"4")]
    headers = []
    assert add_body(Request(1, "/", "PUT", body=msgspec.Raw(b'{"base64":"/w=="}')), headers, JSON) == b"\xff"
    assert headers == [(b"content-length", b"1")]
    with pytest.raises(ClientError, match="base64"):
        add_body(Request(1, "/", "PUT", body=msgspec.Raw(b'{"base64":"!"}')), headers, JSON)
