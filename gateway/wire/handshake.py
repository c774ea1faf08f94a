"""The opening handshake of a WebSocket, RFC 6455 section 4.2: is it one, and how is it answered.

Pure. An upgrade to anything else is ignored, as RFC 9110 section 7.8 allows; one to WebSocket that is wrong
is refused by name, because a client that sees its page instead of an error is hard to debug.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from hashlib import sha1

from gateway.core.asgi import Header, Headers
from gateway.errors import ClientError
from gateway.wire.head import Head, tokens
from gateway.wire.response import header_lines

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
_OURS = frozenset(
    {b"upgrade", b"connection", b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions"}
)


def wants_websocket(head: Head) -> bool:
    """Whether the request asks for a WebSocket, rightly or not."""
    return b"websocket" in tokens(head.upgrade)


def accept_key(head: Head) -> bytes:
    """The value of `Sec-WebSocket-Accept`; raises ClientError for a handshake that is wrong."""
    if head.method != "GET" or head.version != "1.1" or head.length != 0:
        raise _refused("a WebSocket is opened by a GET of HTTP/1.1 without a body")
    if b"upgrade" not in tokens(_joined(head.headers, b"connection")):
        raise _refused("the Connection header does not say upgrade: a proxy before this one removed it")
    version = _joined(head.headers, b"sec-websocket-version")
    if version != b"13":
        raise ClientError(426, "bad_upgrade", "the only WebSocket version is 13").with_headers(
            (b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")
        )
    key = _joined(head.headers, b"sec-websocket-key")
    try:
        valid = len(b64decode(key, validate=True)) == 16
    except Error:
        valid = False
    if not valid:
        raise _refused("Sec-WebSocket-Key is not 16 bytes in base64")
    return accepted(key)


def accepted(key: bytes) -> bytes:
    """The `Sec-WebSocket-Accept` that answers a key."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def offered(head: Head) -> list[str]:
    """The subprotocols that the client offers, in its order."""
    value = _joined(head.headers, b"sec-websocket-protocol").decode("latin-1")
    return [name for part in value.split(",") if (name := part.strip())]


def switching(accept: bytes, subprotocol: str | None, extension: bytes, headers: Iterable[Header]) -> bytes:
    """The answer that opens the WebSocket; raises ValueError for headers that may not be in it."""
    fields: Headers = [(b"sec-websocket-accept", accept)]
    if subprotocol is not None:
        fields.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
    if extension:
        fields.append((b"sec-websocket-extensions", extension))
    fields += [pair for pair in headers if pair[0].lower() not in _OURS]
    return switched(fields)


def switched(headers: Headers) -> bytes:
    """The head of a 101 with these headers; raises ValueError as `switching`."""
    return _SWITCHED + header_lines(headers) + b"\r\n"


def _refused(detail: str) -> ClientError:
    return ClientError(400, "bad_upgrade", detail)


def _joined(headers: Headers, name: bytes) -> bytes:
    return b",".join(value for key, value in headers if key == name)
