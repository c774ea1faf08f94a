"""Where a client puts its credentials, and where a browser has to.

A script in a page can't set headers on a WebSocket, so a token may come as the subprotocol `bearer.TOKEN`, in
base64url without padding, beside one that is really spoken. It is made an `Authorization` header at the door: whoever
looks for credentials looks in headers alone.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from binascii import Error
from collections.abc import Sequence

from gateway.core.asgi import Header, Headers
from gateway.core.http import Request
from gateway.errors import ClientError

# Of an Authorization header or cookie. Access tokens of the large identity providers are 1 to 4 KB.
MAX_TOKEN = 16 * 1024

_BEARER = "bearer."


def bearer_token(request: Request, cookie: str | None = None) -> str | None:
    """The token of `Authorization: Bearer`, else that of the cookie; raises ClientError 401 for one too long."""
    kind, _, value = (request.header(b"authorization") or b"").partition(b" ")
    token = value.strip() if kind.lower() == b"bearer" else b""
    if not token and cookie is not None:
        token = cookie_value(request, cookie) or b""
    if len(token) > MAX_TOKEN:
        raise ClientError(401, "bad_token", "the token is too long")
    return token.decode("latin-1") or None


def cookie_value(request: Request, name: str) -> bytes | None:
    """The first cookie of this name (RFC 6265 section 5.4 sends the most specific one first)."""
    wanted = name.encode("latin-1")
    for header, value in request.headers:
        if header.lower() == b"cookie":
            for pair in value.split(b";"):
                key, equals, content = pair.strip().partition(b"=")
                if equals and key == wanted:
                    return content.removeprefix(b'"').removesuffix(b'"')
    return None


def shows_token(request: Request) -> bool:
    """Whether it has a bearer token where it could be replaced by another."""
    return (request.header(b"authorization") or b"")[:7].lower() == b"bearer "


def with_token(headers: Headers | tuple[Header, ...], token: str) -> Headers:
    """The headers with this bearer token in place of their own; raises ClientError for what can be no token."""
    value = token.encode() if token.isascii() else b""
    if not _is_token(value):
        raise ClientError(400, "bad_token", "a token is printable ASCII without blanks")
    others = [pair for pair in headers if pair[0].lower() != b"authorization"]
    return [*others, (b"authorization", b"Bearer " + value)]


def from_subprotocols(offered: Sequence[str]) -> tuple[Header | None, list[str]]:
    """The `Authorization` that is among the subprotocols, and the others. Raises ClientError 400."""
    tokens = [name for name in offered if name.startswith(_BEARER)]
    others = [name for name in offered if not name.startswith(_BEARER)]
    if not tokens:
        return None, others
    if len(tokens) > 1:
        raise ClientError(400, "subprotocol", "more than one bearer token among the subprotocols")
    if not others:
        detail = "a subprotocol is needed beside bearer.*, such as tidegate.json.v1: the answer has to name it"
        raise ClientError(400, "subprotocol", detail)
    token = _decoded(tokens[0].removeprefix(_BEARER))
    return (b"authorization", b"Bearer " + token), others


def _decoded(text: str) -> bytes:
    try:
        token = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if text.isascii() else b""
    except (Error, ValueError):
        token = b""
    if not _is_token(token):
        raise ClientError(400, "subprotocol", "what follows bearer. is not a token in base64url")
    return token


def _is_token(value: bytes) -> bool:
    return bool(value) and all(0x20 < byte < 0x7F for byte in value)
