"""What event streams over HTTP have in common, whatever the form of their events; for transports to use."""

from __future__ import annotations

from gateway.core.accept import wish
from gateway.core.http import Request
from gateway.plugin.transport import Connection, Encoding


def stream_wish(request: Request, media_type: bytes) -> float:
    """`wish`, of a request that can be answered with a stream: 0 for a WebSocket, and for what would write."""
    return wish(request, media_type) if request.kind == "http" and request.method in ("GET", "HEAD") else 0.0


async def serve_stream(connection: Connection, encoding: Encoding, media_type: bytes, *, preamble: bytes = b"") -> None:
    """Answer with a stream of this media type, the `preamble` first, until the client has gone."""
    headers = [
        (b"content-type", media_type),
        (b"cache-control", b"no-store"),  # each client's stream is its own
        (b"x-accel-buffering", b"no"),  # nginx would hold events back
    ]
    await connection.respond(200, headers)
    connection.deliver(encoding, preamble=preamble)
    while await connection.receive() is not None:
        pass
