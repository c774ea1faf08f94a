from __future__ import annotations

import pytest

from gateway.errors import ClientError
from gateway.wire.handshake import accept_key, offered, switching, wants_websocket
from gateway.wire.head import Head

# The example of RFC 6455 section 1.3.
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    b"Host": b"shop.test",
    b"Upgrade": b"websocket",
    b"Connection": b"keep-alive, Upgrade",
    b"Sec-WebSocket-Key": KEY,
    b"Sec-WebSocket-Version": b"13",
}


def head(changes: dict[bytes, bytes | None] | None = None, *, method: bytes = b"GET", version: str = "1.1") -> Head:
    fields = GOOD | (changes or {})
    return Head(method, version, b"/", [(name, value) for name, value in fields.items() if value is not None])


def refusal(changes: dict[bytes, bytes | None], *, method: bytes = b"GET", version: str = "1.1") -> ClientError:
    asked = head(changes, method=method, version=version)
    assert wants_websocket(asked)
    with pytest.raises(ClientError) as caught:
        accept_key(asked)
    return caught.value


def test_the_example_of_the_standard() -> None:
    assert wants_websocket(head())
    assert accept_key(head()) == ACCEPT


@pytest.mark.parametrize("upgrade", [b"WebSocket", b"h2c, websocket"])
def test_upgrade_is_a_list_without_case(upgrade: bytes) -> None:
    assert accept_key(head({b"Upgrade": upgrade})) == ACCEPT


@pytest.mark.parametrize("upgrade", [None, b"h2c", b"websockets", b""])
def test_other_upgrades_are_none_of_ours(upgrade: bytes | None) -> None:
    assert not wants_websocket(head({b"Upgrade": upgrade}))


@pytest.mark.parametrize(
    ("changes", "method", "version"),
    [
        ({}, b"POST", "1.1"),
        ({}, b"GET", "1.0"),
        ({b"Content-Length": b"1"}, b"GET", "1.1"),
        ({b"Transfer-Encoding": b"chunked"}, b"GET", "1.1"),
        ({b"Connection": b"keep-alive"}, b"GET", "1.1"),
        ({b"Connection": None}, b"GET", "1.1"),
        ({b"Sec-WebSocket-Key": None}, b"GET", "1.1"),
        ({b"Sec-WebSocket-Key": b"c2hvcnQ="}, b"GET", "1.1"),
        ({b"Sec-WebSocket-Key": KEY + b"!"}, b"GET", "1.1"),
        ({b"Sec-WebSocket-Key": KEY + b", " + KEY}, b"GET", "1.1"),
    ],
)
def test_bad_handshakes(changes: dict[bytes, bytes | None], method: bytes, version: str) -> None:
    error = refusal(changes, method=method, version=version)
    assert (error.status, error.code) == (400, "bad_upgrade")


@pytest.mark.parametrize("version", [None, b"8", b"13, 13"])
def test_other_versions_are_told_ours(version: bytes | None) -> None:
    error = refusal({b"Sec-WebSocket-Version": version})
    assert error.status == 426
    assert (b"sec-websocket-version", b"13") in error.headers


def test_subprotocols_in_the_order_of_the_client() -> None:
    assert offered(head()) == []
    assert offered(head({b"Sec-WebSocket-Protocol": b"b, a ,,c"})) == ["b", "a", "c"]


@pytest.mark.parametrize("value", [b"", b" ", b",", b" , "])
def test_an_empty_list_of_subprotocols_offers_none(value: bytes) -> None:
    assert offered(head({b"Sec-WebSocket-Protocol": value})) == []


def test_the_answer() -> None:
    assert switching(ACCEPT, None, b"", []) == (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: " + ACCEPT + b"\r\n\r\n"
    )


def test_the_answer_with_more() -> None:
    theirs = [(b"Set-Cookie", b"a=b"), *((name, b"x") for name in (b"Upgrade", b"Sec-WebSocket-Extensions"))]
    answer = switching(ACCEPT, "chat", b"permessage-deflate", theirs)
    assert answer.endswith(
        b"sec-websocket-protocol: chat\r\nsec-websocket-extensions: permessage-deflate\r\nSet-Cookie: a=b\r\n\r\n"
    )
    assert answer.count(b"pgrade: ") == 1


def test_no_header_can_smuggle_another() -> None:
    with pytest.raises(ValueError, match="line break"):
        switching(ACCEPT, "chat\r\nx: y", b"", [])
