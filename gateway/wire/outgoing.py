"""Requests as bytes for an HTTP/1.1 upstream.

The last check before the wire: whatever headers and targets the callers were given, what leaves here is one
request, framed once, that a backend can't read as two. Knows nothing of connections.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.core.headers import Rules
from gateway.errors import ClientError
from gateway.wire.response import header_lines

if TYPE_CHECKING:
    from gateway.core.asgi import Headers

LAST_CHUNK = b"0\r\n\r\n"

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_TARGET = re.compile(rb"(?:/[!-~\x80-\xff]*|\*)")
_HOST, _LENGTH, _TRANSFER = range(1, 4)
_FRAMING = {b"host": _HOST, b"content-length": _LENGTH, b"transfer-encoding": _TRANSFER}
_rules = Rules(lambda name: _FRAMING.get(name, 0))
_USUAL_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_CHUNKED = (b"Transfer-Encoding", b"chunked")


def request_head(method: bytes, target: bytes, headers: Headers) -> bytes:
    """Request line and headers. Raises ClientError for what is not HTTP/1.1."""
    return request_line(method, target) + header_block(headers)


def request_line(method: bytes, target: bytes) -> bytes:
    """Raises ClientError as `request_head`."""
    if method not in _USUAL_METHODS and _METHOD.fullmatch(method) is None:
        raise ClientError(400, "bad_method", "the method is not a token")
    if _TARGET.fullmatch(target) is None:
        raise ClientError(400, "bad_target", "the request target is not a path")
    return b"%b %b HTTP/1.1\r\n" % (method, target)


def header_block(headers: Headers) -> bytes:
    """All header lines and the empty one. Raises ClientError as `request_head`."""
    return _lines(headers) + b"\r\n"


def framed(headers: Headers, body: bytes | None, host: bytes) -> tuple[Headers, int | None]:
    """Headers that frame `body` (None: to come), with a `Host`; and the length that they declare.

    Raises ClientError where the given headers say otherwise.
    """
    length: int | None = None
    missing_host = True
    rules = _rules
    for name, value in [pair for pair in headers if rules[pair[0]]]:
        rule = rules[name]
        if rule == _HOST:
            missing_host = False
        elif rule == _LENGTH:
            length = _declared(value, length)
        else:
            raise ClientError(400, "bad_framing", "the transfer encoding is decided for each hop")
    if missing_host:
        headers = [(b"Host", host), *headers]
    if body is None:
        return ([*headers, _CHUNKED] if length is None else headers), length
    if length is None:
        return ([*headers, (b"Content-Length", b"%d" % len(body))] if body else headers), len(body)
    if length != len(body):
        raise ClientError(400, "bad_framing", "the body is not as long as its content-length says")
    return headers, length


def _declared(value: bytes, before: int | None) -> int:
    value = value.strip(b" \t")
    if before is not None or not value.isdigit() or len(value) > 18:
        raise ClientError(400, "bad_framing", "the content-length is not one number")
    return int(value)


def chunk(data: bytes) -> bytes:
    """One chunk of a body; `data` is not empty, as that would end it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Headers) -> bytes:
    """The end of a chunked body. Raises ClientError as `request_head`."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n%b\r\n" % _lines(trailers)


def _lines(headers: Headers) -> bytes:
    try:
        return header_lines(headers)
    except ValueError as error:
        raise ClientError(400, "bad_header", str(error)) from None
