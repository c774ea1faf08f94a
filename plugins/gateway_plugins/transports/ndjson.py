"""One JSON event a line, streamed: `application/x-ndjson`. An empty line is sent in quiet times."""

from __future__ import annotations

from gateway.plugin import (
    Codec,
    Connection,
    Context,
    Encoding,
    Event,
    Headers,
    Options,
    Plugin,
    Request,
    TransportPlugin,
    wish,
)

# no-store: each client's stream is its own; x-accel-buffering: nginx would hold events back
_HEADERS: Headers = [
    (b"content-type", b"application/x-ndjson"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class NdjsonOptions(Options):
    """One JSON event a line."""


class Ndjson:
    """The transport."""

    name = "ndjson"
    media_type = "application/x-ndjson"

    def __init__(self, options: NdjsonOptions, context: Context) -> None:
        self._encoding = _encoding(context.codecs["json"])

    def accepts(self, request: Request) -> float:
        if request.kind != "http" or request.method not in ("GET", "HEAD"):
            return 0
        return wish(request, b"application/x-ndjson")

    async def serve(self, connection: Connection) -> None:
        await connection.respond(200, _HEADERS)
        connection.deliver(self._encoding)
        while await connection.receive() is not None:
            pass


def _encoding(codec: Codec) -> Encoding:
    def encode(event: Event) -> bytes:
        return codec.encode(event.envelope()) + b"\n"

    return Encoding(encode=encode, kind="body", heartbeat=b"\n")


plugin: TransportPlugin[NdjsonOptions] = Plugin(NdjsonOptions, Ndjson)
