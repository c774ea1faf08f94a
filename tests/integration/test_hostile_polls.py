"""Backends that harm who polls them: clients are told, memory stays bounded, other resources go on."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from tests.integration.clients import aiohttp_sse, heard
from tests.integration.conftest import Serve
from tests.lines import listening

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /**
    name: all
    upstream: shop
    live: {{poll: {{interval: 200ms, timeout: 1s, tolerate: 0}}}}
"""
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(b" " * 200_000_000, 1)
ANSWERS = {
    "good": JSON + b"Content-Length: 3\r\n\r\n[1]",
    "past": JSON + b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nLast-Modified: Fri, 31 Dec 9999 23:59:59 GMT\r\n"
    b"Content-Length: 3\r\n\r\n[1]",
    "cut": JSON + b"Content-Length: 1000\r\n\r\n[1,2",
    "bomb": JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    "values": JSON + b"Content-Length: %d\r\n\r\n" % (2 * 1_100_000 + 1) + b"[" + b"0," * (1_100_000 - 1) + b"0]",
    "deep": JSON + b"Content-Length: 500000\r\n\r\n" + b"[" * 500_000,
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n[]",
    "304": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
}
MEGABYTE = 1024 * 1024


class Hostile:
    """Answers as the path says; `asked` are the paths."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.port = 0
        self._news = asyncio.Condition()

    async def polled(self, path: str, times: int) -> None:
        """Wait until it has been asked so often from now."""
        most = self.asked.count(path) + times
        async with self._news:
            await self._news.wait_for(lambda: self.asked.count(path) >= most)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode().lstrip("/")
        async with self._news:
            self.asked.append(path)
            self._news.notify_all()
        await self._answer(path, writer)
        await writer.drain()
        writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "endless":
            writer.write(JSON + b"\r\n")
            for _ in range(5000):  # 5 GB, if anybody took it
                writer.write(b"x" * 1_000_000)
                await writer.drain()
        elif path == "headers":
            writer.write(JSON)
            for _ in range(100_000):
                writer.write(b"X-Again: and again\r\n" * 1000)
                await writer.drain()
        elif path == "trickle":
            writer.write(JSON + b"Content-Length: 1000\r\n\r\n")
            await writer.drain()
            for _ in range(100):
                writer.write(b" ")
                await asyncio.sleep(0.05)
        elif path == "redirect":
            location = f"http://127.0.0.1:{self.port}/internal".encode()
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(ANSWERS[path])


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    backend = Hostile()
    async with listening(backend.serve) as backend.port:
        yield backend


BROKEN = "the backend's answer is not usable: it is broken off, too big, or no HTTP"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("endless", BROKEN),
        ("headers", BROKEN),
        ("cut", BROKEN),
        ("trickle", "the backend did not answer in time"),
        ("bomb", "the backend's answer is not usable: it has more than 5242880 bytes"),
        ("values", "the backend's answer is not usable: it has more than 1000000 values"),
        ("deep", "the backend's answer is not usable: JSON is nested too deeply"),
        ("html", "the backend's answer is not usable: it is not JSON"),
        ("redirect", "the backend answered 302: redirects are not followed"),
        ("304", "the backend answered 304 to a poll without conditions"),
    ],
)
async def test_harm_is_told_counted_and_bounded(gateway: Serve, hostile: Hostile, path: str, reason: str) -> None:
    running = gateway(CONFIG.format(url=f"http://127.0.0.1:{hostile.port}"))
    async with aiohttp_sse(f"{running.url}/good") as good:
        await heard(good, "snapshot")
        before = running.resident()
        async with aiohttp_sse(f"{running.url}/{path}") as bad:
            told = await heard(bad, "status")
            assert (told.data["state"], told.data["reason"]) == ("error", reason)
            await hostile.polled("good", 3)  # the other resource goes on
        assert running.resident() - before < 100 * MEGABYTE
    assert "internal" not in hostile.asked
    errors = [
        value
        for name, labels, value in running.samples()
        if name == "tidegate_source_polls_total" and labels["result"] == "error"
    ]
    assert sum(errors) >= 1


async def test_clocks_that_are_wrong_do_no_harm(gateway: Serve, hostile: Hostile) -> None:
    running = gateway(CONFIG.format(url=f"http://127.0.0.1:{hostile.port}"))
    async with aiohttp_sse(f"{running.url}/past") as stream:
        assert (await heard(stream, "snapshot")).data == [1]
        await hostile.polled("past", 2)
