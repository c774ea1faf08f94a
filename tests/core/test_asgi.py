from __future__ import annotations

from gateway.core.asgi import Exchange, Writer
from gateway.testing.writer import ManualWriter
from gateway.wire.exchange import Exchange as HttpExchange
from gateway.wire.websocket import WebSocket
from gateway.wire.writer import Pump


def members(protocol: type) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_every_writer_has_what_the_extension_promises() -> None:
    for writer in (HttpExchange, WebSocket, Pump, ManualWriter(), HttpExchange):
        assert {name for name in members(Writer) if not hasattr(writer, name)} == set()


def test_our_servers_exchange_has_what_http_needs_beyond() -> None:
    assert members(Exchange) == {"raw_headers", "trailers", "informational"}
    assert {name for name in members(Exchange) if not hasattr(HttpExchange, name)} == set()
