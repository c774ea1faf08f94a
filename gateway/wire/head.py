"""What the head of a request means: everything that llhttp lets pass and a gateway must not.

Pure: bytes in, a `Head` out or ClientError. It decides which body follows (RFC 9112 section 6), whether the
connection is kept (9.3), and which host is meant (3.2); it knows neither socket nor application.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.core.asgi import Headers
from gateway.errors import ClientError

CHUNKED = -1

# The longest name in IANA's registry has 43 letters; gRPC and Apache stop at 8 KB, of which no name makes use.
MAX_NAME = 256
_MAX_DIGITS = 18  # of a body's length: whatever reads it next in 64 bits gets the same number

_SPECIAL = frozenset({b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})
# RFC 3986 section 3.2.2 without percent-encoding and the sub-delimiters, which no name in DNS has: `a,b` is one host
# to the RFC, and two to whoever joins the values of repeated headers. 255 is the longest name in DNS.
_AUTHORITY = re.compile(rb"(?:[0-9A-Za-z._~-]{0,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_SOME_HOSTS = 1024
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)

_SPACE = ord(" ")

# llhttp also reads RTSP and Icecast, whose methods are then not refused as unknown.
_RTSP = frozenset(
    {
        b"DESCRIBE", b"ANNOUNCE", b"SETUP", b"PLAY", b"PAUSE", b"TEARDOWN", b"GET_PARAMETER", b"SET_PARAMETER",
        b"REDIRECT", b"RECORD", b"FLUSH", b"SOURCE",
    }
)  # fmt: skip
_METHODS = {m.encode(): m for m in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")}


def _lowered(*names: bytes) -> dict[bytes, bytes]:
    """Usual spellings to one shared object each: a lookup is cheaper than `lower`, and idle requests are smaller."""
    table = {}
    for name in names:
        for spelling in (name, name.title()):
            table[spelling] = name
    return table


_LOWER = _lowered(
    *_SPECIAL, b"host", b"accept", b"accept-encoding", b"accept-language", b"authorization", b"cache-control",
    b"content-type", b"cookie", b"if-match", b"if-modified-since", b"if-none-match", b"last-event-id", b"origin",
    b"pragma", b"prefer", b"referer", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site",
    b"sec-websocket-extensions", b"sec-websocket-key", b"sec-websocket-protocol", b"sec-websocket-version",
    b"te", b"traceparent", b"tracestate", b"user-agent", b"x-forwarded-for", b"x-forwarded-proto",
    b"x-request-id", b"x-requested-with",
)  # fmt: skip
_LOWER |= {b"Sec-WebSocket-" + end.title(): b"sec-websocket-" + end for end in
           (b"extensions", b"key", b"protocol", b"version")}  # fmt: skip


class Head:
    """One request's head. `headers` have lower-case names, `raw_headers` the client's own.

    `path` is the encoded one; `bare_query` says that it was followed by a `?` and nothing more. `length` counts the
    body's bytes, or is CHUNKED. `notes` is for what others make of the headers, by who they are: it is kept as long
    as a connection's requests repeat the same headers.
    """

    __slots__ = (
        "bare_query", "expects_continue", "headers", "keep_alive", "length", "method", "notes", "path", "query",
        "raw_headers", "trailers", "upgrade", "version",
    )  # fmt: skip

    def __init__(self, method: bytes, version: str, target: bytes, raw: Headers) -> None:
        self.method = _METHODS.get(method) or _unusual(method)
        self.version = version
        self.raw_headers = raw
        self.notes: dict[object, Any] = {}
        self.trailers: Headers = []  # filled when the body ends
        self.length = 0
        self.keep_alive = version == "1.1"
        self.expects_continue = False
        self.upgrade = b""
        if not self.keep_alive and version != "1.0":
            raise ClientError(505, "http_version", "HTTP/1.1 is spoken here")
        self.headers: Headers = []
        host, special = self._lower(raw)
        if host is None:
            if self.keep_alive:
                raise ClientError(400, "bad_host", "no Host header")
        elif host not in _hosts and not is_host(host):
            raise ClientError(400, "bad_host", "the Host header is not a host")
        if special:
            self._examine(special)
        if _plain(target):
            self.path, mark, self.query = target.partition(b"?")
            self.bare_query = not self.query and mark != b""
        else:
            self._locate(target)

    def again(self, method: bytes, target: bytes) -> Head:
        """The head of another request without a body, with the same headers and a usual method and target."""
        head = Head.__new__(Head)
        head.method = _METHODS[method]
        head.version, head.raw_headers, head.headers = self.version, self.raw_headers, self.headers
        head.notes, head.trailers, head.length = self.notes, [], 0
        head.keep_alive, head.expects_continue, head.upgrade = self.keep_alive, False, self.upgrade
        head.path, mark, head.query = target.partition(b"?")
        head.bare_query = not head.query and mark != b""
        return head

    def _lower(self, raw: Headers) -> tuple[bytes | None, dict[bytes, bytes] | None]:
        """Fill `headers`; Host, and the special ones by name, several values joined by a comma."""
        host: bytes | None = None
        special: dict[bytes, bytes] | None = None
        add, lower, blank = self.headers.append, _LOWER.get, False
        for name, value in raw:
            key = lower(name) or _lowered_name(name)
            if value and value[-1] <= _SPACE:  # llhttp leaves the white space that may follow a value
                value, blank = value.rstrip(b" \t"), True
            add((key, value))
            if key == b"host":
                if host is not None:
                    raise ClientError(400, "bad_host", "more than one Host header")
                host = value
            elif key in _SPECIAL:
                special = special or {}
                special[key] = special[key] + b"," + value if key in special else value
        if blank:
            raw[:] = [(name, value.rstrip(b" \t")) for name, value in raw]
        return host, special

    def _examine(self, special: dict[bytes, bytes]) -> None:
        options = tokens(special.get(b"connection", b""))
        self.keep_alive = b"close" not in options and (self.keep_alive or b"keep-alive" in options)
        self.upgrade = special.get(b"upgrade", b"")
        if b"content-length" in special:
            self.length = _length(special[b"content-length"])
        if b"transfer-encoding" in special:
            self._chunked(special)
        expect = special.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                raise ClientError(417, "expectation", "only 100-continue can be expected")
            # RFC 9110 section 10.1.1: not for HTTP/1.0, and without a body there is nothing to wait for.
            self.expects_continue = self.version == "1.1" and self.length != 0

    def _chunked(self, special: dict[bytes, bytes]) -> None:
        """RFC 9112 section 6.1: other codings are not understood, HTTP/1.0 and a second length are attacks."""
        if b"content-length" in special or self.version == "1.0":
            raise ClientError(400, "bad_framing", "the length of the body is not clear")
        if special[b"transfer-encoding"].lower() != b"chunked":
            raise ClientError(501, "transfer_coding", "the only transfer coding is chunked")
        self.length = CHUNKED

    def _locate(self, target: bytes) -> None:
        """Path and query of a target that is not simply a path."""
        self.bare_query = False
        if b"#" in target:
            raise ClientError(400, "bad_target", "a request has no fragment")
        if target == b"*" and self.method == "OPTIONS":
            self.path, self.query = target, b""
        else:
            self._absolute(target)

    def _absolute(self, target: bytes) -> None:
        """RFC 9112 section 3.2.2: a server must accept it, and its authority replaces the Host header."""
        match = _ABSOLUTE.fullmatch(target)
        if match is None or not is_host(match[1]):
            raise ClientError(400, "bad_target", "the request target is neither a path nor an http URL")
        self.path = match[2] or (b"*" if self.method == "OPTIONS" and match[3] is None else b"/")
        self.query = match[3] or b""
        self.bare_query = match[3] == b""
        rest = [pair for pair in self.raw_headers if pair[0].lower() != b"host"]
        self.raw_headers = [(b"Host", match[1]), *rest]
        self.headers = [(b"host", match[1]), *(pair for pair in self.headers if pair[0] != b"host")]


def _plain(target: bytes) -> bool:
    return target.startswith(b"/") and b"#" not in target


_hosts: set[bytes] = set()


def is_host(host: bytes) -> bool:
    """Whether it is a host with or without a port; some that are, are remembered: a server has few names."""
    if _AUTHORITY.fullmatch(host) is None:
        return False
    if len(_hosts) < _SOME_HOSTS:
        _hosts.add(host)
    return True


def _lowered_name(name: bytes) -> bytes:
    if len(name) > MAX_NAME:
        raise ClientError(431, "headers", "a header has too long a name")
    return name.lower()


def _length(value: bytes) -> int:
    if len(value) > _MAX_DIGITS:
        raise ClientError(400, "bad_framing", "the length of the body has too many digits")
    return int(value)


def _unusual(method: bytes) -> str:
    if method == b"CONNECT" or method in _RTSP:
        raise ClientError(501, "method", "the method is not for an origin server")
    return method.decode("ascii")


def tokens(value: bytes) -> set[bytes]:
    """The members of a comma-separated header, in lower case."""
    return {token.strip(b" \t") for token in value.lower().split(b",")}
