"""The same application under stock Hypercorn and uvicorn: slower, and otherwise the same."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import httpx
import pytest
import websockets
import websockets.asyncio.client

from tests.integration.backend import Backend
from tests.integration.clients import Open, heard, httpx_sse, websockets_json, websockets_msgpack
from tests.integration.frames import TEXT, frame, handshake, read_close
from tests.integration.gateways import write_config
from tests.integration.processes import Process, come, free_port, listens
from tests.integration.raw import connected

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}}}
  - path: /api/**
    upstream: shop
"""


@dataclass(frozen=True, slots=True)
class Hosted:
    """The application on somebody else's server."""

    name: str
    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def command(server: str, port: int) -> list[str]:
    if server == "hypercorn":
        options = ["--workers", "0", "--graceful-timeout", "1"]  # 0: in this process, so that it can be killed
        return ["hypercorn", "gateway.app:application()", "--bind", f"127.0.0.1:{port}", *options]
    options = ["--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "1"]
    return ["uvicorn", "--factory", "gateway.app:application", *options]


@pytest.fixture(params=["hypercorn", "uvicorn"])
async def hosted(request: pytest.FixtureRequest, backend: Backend, tmp_path: Path) -> AsyncIterator[Hosted]:
    path = write_config(tmp_path, CONFIG.format(url=backend.url))
    port = free_port()
    process = Process([sys.executable, "-P", "-m", *command(request.param, port)], {"TIDEGATE_CONFIG": str(path)})
    try:
        await come(lambda: listens(port) or process.popen.poll() is not None)
        assert process.popen.poll() is None, process.text
        yield Hosted(request.param, process, port)
        if process.popen.poll() is None:  # what a server says of what it cuts off at its end is its own affair
            assert "/gateway/" not in process.text, "no traceback goes through us"
    finally:
        process.kill()


async def edit(hosted: Hosted, stock: int) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.patch(f"{hosted.url}/api/shirts/1", json={"stock": stock})


async def test_rest(hosted: Hosted, backend: Backend) -> None:
    async with httpx.AsyncClient(base_url=hosted.url, trust_env=False) as client:
        answer = await client.get("/api/shirts?b=%20&a=1")
        assert answer.json() == [{"id": 1, "stock": 12}]
        assert answer.headers["via"] == "1.1 tidegate"
        assert backend.last("/api/shirts?b=%20&a=1").method == "GET"
        again = await client.get("/api/shirts", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = await client.head("/api/shirts")
        assert (head.status_code, head.content) == (200, b"")
        nowhere = await client.get("/nowhere")
        assert nowhere.status_code == 404
        assert nowhere.json()["code"] == "no_route"
    assert (await edit(hosted, 13)).json() == {"id": 1, "stock": 13}
    await backend.stop()
    assert (await edit(hosted, 14)).status_code == 502


@pytest.mark.parametrize("open_stream", [websockets_json, websockets_msgpack, httpx_sse])
async def test_streams_from_snapshot_to_resume(hosted: Hosted, open_stream: Open) -> None:
    url = f"{hosted.url}/api/shirts"
    async with open_stream(url, None, {}) as stream:
        assert (await heard(stream, "snapshot")).data == [{"id": 1, "stock": 12}]
        await edit(hosted, 13)
        first = await heard(stream, "updated")
        assert first.data["item"]["stock"] == 13
        await stream.close()
    await edit(hosted, 14)
    async with open_stream(url, first.id, {}) as stream:
        assert (await heard(stream, "updated")).data["item"]["stock"] == 14
        await stream.close()


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/nowhere", {}, 404, "no_route"),
        ("/api/other", {}, 501, "no_tunnel"),
        ("/api/shirts", {"Origin": "http://evil", "Cookie": "a=b"}, 403, "origin"),
        ("/api/shirts", {"Authorization": "Bearer wrong"}, 401, "upstream_refused"),
    ],
)
async def test_refused_upgrades_are_answers(
    hosted: Hosted, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.asyncio.client.connect(
            f"ws://127.0.0.1:{hosted.port}{path}", additional_headers=headers, proxy=None
        )
    answer = refused.value.response
    assert answer.status_code == status
    assert json.loads(answer.body or b"")["code"] == code


async def test_a_message_from_the_client_ends_the_stream(hosted: Hosted) -> None:
    async with connected(hosted.port) as (reader, writer):
        writer.write(handshake("/api/shirts"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(frame(TEXT, b"hello"))
        close = await read_close(reader)
        assert close.code == 4400
        assert close.reason == "this stream takes no messages"


async def test_it_stops_while_streams_are_open(hosted: Hosted) -> None:
    """How a server ends is its own affair; ours is that it does, without a traceback."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{hosted.url}/api/shirts") as socket,
        session.get(f"{hosted.url}/api/shirts", headers={"Accept": "text/event-stream"}) as events,
    ):
        assert json.loads((await socket.receive()).data)["type"] == "snapshot"
        assert (await events.content.readline()).startswith(b"retry: ")
        hosted.process.send(signal.SIGTERM)
        while not socket.closed:
            await socket.receive()
        with suppress(aiohttp.ClientError):
            await events.read()
    code = await asyncio.to_thread(hosted.process.outcome)
    assert code in (0, -signal.SIGTERM)  # uvicorn raises the signal again when it is done
