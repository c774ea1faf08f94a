"""Clients that hardly read while ten thousand events go by: no memory, the right end, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.plugin import Json
from gateway.testing.fold import Fold
from tests.integration.clients import Said, httpx_ndjson
from tests.integration.conftest import Serve
from tests.integration.processes import LIMIT
from tests.lines import listening

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /things
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}, log: {{events: 1000}}, slow: {policy}}}
"""
ITEMS = 500  # each look finds that every one has changed
EVENTS = 20 * ITEMS
PADDING = "x" * 1000
SLOW = 5

# Five clients with ten thousand events of a kilobyte each would be 50 MB if anybody kept them; what the gateway does
# keep is one log of a thousand of them, as changes and as bytes, and what the sockets hold.
SOME = 25 * 1024**2


class Counter:
    """A backend whose items change with every look while it is `lively`."""

    def __init__(self) -> None:
        self.looks = 1
        self.lively = False

    def document(self) -> list[Json]:
        return [{"id": number, "n": self.looks, "padding": PADDING} for number in range(ITEMS)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.looks += self.lively
            body = json.dumps(self.document()).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(head + body)
            await writer.drain()


class Sloth:
    """A raw client with a small window, that reads a byte when it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self.port = port
        self.data = bytearray()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self.port))
        head = f"GET /things HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept: application/x-ndjson\r\n\r\n"
        await loop.sock_sendall(self.socket, head.encode())

    async def read(self, size: int) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self.socket, size)
        self.data += data
        return data

    async def rest(self, position: str) -> None:
        """Read until the last change, or until the stream says that it ends."""
        last = f'"{position}"'.encode()
        while last not in self.data[-8192:] and b'"type":"close"' not in self.data[-512:]:
            assert await self.read(1024**2), "the stream ended without a word"
        while not self.data.endswith(b"\n\r\n") and await self.read(1024**2):
            pass

    def events(self) -> list[dict[str, Json]]:
        """The whole events so far; chunks hold whole lines, and their sizes are no JSON objects."""
        body = bytes(self.data).partition(b"\r\n\r\n")[2]
        lines = [line.rstrip(b"\r") for line in body.split(b"\n")[:-1]]
        return [json.loads(line) for line in lines if line.startswith(b"{")]


@pytest.fixture
async def counter() -> AsyncIterator[tuple[Counter, str]]:
    counter = Counter()
    async with listening(counter.serve) as port:
        yield counter, f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("policy", ["snapshot", "skip", "disconnect"])
async def test_slow_clients_cost_nothing(policy: str, gateway: Serve, counter: tuple[Counter, str]) -> None:
    backend, url = counter
    running = gateway(CONFIG.format(url=url, policy=policy))
    sloths = [Sloth(running.port) for _ in range(SLOW)]
    async with asyncio.timeout(4 * LIMIT), httpx_ndjson(f"{running.url}/things", None, {}) as fast:
        assert (await fast.event()).type == "snapshot"
        for sloth in sloths:
            await sloth.open()
            await sloth.read(1)
        before = running.resident()
        backend.lively = True
        heard: list[Said] = []
        while not heard or backend.lively or heard[-1].data["item"] != backend.document()[-1]:
            heard.append(await fast.event())
            backend.lively = len(heard) < EVENTS
            if len(heard) % ITEMS == 0:
                for sloth in sloths:
                    await sloth.read(1)
        assert running.resident() - before < SOME
        assert [int((said.id or "").rpartition(".")[2]) for said in heard] == list(range(2, len(heard) + 2))
        for sloth in sloths:
            told = await end(sloth, policy, heard[-1].id or "", backend.document())
            assert told is None or told == len(heard), "each event was heard, or counted as missed"
            sloth.socket.close()
    skipped = sum(value for name, _, value in running.samples() if name == "tidegate_stream_skips_total")
    closes = [labels["reason"] for name, labels, value in running.samples() if "streams_closed_total" in name and value]
    assert skipped >= (0 if policy == "disconnect" else SLOW)
    assert ("too_slow" in closes) == (policy == "disconnect")
    assert running.process.complained == []


async def end(sloth: Sloth, policy: str, position: str, document: list[Json]) -> int | None:
    """The client reads all that is left for it; returns how many events it accounts for, where the policy counts."""
    await sloth.rest(position)
    events, fold = sloth.events(), Fold()
    if policy == "disconnect":
        assert events[-1]["data"] == {"code": 4413, "reason": "too slow, reconnect and resume", "reconnect": True}
        return None
    fold.all(events)
    assert fold.state == document
    known = [event for event in events if event["type"] == "updated"]
    return len(known) + fold.missed if policy == "skip" else None
