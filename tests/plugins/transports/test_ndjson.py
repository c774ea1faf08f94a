from __future__ import annotations

import json

import pytest

from gateway.plugin import Position
from gateway_plugins.transports.ndjson import NdjsonOptions, plugin
from tests.plugins.transports.fake import FakeConnection, context, event, request


async def test_an_event_is_one_line_of_json() -> None:
    connection = FakeConnection(request(accept="application/x-ndjson"), "ignored")
    await plugin.make(NdjsonOptions(), context()).serve(connection)
    [(status, headers)] = connection.responded
    assert status == 200
    assert dict(headers) == {
        b"content-type": b"application/x-ndjson",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
    }
    encoding = connection.encoding
    assert encoding is not None
    line = encoding.encode(event("a\nb\u2028", position=Position("e", 7)))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"id": "e.7", "type": "updated", "data": "a\nb\u2028"}
    assert (encoding.heartbeat, encoding.kind) == (b"\n", "body")


@pytest.mark.parametrize(
    ("method", "accept", "accepted"),
    [
        ("GET", "application/x-ndjson", True),
        ("HEAD", "application/x-ndjson", True),
        ("POST", "application/x-ndjson", False),
        ("GET", "application/json", False),
        ("GET", "application/x-ndjson;q=0", False),
        ("GET", "*/*", False),
    ],
)
def test_it_accepts_reads_that_ask_for_it(method: str, accept: str, accepted: bool) -> None:
    transport = plugin.make(NdjsonOptions(), context())
    assert bool(transport.accepts(request(method=method, accept=accept))) is accepted
    assert not transport.accepts(request("websocket", accept=accept))
