"""The opening of a WebSocket over HTTP/2: an extended CONNECT (RFC 8441), and the WebSocket that comes of it.

From here on it is the same WebSocket as over HTTP/1.1, with a stream for a transport. It counts as a connection of
its own, because it costs as much. Whether it is offered at all is the listener's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.core.asgi import Headers, Scope
from gateway.errors import ClientError
from gateway.wire.asgi import Ends, decoded, refused_scope
from gateway.wire.handshake import accepted
from gateway.wire.head import tokens
from gateway.wire.listener import Listener
from gateway.wire.response import refusal
from gateway.wire.splice import Spliceable
from gateway.wire.stream_transport import StreamTransport

Take: TypeAlias = Callable[[StreamTransport, Headers], None]

_VERSION = b"sec-websocket-version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """An extended CONNECT as far as a scope needs it; `headers` are without the pseudo ones, Host among them."""

    path: bytes
    query: bytes
    headers: Headers

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers, in its order."""
        value = b",".join(value for name, value in self.headers if name == b"sec-websocket-protocol")
        return [name for part in value.decode("latin-1").split(",") if (name := part.strip())]


def read_connect(fields: Headers) -> Connect:
    """An extended CONNECT for a WebSocket; raises ClientError for any other one."""
    pseudo = {name: value for name, value in fields if name[:1] == b":"}
    if pseudo.get(b":protocol", b"").lower() != b"websocket":
        raise ClientError(501, "bad_upgrade", "the only protocol for CONNECT is websocket")
    target = pseudo.get(b":path", b"")
    if not target.startswith(b"/") or b"#" in target:
        raise ClientError(400, "bad_target", "the request target is not a path")
    plain = [pair for pair in fields if pair[0][:1] != b":"]
    if tokens(b",".join(value for name, value in plain if name == _VERSION)) != {b"13"}:
        raise ClientError(400, "bad_upgrade", "the only WebSocket version is 13").with_headers((_VERSION, b"13"))
    authority = pseudo.get(b":authority")
    if authority is not None:  # RFC 9113 section 8.3.1: it replaces a Host header
        plain = [(b"host", authority), *(pair for pair in plain if pair[0] != b"host")]
    path, _, query = target.partition(b"?")
    return Connect(path=path, query=query, headers=plain)


def take(listener: Listener, ends: Ends, transport: StreamTransport, fields: Headers) -> None:
    """Answer an extended CONNECT: by a WebSocket that runs, or by a refusal."""
    try:
        connect = read_connect(fields)
        full = listener.arrived(transport, ends.host)
        if full is not None:
            listener.left(transport)
            raise full
    except ClientError as error:
        head, body = refusal(error, listener.sweep.date)
        transport.write(head + body)
        transport.close()
        target = next((value for name, value in fields if name == b":path"), b"")
        listener.refused(error, refused_scope(ends, "CONNECT", target), len(body))
        return
    key = next((value for name, value in connect.headers if name == b"sec-websocket-key"), None)
    socket = Spliceable(listener, transport, connect.headers, accepted(key) if key is not None else b"")
    transport.set_protocol(socket)
    listener.spawn(socket.run(listener.app, _scope(listener, ends, connect, socket)))


def _scope(listener: Listener, ends: Ends, connect: Connect, socket: Spliceable) -> Scope:
    extensions: dict[str, object] = {"tidegate.wire": socket, "websocket.http.response": {}}
    if ends.tls is not None:
        extensions["tls"] = ends.tls
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "2",
        "scheme": "wss" if listener.scheme == "https" else "ws",
        "path": decoded(connect.path),
        "raw_path": connect.path,
        "query_string": connect.query,
        "root_path": "",
        "headers": connect.headers,
        "client": ends.client,
        "server": ends.server,
        "subprotocols": connect.subprotocols,
        "state": listener.state.copy(),
        "extensions": extensions,
    }
