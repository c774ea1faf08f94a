"""What operators meet: signals, exit codes, health, mistakes told in a line."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest

from tests.integration.backend import Backend
from tests.integration.clients import aiohttp_sse, heard
from tests.integration.conftest import Serve
from tests.integration.frames import handshake, read_close
from tests.integration.gateways import Gateway, write_config
from tests.integration.processes import LIMIT, Process, come
from tests.integration.raw import ask, connected, request

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_cleanly_while_streams_are_open(
    number: signal.Signals, gateway: Serve, backend: Backend
) -> None:
    running = start(gateway, backend)
    async with AsyncExitStack() as stack:
        reader, writer = await stack.enter_async_context(connected(running.port))
        writer.write(handshake("/api/shirts"))
        await reader.readuntil(b"\r\n\r\n")
        events = await stack.enter_async_context(aiohttp_sse(f"{running.url}/api/shirts", None, {}))
        await heard(events, "snapshot")
        idle, _ = await stack.enter_async_context(connected(running.port))
        running.process.send(number)
        close = await read_close(reader)
        assert close.code == 1012
        assert "reconnect" in close.reason
        await heard(events, "close")
        with pytest.raises(EOFError):  # the stream's own end, not a cut connection
            await heard(events, "anything but a status")
        assert await idle.read() == b""
        writer.write(b"\x88\x82\0\0\0\0\x03\xf4")
        assert await asyncio.to_thread(running.process.outcome) == 0
    assert running.process.complained == []
    assert [line["reason"] for line in running.log() if line["kind"] == "close"] == ["restart", "restart"]


async def test_it_stops_though_a_client_does_not_answer_the_close(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with connected(running.port) as (reader, writer):
        writer.write(handshake("/api/shirts"))
        await reader.readuntil(b"\r\n\r\n")
        running.process.send(signal.SIGTERM)
        assert (await read_close(reader)).code == 1012
        assert await asyncio.to_thread(running.process.outcome) == 0
    assert running.process.complained == []


async def test_requests_that_were_begun_are_answered(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    backend.hold = asyncio.Event()
    asked = asyncio.get_running_loop().create_task(ask(running.port, request("GET", "/api/slow")))
    try:
        async with asyncio.timeout(LIMIT):
            while not backend.asked:  # noqa: ASYNC110 - the backend's list is no event
                await asyncio.sleep(0.02)
        running.process.send(signal.SIGTERM)
        await come(lambda: refuses(running.port), "new connections are refused")
        backend.hold.set()
        assert (await asked).body == b'[{"id": 1, "stock": 12}]'
    finally:
        asked.cancel()
    assert await asyncio.to_thread(running.process.outcome) == 0


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def tidegate(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "gateway", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


def test_a_used_port_is_said_in_one_line(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = write_config(tmp_path, CONFIG.format(url="http://127.0.0.1:1"), listen=f'"{address}"')
        done = tidegate("serve", str(path))
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert address in done.stderr
    assert "in use" in done.stderr.lower()


def test_a_wrong_configuration_is_not_served(tmp_path: Path) -> None:
    path = write_config(tmp_path, "upstreams: {shop: {url: ftp://x}}\nroutes: [{path: x, upstream: shop}]\n")
    done = tidegate("serve", str(path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"(\S+tidegate\.yaml:\d+:\d+: \S+: .+\n){2}", done.stderr)


def test_start_up_tells_listeners_and_routes(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    running.process.line(r"^route +/\*\*")
    assert [line.split()[0] for line in running.process.said] == ["listening", "admin", *["route"] * 5]


def test_healthcheck(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    done = tidegate("healthcheck", "--url", f"{running.admin}/readyz")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"status": "pass"' in done.stdout
    running.process.kill()
    done = tidegate("healthcheck", "--url", f"{running.admin}/readyz")
    assert done.returncode == 4
    assert "no answer" in done.stderr


def test_check_finds_five_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "upstreams:\n  shop: {url: 'ftp://x'}\nlimts: {}\nroutes:\n  - path: api\n    upstream: shpo\n"
        "    live: {poll: {interval: soon}}\n"
    )
    done = tidegate("check", str(path))
    assert done.returncode == 1
    places = re.findall(r"^\S+wrong\.yaml:(\d+):\d+: ", done.stderr, re.MULTILINE)
    assert places == ["2", "3", "5", "6", "7"]


async def test_the_admin_side_is_on_its_own_listener_alone(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert "tidegate_" not in (await client.get(f"{running.url}/metrics")).text
        assert (await client.get(f"{running.admin}/api/shirts")).status_code == 404


def test_a_second_gateway_on_the_same_configuration_is_refused(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    folder = running.access.parent
    path = write_config(folder, CONFIG.format(url=backend.url), listen=f'"127.0.0.1:{running.port}"')
    second = Process([sys.executable, "-P", "-m", "gateway", "serve", str(path)])
    assert second.outcome() == 3
    assert str(running.port) in second.text
