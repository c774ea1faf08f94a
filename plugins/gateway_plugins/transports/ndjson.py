"""One JSON event a line, streamed: `application/x-ndjson`. An empty line is sent in quiet times."""

from __future__ import annotations

from gateway.plugin import (
    Codec,
    Connection,
    Context,
    Encoding,
    Event,
    Options,
    Plugin,
    Request,
    TransportPlugin,
    serve_stream,
    stream_wish,
)

_MEDIA_TYPE = b"application/x-ndjson"


class NdjsonOptions(Options):
    """One JSON event a line."""


class Ndjson:
    """The transport."""

    name = "ndjson"
    media_type = _MEDIA_TYPE.decode()

    def __init__(self, options: NdjsonOptions, context: Context) -> None:
        self._encoding = _encoding(context.codecs["json"])

    def accepts(self, request: Request) -> float:
        return stream_wish(request, _MEDIA_TYPE)

    async def serve(self, connection: Connection) -> None:
        await serve_stream(connection, self._encoding, _MEDIA_TYPE)


def _encoding(codec: Codec) -> Encoding:
    def encode(event: Event) -> bytes:
        return codec.encode(event.envelope()) + b"\n"

    return Encoding(encode=encode, kind="body", heartbeat=b"\n")


plugin: TransportPlugin[NdjsonOptions] = Plugin(NdjsonOptions, Ndjson)
