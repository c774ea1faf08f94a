"""A transport in a distribution of its own, as a third party would publish it: the files of its source tree."""

from __future__ import annotations

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tidegate-records"
version = "1.2.3"

[project.entry-points."tidegate.transports"]
records = "tidegate_records:plugin"
"""

MODULE = '''\
"""JSON text sequences (RFC 7464): each event between a record separator and a line feed."""

from gateway.plugin import Codec, Connection, Context, Encoding, Event, Options, Plugin, Request, wish


class RecordsOptions(Options):
    """JSON text sequences."""

    heartbeats: bool = True


class Records:
    name = "records"
    media_type = "application/json-seq"

    def __init__(self, options: RecordsOptions, context: Context) -> None:
        codec: Codec = context.codecs["json"]

        def encode(event: Event) -> bytes:
            return b"\\x1e" + codec.encode(event.envelope()) + b"\\n"

        self._encoding = Encoding(encode=encode, kind="body", heartbeat=b"\\n" if options.heartbeats else b"")

    def accepts(self, request: Request) -> float:
        return wish(request, b"application/json-seq") if request.method == "GET" else 0

    async def serve(self, connection: Connection) -> None:
        await connection.respond(200, [(b"content-type", b"application/json-seq"), (b"cache-control", b"no-store")])
        connection.deliver(self._encoding)
        while await connection.receive() is not None:
            pass


plugin = Plugin(RecordsOptions, Records)
'''

TESTS = """\
import json

from gateway.testing.stage import Ask
from gateway.testing.transport import TransportContract


class TestRecords(TransportContract):
    name = "records"
    ask = Ask(headers=[(b"accept", b"application/json-seq")])

    def read(self, received):
        return [json.loads(text) for text in received[0].replace(b"\\x1e", b"").split(b"\\n")[:-1] if text]
"""
