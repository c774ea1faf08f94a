"""Two thousand clients that never come to an end, and others beside them."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.backend import Backend
from tests.integration.conftest import Serve

CONFIG = """\
limits: {{connections_per_ip: 3000, head_time: 10s}}
upstreams:
  shop: {{url: "{url}"}}
routes:
  - {{path: /**, upstream: shop}}
"""
CROWD = 2000
BEGINNINGS = {
    "nothing": b"",
    "half a head": b"GET /api/shirts HTTP/1.1\r\nHost: x\r\nX-A: b",
    "half a body": b"POST /api/shirts HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello",
}


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, CROWD + 1000)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_others_are_served_beside_them(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    asyncio.get_running_loop().set_debug(False)
    crowd = []
    for number in range(CROWD):
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(list(BEGINNINGS.values())[number % len(BEGINNINGS)])
        crowd.append(writer)
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(20):
            answer = await client.get(f"{running.url}/api/shirts", headers={"connection": "close"})
            assert answer.status_code == 200
        assert running.metrics()["tidegate_connections"] >= CROWD
    for writer in crowd:
        writer.transport.abort()
    await running.idle()
