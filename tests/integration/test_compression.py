"""permessage-deflate on a live route: agreed on, made once for all who agreed, and nothing for the others."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import pytest
import websockets.asyncio.client
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.browser.conftest import browser, chromium
from tests.integration import foreign
from tests.integration.backend import Backend
from tests.integration.clients import Open, heard
from tests.integration.conftest import Serve
from tests.integration.frames import handshake, read_close, read_frame
from tests.integration.gateways import Gateway
from tests.integration.processes import come
from tests.integration.raw import connected

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser", "chromium"]

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}, compression: true}}
  - path: /**
    upstream: shop
"""
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


@pytest.fixture
def running(gateway: Serve, backend: Backend) -> Gateway:
    backend.shirts[""] = [{"id": number, "name": f"Shirt {number}"} for number in range(100)]
    return gateway(CONFIG.format(url=backend.url))


async def told(message: Awaitable[Any]) -> Any:
    return json.loads(await message)


async def test_clients_with_and_without_it_are_told_the_same(running: Gateway) -> None:
    connect = websockets.asyncio.client.connect
    url = f"{running.ws}/api/shirts"
    async with connect(url) as with_it, connect(url, compression=None) as without_it:
        (extension,) = with_it.protocol.extensions
        assert isinstance(extension, PerMessageDeflate)
        assert extension.remote_no_context_takeover
        assert extension.local_no_context_takeover
        assert without_it.protocol.extensions == []
        first, second = await told(with_it.recv()), await told(without_it.recv())
        assert first["data"] == second["data"]
        assert len(first["data"]) == 100


async def told_everything(open_stream: Open, running: Gateway) -> None:
    async with open_stream(f"{running.url}/api/shirts", None, {}) as stream:
        assert len((await heard(stream, "snapshot")).data) == 100
        await stream.close()


@pytest.mark.node
@pytest.mark.parametrize("name", [name for name in foreign.NODE if "eventsource" not in name])
async def test_node(name: str, running: Gateway) -> None:
    await told_everything(foreign.NODE[name], running)


@pytest.mark.browser
async def test_chromium(browser: Browser, running: Gateway) -> None:
    await told_everything(foreign.chromium(browser)["chromium-websocket"], running)


async def test_what_is_sent_is_the_same_for_all_and_small(running: Gateway) -> None:
    frames = []
    for _ in range(2):
        async with connected(running.port) as (reader, writer):
            writer.write(handshake("/api/shirts", OFFER))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"permessage-deflate; server_no_context_takeover; client_no_context_takeover" in head
            frames.append((await read_frame(reader)).payload)
            writer.write(b"\x81\x00")  # not masked
            assert (await read_close(reader)).code == 1002
    first, second = frames
    assert first == second
    assert len(first) < 800  # of 3,400

    def counted() -> bool:
        ended = [(labels["reason"], count) for name, labels, count in running.samples() if "streams_closed" in name]
        return ("protocol_error", 2) in ended

    await come(counted, "both are counted as protocol errors")
