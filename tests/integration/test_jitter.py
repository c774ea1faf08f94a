"""Two hundred clients whose connections are cut at random while events are published: each hears each of them once.

`make soak` runs it for some ten minutes; SOAK is the number of changes, at most one every tenth of a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

import aiohttp
import pytest

from tests.integration.conftest import Serve
from tests.integration.processes import LIMIT
from tests.lines import listening

CONFIG = """\
limits: {{connections: 1000}}
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /things
    upstream: shop
    live: {{poll: {{interval: 100ms}}, items: {{key: id}}, log: {{events: 5000}}}}
"""
CHANGES = int(os.environ.get("SOAK", "40"))
CLIENTS = 50  # on each transport
ITEMS = 5
STARVED = "the backend did not answer in time"  # what a busy machine may do to the test's own backend
LAST = 1 + ITEMS * (CHANGES - 1)  # the offset of the last event


class Counter:
    """A backend whose items all change with every look at it, until they have changed often enough."""

    def __init__(self) -> None:
        self.looks = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.looks = min(self.looks + 1, CHANGES)
            body = json.dumps([{"id": number, "n": self.looks} for number in range(ITEMS)]).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(head + body)


# The events of one exchange as they come.
Reading = AsyncGenerator[dict[str, Any], None]

Read = Callable[[aiohttp.ClientSession, str], Reading]


async def websocket(session: aiohttp.ClientSession, url: str) -> Reading:
    async with session.ws_connect(url) as socket:
        try:
            async for message in socket:
                yield json.loads(message.data)
        finally:
            socket._response.close()  # as a cable that is pulled: without a close frame


async def lines(session: aiohttp.ClientSession, url: str) -> Reading:
    async with session.get(url, headers={"Accept": "application/x-ndjson"}) as response:
        async for line in response.content:
            if line.strip():
                yield json.loads(line)


async def events(session: aiohttp.ClientSession, url: str) -> Reading:
    fields: dict[str, str] = {}
    async with session.get(url, headers={"Accept": "text/event-stream"}) as response:
        async for line in response.content:
            name, _, value = line.decode().strip().partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                position = {"id": fields["id"]} if "id" in fields else {}
                yield {**position, "type": fields["event"], "data": json.loads(fields["data"])}
                fields = {}


async def polls(session: aiohttp.ClientSession, url: str) -> Reading:
    async with session.get(url, headers={"Prefer": "wait=5"}) as response:
        for event in (await response.json())["events"]:
            yield event


async def follow(session: aiohttp.ClientSession, url: str, read: Read, chance: random.Random) -> list[int]:
    """All that one client hears until it has heard the last change; its line breaks after a few events each time."""
    heard: list[int] = []
    since = ""
    while not heard or heard[-1] < LAST:
        left = chance.randrange(1, 30)
        with suppress(aiohttp.ClientError):
            async with aclosing(read(session, f"{url}?live.since={since}")) as reading:
                async for event in reading:
                    if event["type"] == "status":
                        told = event["data"]
                        assert told["state"] in ("ok", "recovered") or told["reason"] == STARVED
                        continue
                    since = event["id"]
                    whole = event["type"] == "snapshot"
                    assert not (whole and heard), "the log had it: there was no need for a snapshot"
                    heard.append(int(since.rpartition(".")[2]))
                    left -= 1
                    if not left or heard[-1] == LAST:
                        break
    return heard


@pytest.mark.timeout(CHANGES + 120)
async def test_every_event_reaches_every_client_once(gateway: Serve) -> None:
    chance = random.Random(4)
    async with listening(Counter().serve) as port:
        running = gateway(CONFIG.format(url=f"http://127.0.0.1:{port}"))
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout()) as session:
            url = f"{running.url}/things"
            async with asyncio.timeout(CHANGES + LIMIT), asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(follow(session, url, read, random.Random(chance.random())))
                    for read in (websocket, lines, events, polls)
                    for _ in range(CLIENTS)
                ]
        for task in tasks:
            heard = task.result()
            assert heard == list(range(heard[0], LAST + 1)), "lost, twice, or out of order"
        assert running.process.complained == []
