"""A client's request as the proxy needs it, read from an ASGI scope of any server.

Decides where and how the body comes, and what the upstream is told; sends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.crowd import address_of
from gateway.core.forwarded import forwarded_headers
from gateway.core.headers import one_cookie, request_headers, response_headers, trailer_headers
from gateway.core.http import IDENTITY

if TYPE_CHECKING:
    from gateway.core.asgi import Headers, HttpExchange, Scope
    from gateway.core.identity import Identity

# Up to this size a body of known length is collected before an upstream connection is taken: one write sends
# it, it can be sent again, and a slow client holds no connection. nginx buffers 16 KB, then writes files.
SMALL_BODY = 64 * 1024

_NOTED = frozenset([b"content-length", b"transfer-encoding", b"expect"])


class Inbound:
    """`length` is the body's: a number, or None when only its end will tell.

    `trailing`: the server can send trailers. `unsure`: the head does not say whether there is a body at all.
    """

    __slots__ = ("_headers", "_scope", "expects", "length", "method", "target", "trailing", "unsure", "wire")

    def __init__(self, scope: Scope) -> None:
        extensions = scope.get("extensions") or {}
        self._scope = scope
        self.wire: HttpExchange | None = extensions.get("tidegate.wire")
        self.trailing = "http.response.trailers" in extensions
        self.method: str = scope["method"]
        query: bytes = scope["query_string"]
        if query or "tidegate.bare_query" in extensions:
            self.target: bytes = b"%b?%b" % (scope["raw_path"], query)
        else:
            self.target = scope["raw_path"]
        self._headers: Headers = scope["headers"] if self.wire is None else self.wire.raw_headers
        self.unsure = self.expects = False
        self.length: int | None = 0
        # What is whole from the start has no body; after a wait for an authenticator the body may just have come.
        if self.wire is None or not self.wire.whole or IDENTITY in scope:
            self._measure({name: value for name, value in scope["headers"] if name in _NOTED})

    @property
    def client(self) -> str:
        """Who this is to others who wait for an upstream."""
        return address_of(self._scope)

    @property
    def small(self) -> bool:
        """Whether the body is to be collected first."""
        return self.length is not None and self.length <= SMALL_BODY and not self.expects

    def headers(self, host: bytes | None) -> Headers:
        """The headers for an upstream that wants to be called `host`, or (None) what the client called us."""
        scope = self._scope
        client = scope.get("client")
        version: str = scope["http_version"]
        headers = self._headers if version[0] == "1" else one_cookie(self._headers)
        added = forwarded_headers(client and client[0], scope["scheme"], self._host(), version)
        identity: Identity | None = scope.get(IDENTITY)
        if identity is not None:
            added += identity.headers
        return request_headers(headers, host=host, trailers=self.trailing, added=added)

    def informational(self, status: int, headers: Headers) -> None:
        """Tell the client of a 1xx answer, where the server can."""
        if self.wire is not None:
            self.wire.informational(status, response_headers(headers))

    def trailers(self) -> Headers:
        """The request's trailers, once the body is complete."""
        return [] if self.wire is None else trailer_headers(self.wire.trailers)

    def _measure(self, noted: dict[bytes, bytes]) -> None:
        # Only HTTP/1 says by its headers that there is no body.
        self.unsure = b"content-length" not in noted and not self._scope["http_version"].startswith("1")
        self.length = self._length(noted)
        self.expects = self.length != 0 and noted.get(b"expect", b"").lower() == b"100-continue"

    def _host(self) -> bytes:
        told: bytes | None = self._scope.get("tidegate.host")  # by a proxy that is trusted
        if told is not None:
            return told
        for name, value in self._scope["headers"]:
            if name == b"host":
                return value  # type: ignore[no-any-return]
        return b""

    def _length(self, noted: dict[bytes, bytes]) -> int | None:
        if b"transfer-encoding" in noted:
            return None
        length = noted.get(b"content-length", b"").strip()
        return int(length) if length.isdigit() else None if length or self.unsure else 0
