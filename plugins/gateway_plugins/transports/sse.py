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
    Headers,
    Options,
    Plugin,
    Request,
    TransportPlugin,
    wish,
)

# no-store: each client's stream is its own; x-accel-buffering: nginx would hold events back
_HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class SseOptions(Options):
    """Server-Sent Events."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    retry: Duration = 2.0
    """the least time before a client reconnects; up to half as much again is added at random"""


class ServerSentEvents:
    """The transport."""

    name = "sse"
    media_type = "text/event-stream"

    def __init__(self, options: SseOptions, context: Context) -> None:
        self._retry = options.retry
        self._random = context.clock.random
        self._encoding = _encoding(context.codecs["json"])

    def accepts(self, request: Request) -> float:
        if request.kind != "http" or request.method not in ("GET", "HEAD"):
            return 0
        return wish(request, b"text/event-stream")

    async def serve(self, connection: Connection) -> None:
        await connection.respond(200, _HEADERS)
        milliseconds = int(1000 * self._retry * (1 + self._random() / 2))
        connection.deliver(self._encoding, preamble=b"retry: %d\n\n" % milliseconds)
        while await connection.receive() is not None:
            pass


def _encoding(codec: Codec) -> Encoding:
    def encode(event: Event) -> bytes:
        position = b"id: %s\n" % str(event.position).encode() if event.position is not None else b""
        return b"%sevent: %s\ndata: %s\n\n" % (position, event.type.encode(), codec.encode(event.data))

    return Encoding(encode=encode, kind="body", heartbeat=b":\n\n")


plugin: TransportPlugin[SseOptions] = Plugin(SseOptions, ServerSentEvents)
