"""Two thousand clients that never come to an end, and others beside them."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.processes import LIMIT
from tests.lines import listening

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


class Files:
    """A backend whose answers are large, but for those of `/small`."""

    LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
    SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.SMALL if head.startswith(b"GET /small") else self.LARGE)
            await writer.drain()


class Sloth(asyncio.Protocol):
    """Asks for much and takes none of it; begins again when it is sent away."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        assert self.transport is not None
        self.transport.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        if b" 504 " in data[:16] or b" 502 " in data[:16]:
            self.ask()
        else:
            self.transport.pause_reading()


async def sloth(port: int, source: str = "127.0.0.1") -> Sloth:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.setblocking(False)
    sock.bind((source, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    _, protocol = await loop.create_connection(Sloth, sock=sock)
    return protocol


@pytest.mark.usefixtures("many_files")
async def test_others_are_served_beside_a_crowd_that_reads_no_answer(gateway: Serve) -> None:
    asyncio.get_running_loop().set_debug(False)
    async with listening(Files().serve, socket.create_server(("127.0.0.1", 0), backlog=CROWD)) as port:
        running = gateway(CONFIG.format(url=f"http://127.0.0.1:{port}"))
        crowd = [await sloth(running.port) for _ in range(CROWD)]
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")  # another client than the crowd
        async with httpx.AsyncClient(transport=transport, timeout=LIMIT) as client:
            for _ in range(20):
                answer = await client.get(f"{running.url}/small", headers={"connection": "close"})
                assert (answer.status_code, answer.text) == (200, "small")
        for one in crowd:
            assert one.transport is not None
            one.transport.abort()
        await running.idle()


async def answers(url: str, source: str) -> set[tuple[int, str]]:
    """What a client at that address gets of ten connections."""
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, timeout=LIMIT) as client:
        got = [await client.get(f"{url}/small", headers={"connection": "close"}) for _ in range(10)]
    return {(answer.status_code, answer.text) for answer in got}


@pytest.mark.usefixtures("many_files")
async def test_others_are_served_beside_a_crowd_of_many_addresses(gateway: Serve) -> None:
    """Slow heads, slow bodies, and 400 that read nothing, 200 of them at one address."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    async with listening(Files().serve, socket.create_server(("127.0.0.1", 0), backlog=CROWD)) as port:
        running = gateway(CONFIG.format(url=f"http://127.0.0.1:{port}"))
        assert await answers(running.url, "127.0.0.2") == {(200, "small")}
        memory = running.resident()
        crowd: list[asyncio.BaseTransport | None] = [(await sloth(running.port)).transport for _ in range(200)]
        for number in range(CROWD):
            source = f"127.0.1.{2 + number % 200}"
            if number % 10 == 0:  # of 20 addresses
                crowd.append((await sloth(running.port, source)).transport)
            else:
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, "127.0.0.1", running.port, local_addr=(source, 0)
                )
                transport.write(list(BEGINNINGS.values())[number % len(BEGINNINGS)])
                crowd.append(transport)
        assert await answers(running.url, "127.0.0.2") == {(200, "small")}
        assert running.resident() < memory + 250 * 1024 * 1024  # 400 of 320 KB each, and what is read ahead
        for one in crowd:
            assert isinstance(one, asyncio.Transport)
            one.abort()
        await running.idle()
