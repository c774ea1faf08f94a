from __future__ import annotations

import pytest

from gateway.plugin import Position
from gateway_plugins.transports.sse import SseOptions, plugin
from tests.plugins.transports.fake import FakeConnection, context, event, request


async def test_the_stream_begins_with_its_headers_and_a_retry() -> None:
    connection = FakeConnection(request(accept="text/event-stream"), "ignored")
    await plugin.make(SseOptions(), context()).serve(connection)
    [(status, headers)] = connection.responded
    assert status == 200
    assert dict(headers)[b"content-type"] == b"text/event-stream"
    assert dict(headers)[b"cache-control"] == b"no-store"
    assert connection.preamble == b"retry: 2500\n\n"
    assert not connection.disconnected


async def test_an_event_is_its_position_type_and_data() -> None:
    connection = FakeConnection(request(accept="text/event-stream"))
    await plugin.make(SseOptions(), context()).serve(connection)
    encoding = connection.encoding
    assert encoding is not None
    assert encoding.encode(event("a\nb", position=Position("e", 7))) == b'id: e.7\nevent: updated\ndata: "a\\nb"\n\n'
    assert encoding.encode(event(None)) == b"event: updated\ndata: null\n\n"
    assert encoding.heartbeat == b":\n\n"
    assert encoding.kind == "body"


@pytest.mark.parametrize(
    ("method", "accept", "accepted"),
    [
        ("GET", "text/event-stream", True),
        ("GET", "Text/Event-Stream; q=1, */*", True),
        ("GET", "text/event-stream;q=0", False),
        ("GET", "application/json", False),
        ("GET", "", False),
        ("POST", "text/event-stream", False),
        ("HEAD", "text/event-stream", True),
    ],
)
def test_it_accepts_reads_that_ask_for_events(method: str, accept: str, accepted: bool) -> None:
    transport = plugin.make(SseOptions(), context())
    assert bool(transport.accepts(request(method=method, accept=accept))) is accepted
    assert not transport.accepts(request("websocket", accept=accept))
