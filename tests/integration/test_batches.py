"""Shirts that clients follow each by its own URL, read many at a time from servers that nobody here wrote.

json-server takes `?id=1&id=2`, Kinto `?in_id=a,b`. Both give a list in pages if they are asked to.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jsonpatch
import pytest
from websockets.asyncio.client import connect

from tests.integration.clients import TRANSPORTS, Said, Stream
from tests.integration.conftest import Serve
from tests.integration.faulty import Faulty
from tests.integration.gateways import Gateway
from tests.integration.processes import come
from tests.integration.sites import Site

EDITS = int(os.environ.get("ACCEPTANCE_EDITS", "60"))
COUNT = 40

CONFIG = """\
upstreams:
  shop: {{url: "http://127.0.0.1:{port}"}}
routes:
  - path: /live
    session: {{subscribe: ["/**"], limits: {{subscriptions: 1000}}}}
  - path: {above}/{{id}}
    upstream: shop
    live:
      poll: {{interval: 200ms, max_backoff: 1s, batch: {{{batch}}}}}
      ignore: {ignore}
      linger: 1h
  - path: /**
    upstream: shop
"""

BATCH = {
    "json_server": ("param: id, repeat: true", "[]"),
    "kinto": ('param: in_id, at: data, document: "{data: @}"', "[permissions]"),
}
PAGES = {
    "json_server": ("_limit", "{page: _page, size: 7}", "_page="),
    "kinto": ("_limit", "{header: Next-Page}", "_token="),
}


@pytest.fixture(params=[pytest.param("json_server", marks=pytest.mark.node), "kinto"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(kind: str, request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(kind)
    return found


class Shirts:
    """The backend's shirts, edited there or through the gateway; Kinto wraps each in `data`."""

    def __init__(self, site: Site, clients: list[httpx.AsyncClient], prefix: int) -> None:
        self.above = site.first.rpartition("/")[0]
        self.ids = [f"s{prefix}-{number}" for number in range(COUNT)]
        self.gone: set[str] = set()
        self._wrapped = "data" in site.items
        self._clients = clients
        self._chance = random.Random(3)

    async def fill(self, ids: Iterable[str]) -> None:
        for one in ids:
            await self._make(self._clients[0], one)

    async def edit(self) -> None:
        client, one = self._chance.choice(self._clients), self._chance.choice(self.ids)
        if one in self.gone:
            self.gone.remove(one)
            await self._make(client, one)
        elif self._chance.random() < 0.1:
            self.gone.add(one)
            assert (await client.delete(f"{self.above}/{one}")).status_code == 200
        else:
            body = self._body({"stock": self._chance.randrange(100)})
            assert (await client.patch(f"{self.above}/{one}", json=body)).status_code == 200

    async def there(self) -> dict[str, Any]:
        """What each URL answers."""
        answers = [await self._clients[0].get(f"{self.above}/{one}") for one in self.ids if one not in self.gone]
        assert {answer.status_code for answer in answers} == {200}
        return {answer.url.path.rpartition("/")[2]: _bare(answer.json()) for answer in answers}

    async def _make(self, client: httpx.AsyncClient, one: str) -> None:
        shirt = {"name": "Tan", "tags": ["a", None], "text": "x" * 50}
        if self._wrapped:
            answer = await client.put(f"{self.above}/{one}", json={"data": shirt})
        else:
            answer = await client.post(self.above, json={"id": one, **shirt})
        assert answer.status_code == 201, answer.text

    def _body(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"data": fields} if self._wrapped else fields


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    """Without what is ignored."""
    return {name: value for name, value in document.items() if name != "permissions"}


class Mirror:
    """What a client makes of the events that it is told."""

    def __init__(self) -> None:
        self.document: Any = None
        self.state = "ok"

    def take(self, said: Said) -> None:
        if said.type == "snapshot":
            self.document = said.data
        elif said.type == "patch":
            self.document = jsonpatch.apply_patch(self.document, said.data)
        else:
            assert said.type == "status", said
            self.state = said.data["state"]


@asynccontextmanager
async def watching(running: Gateway, paths: list[str], headers: dict[str, str]) -> AsyncIterator[dict[str, Mirror]]:
    """A mirror of each path, by its last part; the transports take turns."""
    mirrors: dict[str, Mirror] = {}
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        tasks = []
        opened = list(TRANSPORTS.values())
        for number, path in enumerate(paths):
            mirror = mirrors[path.rpartition("/")[2]] = Mirror()
            address = f"{running.url}{path}?live.mode=patch"
            stream = await stack.enter_async_context(opened[number % len(opened)](address, None, headers))
            tasks.append(group.create_task(_follow(stream, mirror)))
        yield mirrors
        for task in tasks:
            task.cancel()


async def _follow(stream: Stream, mirror: Mirror) -> None:
    while True:
        mirror.take(await stream.event())


def config(kind: str, site: Site, port: int, *, paged: bool = False) -> str:
    (batch, ignore), above = BATCH[kind], site.first.rpartition("/")[0]
    if paged:
        limit, pages, _ = PAGES[kind]
        batch += f', path: "{above}?{limit}=7", pages: {pages}'
    return CONFIG.format(port=port, above=above, batch=batch, ignore=ignore)


def asked_together(line: Faulty) -> list[int]:
    """How many ids each read of many had."""
    queries = (urlsplit(target).query for target in line.read)
    return [
        sum(len(value.split(",")) for name, value in parse_qsl(query) if name in ("id", "in_id"))
        for query in queries
        if "id=" in query
    ]


@pytest.mark.timeout(120 + EDITS)
@pytest.mark.parametrize(
    ("rate", "validators", "paged"),
    [(0.0, True, False), (0.25, True, False), (0.25, False, False), (0.0, True, True), (0.05, False, True)],
)
async def test_after_many_edits_every_client_has_what_its_url_answers(
    kind: str, site: Site, gateway: Serve, rate: float, validators: bool, paged: bool
) -> None:
    line = Faulty(site.port, 0.0, validators)
    await line.start()
    running = gateway(config(kind, site, line.port, paged=paged))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(line.stop)
        stack.callback(running.process.kill)  # first: it goes on asking, and lines cut in a request leave warnings
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=site.headers, trust_env=False))
            for url in (f"http://127.0.0.1:{site.port}", running.url)
        ]
        shirts = Shirts(site, clients, line.port)
        await shirts.fill(shirts.ids)
        paths = [f"{shirts.above}/{one}" for one in shirts.ids]
        async with watching(running, paths, site.headers) as mirrors:
            await come(lambda: all(mirror.document for mirror in mirrors.values()), "all begin with what is there")
            line.rate = rate
            for _ in range(EDITS):
                await shirts.edit()
            wanted = await shirts.there()
            await come(
                lambda: all(_bare(mirrors[one].document or {}) == document for one, document in wanted.items()),
                f"all mirrors of {json.dumps(wanted)}",
            )
            if rate == 0:
                await come(lambda: all(mirrors[one].state == "stale" for one in shirts.gone), "what is gone is told")
        samples = running.samples()
    polls = Counter({labels["result"]: value for name, labels, value in samples if name.endswith("polls_total")})
    assert max(asked_together(line)) > COUNT / 2
    assert any(PAGES[kind][2] in target for target in line.read) is paged
    assert (line.failed > 0) == (rate > 0)
    assert polls["error"] > 0
    assert running.process.complained == [] or rate or shirts.gone


async def test_a_hundred_resources_are_one_request_an_interval(kind: str, site: Site, gateway: Serve) -> None:
    line = Faulty(site.port)
    await line.start()
    running = gateway(config(kind, site, line.port))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(line.stop)
        stack.callback(running.process.kill)  # first: it goes on asking, and lines cut in a request leave warnings
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", headers=site.headers, trust_env=False)
        )
        shirts = Shirts(site, [client], line.port)
        shirts.ids = [f"h{line.port}-{number}" for number in range(100)]
        await shirts.fill(shirts.ids)
        socket = await stack.enter_async_context(
            connect(f"{running.ws}/live", proxy=None, additional_headers=site.headers)
        )
        for number, one in enumerate(shirts.ids):
            await socket.send(json.dumps({"op": "subscribe", "id": number, "channel": f"{shirts.above}/{one}"}))
        wanted = await shirts.there()
        told: dict[str, Any] = {}
        async with asyncio.timeout(30):
            while len(told) < 100:
                message = json.loads(await socket.recv())
                assert message["op"] != "error", message
                if message.get("event", {}).get("type") == "snapshot":
                    told[message["channel"].rpartition("/")[2]] = message["event"]["data"]
        assert {one: _bare(document) for one, document in told.items()} == wanted
        await come(lambda: asked_together(line)[-1:] == [100], "all in one")
        line.read.clear()
        await come(lambda: len(line.read) >= 5)
        assert asked_together(line) == [100] * len(line.read), line.read
    assert running.process.complained == []
