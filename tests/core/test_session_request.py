from __future__ import annotations

import msgspec
import pytest

from gateway.core.asgi import Headers
from gateway.core.formats import json_format
from gateway.core.messages import Request
from gateway.core.session_request import as_http, carried, split_target
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
    headers, body = as_http(Request(1, "/"), KEPT, JSON)
    assert headers is KEPT
    assert body == b""
    headers, _ = as_http(Request(1, "/", headers={"X-Tenant": "two", "Accept": " text/plain "}), KEPT, JSON)
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
        as_http(Request(1, "/", headers={name: "x"}), KEPT, JSON)


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\n", "\x00", "€", "\ud800"])
def test_values_that_are_refused(value: str) -> None:
    with pytest.raises(ClientError, match="holds what no header may"):
        as_http(Request(1, "/", headers={"x": value}), KEPT, JSON)


def test_targets() -> None:
    assert split_target("/a/%20b?c=d?e") == (b"/a/%20b", b"c=d?e")
    assert split_target("/a?") == (b"/a", b"")
    assert split_target("/" + "a" * 1000 + "?b") == (b"/" + b"a" * 1000, b"b")
    for target in ("a", "", "/a b", "/a#b", "/ä", "/a\r\n", "*", "http://x/"):
        with pytest.raises(ClientError, match="percent-encoded"):
            split_target(target)


def test_bodies() -> None:
    def sent(request: Request) -> tuple[Headers, bytes]:
        headers, body = as_http(request, KEPT, JSON)
        assert headers[: len(KEPT)] == KEPT
        return headers[len(KEPT) :], body

    assert sent(Request(1, "/", "POST")) == ([(b"content-length", b"0")], b"")
    assert sent(Request(1, "/", "POST", body=msgspec.Raw(b'{"a":1}'))) == (
        [(b"content-type", b"application/json"), (b"content-length", b"7")],
        b'{"a":1}',
    )
    kind = "application/merge-patch+json"
    assert sent(Request(1, "/", "PATCH", headers={"Content-Type": kind}, body=msgspec.Raw(b"null"))) == (
        [(b"content-type", kind.encode()), (b"content-length", b"4")],
        b"null",
    )
    assert sent(Request(1, "/", "PUT", body=msgspec.Raw(b'{"base64":"/w=="}'))) == (
        [(b"content-length", b"1")],
        b"\xff",
    )
    with pytest.raises(ClientError, match="base64"):
        sent(Request(1, "/", "PUT", body=msgspec.Raw(b'{"base64":"!"}')))
