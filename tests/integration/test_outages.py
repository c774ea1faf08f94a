"""The backend is killed, hangs or talks nonsense: who follows it keeps what it has, and is told; REST says 502."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from tests.integration.backend import Backend
from tests.integration.clients import Open, Said, Stream, heard, httpx_sse, websockets_json
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, Process, free_port

CONFIG = """\
upstreams:
  shop: {{url: "{url}", timeouts: {{connect: 1s, response: {response}}}}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms, max_backoff: 400ms}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""


class Shop:
    """The demo's shop, which can be killed and comes back with its data on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-P", "-m", "gateway.demo.shop", "--port", str(self.port)]
        self._command += ["--db", str(folder / "shop.db")]
        self.start()

    def start(self) -> None:
        self._process = Process(self._command)
        self._process.line("^shop: ")

    def kill(self) -> None:
        self._process.kill()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    try:
        yield shop
    finally:
        shop.kill()


async def until_status(stream: Stream, state: str) -> Said:
    """The next status of this state; nothing but status may come before it."""
    async with asyncio.timeout(LIMIT):
        while (said := await stream.event()).type == "status":
            if said.data["state"] == state:
                return said
    raise AssertionError(f"told of {said} while waiting to hear that it is {state}")


async def rest(running: Gateway, method: str = "GET", **body: object) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        path = "/api/shirts/1" if body else "/api/shirts"
        return await client.request(method, running.url + path, json=body or None)


def is_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["status"] == status


@pytest.mark.parametrize("open_stream", [websockets_json, httpx_sse])
async def test_subscribers_outlive_a_backend_that_is_killed(open_stream: Open, gateway: Serve, mortal: Shop) -> None:
    running = gateway(CONFIG.format(url=f"http://127.0.0.1:{mortal.port}", response="2s"))
    async with open_stream(f"{running.url}/api/shirts", None, {}) as stream:
        before = (await heard(stream, "snapshot")).id
        mortal.kill()
        is_problem(await rest(running), 502, "upstream_unavailable")
        is_problem(await rest(running, "PATCH", stock=1), 502, "upstream_unavailable")
        stale = await until_status(stream, "stale")
        assert stale.id is None
        assert stale.data["reason"] == "the backend cannot be reached"
        await asyncio.to_thread(mortal.start)
        await until_status(stream, "recovered")
        assert (await rest(running, "PATCH", stock=77)).status_code == 200
        updated = await heard(stream, "updated")  # not a snapshot: what was held is still good
        assert updated.data["item"]["stock"] == 77
        assert before
        assert updated.id
        assert updated.id.rpartition(".")[0] == before.rpartition(".")[0]
        await stream.close()
    assert (await rest(running)).status_code == 200


async def test_newcomers_of_a_dead_backend_wait_and_are_told(gateway: Serve, mortal: Shop) -> None:
    running = gateway(CONFIG.format(url=f"http://127.0.0.1:{mortal.port}", response="2s"))
    mortal.kill()
    async with websockets_json(f"{running.url}/api/shirts", None, {}) as stream:
        await until_status(stream, "error")
        await asyncio.to_thread(mortal.start)
        async with asyncio.timeout(LIMIT):
            while (said := await stream.event()).type == "status":
                pass
        assert said.type == "snapshot"
        assert len(said.data) == 7


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [("hang", 504, "upstream_timeout"), ("garbage", 502, "upstream_protocol")],
)
async def test_a_backend_that_hangs_or_talks_nonsense(
    mode: str, status: int, code: str, gateway: Serve, backend: Backend
) -> None:
    running = gateway(CONFIG.format(url=backend.url, response="300ms"))
    async with websockets_json(f"{running.url}/api/shirts", None, {}) as stream:
        await heard(stream, "snapshot")
        backend.mode = mode
        is_problem(await rest(running), status, code)
        await until_status(stream, "stale")
        backend.mode = "ok"
        await until_status(stream, "recovered")
        backend.shirts[""][0]["stock"] = 5
        assert (await heard(stream, "updated")).data["item"]["stock"] == 5
    assert running.process.popen.poll() is None
    assert running.metrics()["tidegate_upstream_failures_total"] >= 1


async def test_a_backend_that_answers_500(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url, response="2s"))
    async with websockets_json(f"{running.url}/api/shirts", None, {}) as stream:
        await heard(stream, "snapshot")
        backend.mode = "error"
        assert (await rest(running)).json() == {"error": "out of order"}
        stale = await until_status(stream, "stale")
        assert (stale.data["code"], stale.data["upstream_status"]) == ("upstream_status", 500)
        assert stale.data["age"] > 0
        assert datetime.fromisoformat(stale.data["retry_at"]) > datetime.fromisoformat(stale.data["since"])
        backend.mode = "ok"
        await until_status(stream, "recovered")
