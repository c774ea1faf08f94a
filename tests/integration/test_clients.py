"""Real clients, each through a whole life: snapshot, edit, resume, clean close."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.conftest import browser, chromium
from tests.integration import foreign
from tests.integration.backend import Backend
from tests.integration.clients import PYTHON, Open, heard
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import come
from tests.integration.relay import Relay

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser", "chromium"]

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""
NODE = [pytest.param(name, marks=pytest.mark.node) for name in foreign.NODE]


async def edit(running: Gateway, stock: int) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.patch(f"{running.url}/api/shirts/1", json={"stock": stock})
    assert answer.status_code == 200


def closes(running: Gateway) -> list[str]:
    return [line["reason"] for line in running.log() if line["kind"] == "close"]


async def live_through(open_stream: Open, running: Gateway) -> None:
    """Snapshot, edit, clean close, an edit that is missed, and a resume that brings it."""
    url = f"{running.url}/api/shirts"
    async with open_stream(url, None, {}) as stream:
        assert (await heard(stream, "snapshot")).data == [{"id": 1, "stock": 12}]
        await edit(running, 13)
        first = await heard(stream, "updated")
        assert first.data["item"] == {"id": 1, "stock": 13}
        assert first.id
        await stream.close()
    await edit(running, 14)
    async with open_stream(url, first.id, {}) as stream:
        second = await heard(stream, "updated")
        assert second.data["item"] == {"id": 1, "stock": 14}
        assert second.id
        assert [int(said.id.rpartition(".")[2]) for said in (first, second) if said.id] == [2, 3]
        await stream.close()
    await running.idle()
    await come(lambda: len(closes(running)) == 2)
    assert closes(running) in (["normal"] * 2, ["client_gone"] * 2)
    assert running.process.complained == []


@pytest.mark.parametrize("name", [*PYTHON, *NODE])
async def test_a_client_from_snapshot_to_resume(name: str, gateway: Serve, backend: Backend) -> None:
    await live_through({**PYTHON, **foreign.NODE}[name], gateway(CONFIG.format(url=backend.url)))


@pytest.mark.browser
@pytest.mark.parametrize("name", ["chromium-websocket", "chromium-eventsource"])
async def test_a_browser_from_snapshot_to_resume(name: str, browser: Browser, gateway: Serve, backend: Backend) -> None:
    await live_through(foreign.chromium(browser)[name], gateway(CONFIG.format(url=backend.url)))


async def resume_by_itself(open_stream: Open, running: Gateway, relay: Relay) -> None:
    """A cut connection: the client comes back with its position, and is told what it missed, not all again."""
    async with open_stream(f"{relay.url}/api/shirts", None, {}) as stream:
        await heard(stream, "snapshot")
        await edit(running, 20)
        assert (await heard(stream, "updated")).data["item"]["stock"] == 20
        relay.cut()
        await edit(running, 21)
        assert (await heard(stream, "updated")).data["item"]["stock"] == 21
        await stream.close()


@pytest.mark.node
async def test_event_source_resumes_by_itself(gateway: Serve, backend: Backend, relay: Relay) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    relay.to(running.port)
    await resume_by_itself(foreign.NODE["npm-eventsource"], running, relay)


@pytest.mark.browser
async def test_a_browsers_event_source_resumes_by_itself(
    browser: Browser, gateway: Serve, backend: Backend, relay: Relay
) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    relay.to(running.port)
    await resume_by_itself(foreign.chromium(browser)["chromium-eventsource"], running, relay)
