"""A gateway that stops while requests over HTTP/2 are under way, as Node's own client and httpx see it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.integration import foreign
from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.processes import LIMIT, come
from tests.integration.test_operations import refuses

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/live
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}}}
  - {{path: /**, upstream: shop}}
"""
SHIRTS = '[{"id": 1, "stock": 12}]'
REFUSED_STREAM = 7


class Node:
    """Node's client on one connection."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def ask(self, path: str, accept: str = "") -> None:
        self._stdin.write(f"{path} {accept}\n".encode())

    async def heard(self, *names: str) -> list[dict[str, object]]:
        """What it says until something with each of these names has been said."""
        said: list[dict[str, object]] = []
        async with asyncio.timeout(LIMIT):
            while not all(any(name in one for one in said) for name in names):
                said.append(json.loads(await self._stdout.readline()))
        return said


@asynccontextmanager
async def node(url: str) -> AsyncIterator[Node]:
    pipe = asyncio.subprocess.PIPE
    command = [foreign.node(), "--no-warnings", str(foreign.NODE_FOLDER / "http2.mjs"), url]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        yield Node(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.node
async def test_node_is_told_and_its_request_answered(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    backend.hold = asyncio.Event()
    async with node(running.url) as client:
        client.ask("/api/shirts")
        await come(lambda: len(backend.asked) == 1, "the request")
        running.process.send(signal.SIGTERM)
        await come(lambda: refuses(running.port), "new connections are refused")
        client.ask("/api/late")
        late = await client.heard("goaway", "error")
        assert {"goaway": 0, "last": 1} in late
        assert {"path": "/api/late", "error": "ERR_HTTP2_STREAM_ERROR", "code": REFUSED_STREAM} in late
        backend.hold.set()
        rest = await client.heard("closed")
        assert [one for one in rest if "path" in one] == [
            {"path": "/api/shirts", "status": 200},
            {"path": "/api/shirts", "body": SHIRTS},
        ]
    assert await asyncio.to_thread(running.process.outcome) == 0
    assert [asked.target for asked in backend.asked] == ["/api/shirts"]


@pytest.mark.node
async def test_node_hears_why_its_stream_of_events_ends(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    async with node(running.url) as client:
        client.ask("/api/live", "text/event-stream")
        begun = await client.heard("begun")
        while "event: snapshot" not in str(begun[-1].get("begun")):
            begun = await client.heard("begun")
        running.process.send(signal.SIGTERM)
        rest = await client.heard("closed")
        assert {"goaway": 0, "last": 1} in rest
        (ended,) = [str(one["body"]) for one in rest if "body" in one]  # an end, and no reset
        last = ended.rstrip("\n").split("\n\n")[-1].split("\n")
        assert last[0] == "event: close"
        told = json.loads(last[1].removeprefix("data: "))
        assert told["code"] == 1012
        assert "reconnect" in told["reason"]
        assert not [one for one in rest if "error" in one]
    assert await asyncio.to_thread(running.process.outcome) == 0
    assert running.process.complained == []


async def test_httpx_is_answered(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    backend.hold = asyncio.Event()
    async with (
        httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=LIMIT) as client,
        asyncio.TaskGroup() as group,
    ):
        asked = [group.create_task(client.get(f"{running.url}/api/{name}")) for name in "abc"]
        await come(lambda: len(backend.asked) == 3, "the requests")
        running.process.send(signal.SIGTERM)
        await come(lambda: refuses(running.port), "new connections are refused")
        backend.hold.set()
        assert [(await one).text for one in asked] == [SHIRTS] * 3
    assert await asyncio.to_thread(running.process.outcome) == 0
    assert running.process.complained == []
