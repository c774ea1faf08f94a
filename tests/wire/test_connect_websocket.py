"""What an extended CONNECT asks for; how it is answered is in test_http2."""

from __future__ import annotations

import pytest

from gateway.core.asgi import Headers
from gateway.errors import ClientError
from gateway.wire.connect_websocket import read_connect

FIELDS: Headers = [
    (b":method", b"CONNECT"),
    (b":protocol", b"WebSocket"),
    (b":scheme", b"https"),
    (b":path", b"/chat%20?a=b"),
    (b":authority", b"shop.example"),
    (b"host", b"evil.example"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-protocol", b"chat.v2, chat.v1"),
    (b"sec-websocket-protocol", b"other,"),
]


def fields(**changed: bytes | None) -> Headers:
    names = {name.replace("_", "-").encode(): value for name, value in changed.items()}
    kept = [(name, names.get(name.lstrip(b":"), value)) for name, value in FIELDS]
    return [(name, value) for name, value in kept if value is not None]


def test_what_is_asked() -> None:
    connect = read_connect(FIELDS)
    assert (connect.path, connect.query) == (b"/chat%20", b"a=b")
    assert connect.subprotocols == ["chat.v2", "chat.v1", "other"]
    assert [value for name, value in connect.headers if name == b"host"] == [b"shop.example"]
    assert not any(name.startswith(b":") for name, _ in connect.headers)
    assert read_connect(fields(authority=None)).headers[0] == (b"host", b"evil.example")


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"protocol": b"connect-udp"}, 501, "bad_upgrade"),
        ({"protocol": None}, 501, "bad_upgrade"),
        ({"path": b"*"}, 400, "bad_target"),
        ({"path": b"/a#b"}, 400, "bad_target"),
        ({"path": None}, 400, "bad_target"),
        ({"sec_websocket_version": b"8"}, 400, "bad_upgrade"),
        ({"sec_websocket_version": b"13, 8"}, 400, "bad_upgrade"),
        ({"sec_websocket_version": None}, 400, "bad_upgrade"),
    ],
)
def test_what_is_refused(changed: dict[str, bytes | None], status: int, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        read_connect(fields(**changed))
    assert (caught.value.status, caught.value.code) == (status, code)
