"""A request inside a session as HTTP: what of the handshake goes with it, and what its message may add.

The client authenticated once, when it connected: the headers that say who it is come from the handshake, and a
message that brings its own is refused, as is one that would frame, route or forward. Everything else is the
client's to choose, as in REST.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import UNSET, Raw

from gateway.core.asgi import Headers
from gateway.core.formats import Format
from gateway.core.messages import Request
from gateway.errors import ClientError

# Clients ask for few targets over and over. They choose them, so what is remembered is bounded: to half a megabyte.
_SOME_TARGETS, _SHORT = 1024, 128
# What a URL's path and query are made of (RFC 3986), and what browsers send unencoded besides; no fragment.
_TARGET = re.compile(r"/[!-\"$-~]*", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 section 5.5

# About the handshake's own connection, message or representation: they mean nothing for what follows.
_HANDSHAKE_ONLY = frozenset(
    b"""
    accept accept-encoding cache-control connection content-encoding content-length content-type expect
    http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive last-event-id
    pragma prefer proxy-authorization proxy-connection range te trailer transfer-encoding upgrade
    """.split()
)
# RFC 9110 sections 7.6.1 and 6.4 (framing), 7.2 (Host), 7.6.3; credentials; where a browser says who calls.
_REFUSED = frozenset(
    b"""
    authorization connection content-length cookie expect forwarded host http2-settings keep-alive origin
    proxy-authenticate proxy-authorization proxy-connection referer te trailer transfer-encoding upgrade via x-real-ip
    """.split()
)
_REFUSED_FAMILIES = (b"x-forwarded-", b"sec-")
_CREDENTIALS = frozenset([b"authorization", b"cookie", b"proxy-authorization"])
_JSON = (b"content-type", b"application/json")
_NO_BODY_NEEDED = frozenset(["GET", "HEAD", "OPTIONS", "DELETE"])


def carried(headers: Headers | tuple[tuple[bytes, bytes], ...]) -> Headers:
    """The handshake's headers that go with everything the session does."""
    return [pair for pair in headers if pair[0] not in _HANDSHAKE_ONLY and not pair[0].startswith(b"sec-")]


def split_target(target: str) -> tuple[bytes, bytes]:
    """The encoded path and query; raises ClientError for what is neither."""
    return _known(target) if len(target) <= _SHORT else _split(target)


def _split(target: str) -> tuple[bytes, bytes]:
    if not _TARGET.fullmatch(target):
        raise ClientError(400, "bad_target", "a path begins with / and is percent-encoded, without a fragment")
    path, _, query = target.encode().partition(b"?")
    return path, query


_known = lru_cache(_SOME_TARGETS)(_split)


def as_http(request: Request, connection: Headers, form: Format) -> tuple[Headers, bytes]:
    """The headers and the body to send: `connection` itself where the message adds none.

    The message's own replace those of the connection with the same name. Raises ClientError for what a message may
    not bring.
    """
    if request.body is UNSET and not request.headers and request.method in _NO_BODY_NEEDED:
        return connection, b""  # as nearly all are
    added, body = _body(request, form)
    if not request.headers:
        return ([*connection, *added] if added else connection), body
    own = [(_name(name), _value(name, value)) for name, value in request.headers.items()]
    replaced = {name for name, _ in own}
    if b"content-type" in replaced:
        added = [pair for pair in added if pair is not _JSON]
    return [*(pair for pair in connection if pair[0] not in replaced), *own, *added], body


def _body(request: Request, form: Format) -> tuple[Headers, bytes]:
    """The body, and the headers that say what it is."""
    if not isinstance(request.body, Raw):
        # RFC 9110 section 8.6
        return ([] if request.method in _NO_BODY_NEEDED else [(b"content-length", b"0")]), b""
    try:
        body, is_json = form.body(request.body)
    except ValueError as error:
        raise ClientError(400, "bad_body", str(error)) from None
    length = (b"content-length", b"%d" % len(body))
    return ([_JSON, length] if is_json else [length]), body


def _name(name: str) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ClientError(400, "bad_header", "a header name is not a token")
    lower = name.lower().encode()
    dashed = lower.replace(b"_", b"-")  # CGI-like backends read one for the other
    if dashed in _REFUSED or dashed.startswith(_REFUSED_FAMILIES):
        why = "the connection's credentials are sent with it" if dashed in _CREDENTIALS else "the gateway writes it"
        raise ClientError(400, "header_refused", f"a session's request can't bring the header {name[:64]}: {why}")
    return lower


def _value(name: str, value: str) -> bytes:
    if not _VALUE.fullmatch(value):
        raise ClientError(400, "bad_header", f"the value of the header {name[:64]} holds what no header may")
    return value.encode("latin-1").strip()
