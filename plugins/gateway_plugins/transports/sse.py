"""Server-Sent Events, as the HTML standard defines them: https://html.spec.whatwg.org/multipage/server-sent-events.html.

`id` is the event's position, `event` its type, `data` its data as JSON; a browser's EventSource resumes by itself
with `Last-Event-ID`.
"""

from __future__ import annotations

from pydantic import ConfigDict

from gateway.plugin import (
    Codec,
    Connection,
    Context,
    Duration,
    Encoding,
    Event,
    Options,
    Plugin,
    Request,
    TransportPlugin,
    serve_stream,
    stream_wish,
)

_MEDIA_TYPE = b"text/event-stream"


class SseOptions(Options):
    """Server-Sent Events."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    retry: Duration = 2.0
    """the least time before a client reconnects; up to half as much again is added at random"""


class ServerSentEvents:
    """The transport."""

    name = "sse"
    media_type = _MEDIA_TYPE.decode()

    def __init__(self, options: SseOptions, context: Context) -> None:
        self._retry = options.retry
        self._random = context.clock.random
        self._encoding = _encoding(context.codecs["json"])

    def accepts(self, request: Request) -> float:
        return stream_wish(request, _MEDIA_TYPE)

    async def serve(self, connection: Connection) -> None:
        milliseconds = int(1000 * self._retry * (1 + self._random() / 2))
        await serve_stream(connection, self._encoding, _MEDIA_TYPE, preamble=b"retry: %d\n\n" % milliseconds)


def _encoding(codec: Codec) -> Encoding:
    def encode(event: Event) -> bytes:
        position = b"id: %s\n" % str(event.position).encode() if event.position is not None else b""
        return b"%sevent: %s\ndata: %s\n\n" % (position, event.type.encode(), codec.encode(event.data))

    return Encoding(encode=encode, kind="body", heartbeat=b":\n\n")


plugin: TransportPlugin[SseOptions] = Plugin(SseOptions, ServerSentEvents)
