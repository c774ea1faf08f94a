from __future__ import annotations

import json

import msgpack
import pytest

from gateway.plugin import ClientError, Position
from gateway_plugins.transports.websocket import WebSocketOptions, plugin
from tests.plugins.transports.fake import FakeConnection, context, event, request


@pytest.mark.parametrize(
    ("offered", "chosen", "kind"),
    [
        ((), None, "text"),
        (("tidegate.json.v1",), "tidegate.json.v1", "text"),
        (("tidegate.msgpack.v1",), "tidegate.msgpack.v1", "binary"),
        (("chat", "tidegate.msgpack.v1", "tidegate.json.v1"), "tidegate.msgpack.v1", "binary"),
    ],
)
async def test_the_subprotocol_chooses_the_codec(offered: tuple[str, ...], chosen: str | None, kind: str) -> None:
    transport = plugin.make(WebSocketOptions(), context())
    connection = FakeConnection(request("websocket", subprotocols=offered))
    await transport.serve(connection)
    assert connection.accepted == [chosen]
    assert connection.encoding is not None
    assert connection.encoding.kind == kind
    encoded = connection.encoding.encode(event({"key": 1}, position=Position("e", 2)))
    decoded = json.loads(encoded) if kind == "text" else msgpack.unpackb(encoded)
    assert decoded == {"id": "e.2", "type": "updated", "data": {"key": 1}}


@pytest.mark.parametrize("offered", [("chat",), ("tidegate.xml.v1",), ("json",), ("tidegate.json.v2",)])
async def test_unknown_subprotocols_are_refused_before_the_upgrade(offered: tuple[str, ...]) -> None:
    connection = FakeConnection(request("websocket", subprotocols=offered))
    with pytest.raises(ClientError, match=r"there are: tidegate\.json\.v1, tidegate\.msgpack\.v1") as caught:
        await plugin.make(WebSocketOptions(), context()).serve(connection)
    assert (caught.value.status, connection.accepted) == (400, [])


async def test_it_takes_no_messages() -> None:
    connection = FakeConnection(request("websocket"), "hello", b"again")
    await plugin.make(WebSocketOptions(), context()).serve(connection)
    assert [(end.code, end.reason) for end in connection.disconnected] == [(4400, "this stream takes no messages")]


async def test_receivers_of_one_codec_share_their_encoding() -> None:
    transport = plugin.make(WebSocketOptions(), context())
    connections = [FakeConnection(request("websocket")) for _ in range(2)]
    for connection in connections:
        await transport.serve(connection)
    assert connections[0].encoding is connections[1].encoding


def test_it_accepts_upgrades_alone() -> None:
    transport = plugin.make(WebSocketOptions(), context())
    assert transport.name == "websocket"
    assert transport.accepts(request("websocket"))
    assert not transport.accepts(request(accept="text/event-stream"))
