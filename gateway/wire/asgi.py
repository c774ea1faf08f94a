"""ASGI scopes, https://asgi.readthedocs.io/en/latest/specs/www.html, and the extensions in them.

Every scope has in `scope["extensions"]`:

`tidegate.wire`
    The exchange itself, a `gateway.core.asgi.Exchange`: a `Writer` of ready bytes, with `raw_headers` (names as
    the client spelled them), `informational(status, headers)` (sends a 1xx response now) and `trailers` (the
    request's, complete when the last body message has been received).
`tls` (on a connection with TLS)
    As in the ASGI specification: versions, our certificate, and the client's.
`tidegate.bare_query` (http)
    Only there when the target ended in a `?`, which an empty `query_string` does not tell.
`http.response.trailers` (http)
    As in the ASGI specification.
`websocket.http.response` (websocket)
    As in the ASGI specification: refuse a handshake with a whole response.

Beside the standard's keys, an `http.response.start` message may have `tidegate.reason`, the phrase after the status
(bytes; HTTP/1.1 only), and a `websocket.accept` message `compression`: true agrees on permessage-deflate
where the client offers it. A `websocket.disconnect` message has a `label` (one of `gateway.core.codes`) where the
server closed in the application's place.

Knows the shape of a scope, and nothing of how requests are read or answered.
"""

from __future__ import annotations

import asyncio
from urllib.parse import unquote_to_bytes

from gateway.core.asgi import Exchange, Scope
from gateway.core.proxy_protocol import Told
from gateway.wire.handshake import offered
from gateway.wire.head import Head
from gateway.wire.listener import Listener
from gateway.wire.tls import Extension, extension

Address = tuple[str, int | None]

_VERSIONS = {"version": "3.0", "spec_version": "2.5"}
_LOGGED = 1024  # bytes of a target; what is longer is an attack or a mistake
_NO_OPTIONS: dict[str, object] = {}


class Ends:
    """The two ends of a connection, as scopes tell them: (host, port), or (path, None) for a unix socket.

    What a proxy's header has `told` goes before what the transport says.
    `tls` is the extension of that name; None without TLS.
    """

    __slots__ = ("client", "server", "tls")

    def __init__(self, transport: asyncio.BaseTransport, told: Told | None = None) -> None:
        self.client: Address | None = _address(transport.get_extra_info("peername"))
        self.server: Address | None = _address(transport.get_extra_info("sockname"))
        if told is not None and told.client is not None:
            self.client, self.server = told.client, told.server
        tls = transport.get_extra_info("ssl_object")
        self.tls: Extension | None = None if tls is None else extension(tls)

    @classmethod
    def of(cls, client: Address, server: Address, tls: Extension) -> Ends:
        """Those of a connection that has no transport of its own."""
        ends = cls.__new__(cls)
        ends.client, ends.server, ends.tls = client, server, tls
        return ends

    @property
    def host(self) -> str | None:
        """The client's address; None on a unix socket, and when it had left before anybody looked."""
        return self.client[0] if self.client is not None and self.client[1] is not None else None


def _address(name: object) -> Address | None:
    if isinstance(name, tuple):
        return name[0], name[1]
    return (name, None) if isinstance(name, str) and name else None


def http_scope(listener: Listener, ends: Ends, head: Head, exchange: Exchange) -> Scope:
    """The scope of a request."""
    extensions = _extensions(ends, exchange, "http.response.trailers")
    if head.bare_query:
        extensions["tidegate.bare_query"] = _NO_OPTIONS
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": head.version,
        "method": head.method,
        "scheme": listener.scheme,
        "path": decoded(head.path),
        "raw_path": head.path,
        "query_string": head.query,
        "root_path": "",
        "headers": head.headers,
        "client": ends.client,
        "server": ends.server,
        "state": listener.state.copy(),
        "extensions": extensions,
    }


def websocket_scope(listener: Listener, ends: Ends, head: Head, exchange: Exchange) -> Scope:
    """The scope of a WebSocket whose handshake is right."""
    return {
        "type": "websocket",
        "asgi": _VERSIONS,
        "http_version": head.version,
        "scheme": "wss" if listener.scheme == "https" else "ws",
        "path": decoded(head.path),
        "raw_path": head.path,
        "query_string": head.query,
        "root_path": "",
        "headers": head.headers,
        "client": ends.client,
        "server": ends.server,
        "subprotocols": offered(head),
        "state": listener.state.copy(),
        "extensions": _extensions(ends, exchange, "websocket.http.response"),
    }


def _extensions(ends: Ends, exchange: Exchange, own: str) -> dict[str, object]:
    if ends.tls is None:
        return {"tidegate.wire": exchange, own: _NO_OPTIONS}
    return {"tidegate.wire": exchange, own: _NO_OPTIONS, "tls": ends.tls}


def refused_scope(ends: Ends, method: str, target: bytes) -> Scope:
    """As much of a scope as is known of a request that can't be understood; for the access log."""
    path, _, query = target[:_LOGGED].partition(b"?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": decoded(path),
        "raw_path": path,
        "query_string": query,
        "headers": [],
        "client": ends.client,
        "server": ends.server,
    }


def decoded(path: bytes) -> str:
    """An encoded path as ASGI's `path`: percent-decoded UTF-8."""
    return unquote_to_bytes(path).decode(errors="replace") if b"%" in path else path.decode("latin-1")
