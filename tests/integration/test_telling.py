"""What a gateway tells of itself: metrics and logs, which hold no secret and nothing that clients choose."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack

import aiohttp
import httpx
import pytest

from tests.integration import foreign
from tests.integration.backend import Backend
from tests.integration.clients import aiohttp_sse, heard, websockets_json
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.lint import faults
from tests.integration.raw import ask, connected, parse, request, talk

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}}}
  - path: /api/users/{{user}}/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms, credentials: none}}}}
  - path: /**
    upstream: shop
"""
SECRET = "s3cr3t-of-ada"


def start(gateway: Serve, backend: Backend) -> Gateway:
    return gateway(CONFIG.format(url=backend.url))


async def traffic(running: Gateway) -> None:
    """Something of everything, with secrets in all the places where clients put them."""
    cookie = f"session={SECRET}"
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        for headers in ({"Authorization": f"Bearer {SECRET}"}, {"Cookie": cookie}, {"X-Api-Key": SECRET}):
            await client.get("/api/shirts", headers=headers)
        await client.get(f"/api/other?access_token={SECRET}&page=2")
        await client.get(f"/nowhere;jsessionid={SECRET}?next=%2Fx%3Ftoken%3D{SECRET}")
        await client.request("PROPFIND", "/api/shirts")
        await client.patch("/api/shirts/1", json={"password": SECRET})
    url = f"{running.url}/api/shirts?token={SECRET}"
    async with websockets_json(url, None, {"Cookie": cookie}) as stream:
        await heard(stream, "snapshot")
        await stream.close()
    async with aiohttp_sse(
        f"{running.url}/api/users/ada/shirts", None, {"Authorization": f"Bearer {SECRET}"}
    ) as events:
        await heard(events, "snapshot")
    async with websockets_json(f"{running.url}/api/shirts", None, {"Authorization": f"Bearer {SECRET}"}) as stream:
        await heard(stream, "snapshot")
    await talk(running.port, request("GET", f"/api/x?live.ticket={SECRET}", ["Bad header: 1"]))
    await talk(running.port, request("GET", f"/api/shirts?live.ticket={SECRET}", ["Accept: text/event-stream"]))
    await talk(running.port, f"{SECRET} / HTTP/1.1\r\n\r\n".encode())


@pytest.fixture
def trusting(backend: Backend) -> Backend:
    """A backend that knows the secret."""
    backend.shirts[f"Bearer {SECRET}"] = [{"id": 1, "stock": 1}]
    return backend


async def test_nothing_secret_is_written(gateway: Serve, trusting: Backend) -> None:
    running = start(gateway, trusting)
    await traffic(running)
    trusting.mode = "garbage"
    await talk(running.port, request("GET", f"/api/shirts?token={SECRET}", [f"Authorization: Bearer {SECRET}"]))
    await running.idle()
    assert running.process.end() == 0
    assert SECRET not in running.access.read_text()
    assert SECRET not in running.process.text
    lines = running.log()
    assert any(line.get("query") == "access_token=REDACTED&page=2" for line in lines)
    opened = [line["stream"] for line in lines if line["kind"] == "open"]
    assert len(opened) == 3
    assert opened == [line["stream"] for line in lines if line["kind"] == "close"]


async def test_promtool_accepts_the_metrics(gateway: Serve, trusting: Backend) -> None:
    promtool = shutil.which("promtool") or pytest.skip("needs promtool of Debian's prometheus")
    running = start(gateway, trusting)
    await traffic(running)
    await running.idle()
    pipe = asyncio.subprocess.PIPE
    check = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=pipe, stdout=pipe, stderr=pipe)
    assert await check.communicate(running.exposition().encode()) == (b"", b"")
    assert check.returncode == 0


async def test_labels_hold_names_of_the_configuration_alone(gateway: Serve, trusting: Backend) -> None:
    running = start(gateway, trusting)
    await traffic(running)
    await running.idle()
    words = {word for _, labels, _ in running.samples() for word in labels.values()}
    assert not any(SECRET in word or "ada" in word or "nowhere" in word or "?" in word for word in words)
    assert {word for word in words if word.startswith("/")} == {"/api/shirts", "/api/users/{user}/shirts", "/**"}
    metrics = {(name, labels.get("transport")): value for name, labels, value in running.samples() if value}
    assert metrics["tidegate_streams_opened_total", "sse"] == 1
    assert metrics["tidegate_messages_total", "sse"] >= 1
    assert ("tidegate_streams", "sse") not in metrics


async def test_streams_are_in_no_duration_of_requests(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with AsyncExitStack() as stack:
        for kind in (websockets_json, aiohttp_sse):
            stream = await stack.enter_async_context(kind(f"{running.url}/api/shirts", None, {}))
            await heard(stream, "snapshot")
    await running.idle()
    metrics = running.metrics()
    assert metrics["tidegate_http_request_duration_seconds_count"] == 0
    assert metrics["tidegate_stream_duration_seconds_count"] == 2


async def test_httplint_finds_nothing_wrong_with_our_own_answers(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    admin = int(running.admin.rpartition(":")[2])
    for path in ("/metrics", "/livez", "/readyz", "/", "/nothing"):
        assert faults(await ask(admin, request("GET", path)), path=path) == []
    async with connected(running.port) as (reader, writer):
        writer.write(request("GET", "/api/shirts", ["Accept: text/event-stream"]))
        head = parse(await reader.readuntil(b"\r\n\r\n"), head_only=True)
    assert head.status == 200
    assert head.header(b"content-type") == b"text/event-stream"
    assert faults(head, "HEAD", "/api/shirts") == []  # as if of a HEAD: the body never ends
    await backend.stop()
    broken = await ask(running.port, request("GET", "/api/other"))
    assert broken.status == 502
    assert faults(broken) == []


@pytest.mark.node
async def test_the_log_tells_of_each_stream_and_request(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with foreign.NODE["npm-ws"](f"{running.url}/api/shirts?size=M", None, {}) as stream:
        await heard(stream, "snapshot")
        await stream.close()
    opened = running.logged(kind="open", transport="websocket", path="/api/shirts", query="size=M")
    closed = running.logged(kind="close", stream=opened["stream"])
    assert (closed["code"], closed["reason"], closed["received"]) == (1000, "normal", 0)
    assert closed["messages"] >= 1
    assert closed["bytes"] > 20
    async with aiohttp.ClientSession() as session, session.get(f"{running.url}/api/shirts") as answer:
        size = len(await answer.read())
    line = running.logged(kind="request", path="/api/shirts")
    assert (line["status"], line["bytes"], line["route"], line["http"]) == (200, size, "/api/shirts", "1.1")
