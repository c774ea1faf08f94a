"""Random edits at servers that nobody here wrote, watched on every transport: in the end all have the same shirts.

`ACCEPTANCE_EDITS=3000` makes more of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import jsonpatch
import pytest

from tests.integration.clients import TRANSPORTS, Said, Stream, heard, websockets_json
from tests.integration.conftest import Serve
from tests.integration.faulty import Faulty
from tests.integration.processes import come
from tests.integration.sites import Site

EDITS = int(os.environ.get("ACCEPTANCE_EDITS", "60"))

CONFIG = """\
upstreams:
  shop: {{url: "http://127.0.0.1:{port}"}}
routes:
  - path: {path}
    upstream: shop
    live:
      poll: {{interval: 200ms, max_backoff: 1s, {poll}}}
      items: {{{items}}}
  - path: {above}/{{id}}
    upstream: shop
    refresh_on_write: [{path}]
  - path: /**
    upstream: shop
"""
Rows = dict[str, dict[str, Any]]


class Driver:
    """Edits shirts at random, at the backend itself or through the gateway; `prefix` names what it makes."""

    def __init__(self, site: Site, clients: list[httpx.AsyncClient], prefix: int) -> None:
        self.site = site
        self.above = site.first.rpartition("/")[0]
        self._clients = clients
        self._prefix = prefix
        self._chance = random.Random(7)
        self._made = 0

    async def rows(self) -> Rows:
        answer = await self._clients[0].get(self.site.whole)
        document = answer.json()
        if isinstance(document, dict):
            (document,) = (value for value in document.values() if isinstance(value, list))
        return by_key([row for row in document if not row.get("deleted")])

    async def edit(self) -> None:
        rows = await self.rows()
        client = self._chance.choice(self._clients)
        if len(rows) < 3 or (len(rows) < 25 and self._chance.random() < 0.3):
            self._made += 1
            await self._put(
                client, f"made-{self._prefix}-{self._made}", {"name": "Fern", "stock": self._made, "tags": ["a", None]}
            )
            return
        key = self._chance.choice(sorted(rows))
        if self._chance.random() < 0.25:
            await self._delete(client, key, rows[key])
        else:
            await self._change(client, key, rows[key], self._chance.randrange(100))

    async def _put(self, client: httpx.AsyncClient, key: str, shirt: dict[str, Any]) -> None:
        if self.site.path == "/shirts":
            answer = await client.post("/shirts", json={"id": key, **shirt})
        else:
            answer = await client.put(
                f"{self.above}/{key}", json={"data": shirt} if "data" in self.site.items else shirt
            )
        assert answer.status_code == 201, answer.text

    async def _change(self, client: httpx.AsyncClient, key: str, row: dict[str, Any], stock: int) -> None:
        if "doc" in row:
            answer = await client.put(f"{self.above}/{key}", json={**row["doc"], "stock": stock})
        else:
            answer = await client.patch(f"{self.above}/{key}", content=self.site.edit(stock), headers=_JSON)
        assert answer.status_code in (200, 201), answer.text

    async def _delete(self, client: httpx.AsyncClient, key: str, row: dict[str, Any]) -> None:
        query = f"?rev={row['doc']['_rev']}" if "doc" in row else ""
        answer = await client.delete(f"{self.above}/{key}{query}")
        assert answer.status_code == 200, answer.text


_JSON = {"Content-Type": "application/json"}


class Mirror:
    """What a client makes of the events that it is told."""

    def __init__(self) -> None:
        self.document: list[dict[str, Any]] = []
        self.rows: Rows = {}
        self.told: dict[str, int] = {}

    def take(self, said: Said) -> None:
        self.told[said.type] = self.told.get(said.type, 0) + 1
        if said.type == "snapshot":
            self.document, self.rows = said.data, by_key(said.data)
        elif said.type == "patch":
            self.document = jsonpatch.apply_patch(self.document, said.data)
            self.rows = by_key(self.document)
        elif said.type == "deleted":
            del self.rows[str(said.data["key"])]
        elif said.type in ("created", "updated"):
            self._item(said)
        else:
            assert said.type == "status", said

    def _item(self, said: Said) -> None:
        key, item = str(said.data["key"]), said.data["item"]
        assert (key in self.rows) == (said.type == "updated"), said
        if said.type == "updated":
            assert jsonpatch.apply_patch(self.rows[key], said.data["patch"]) == item
            before = self.rows[key]
            names = {name for name in {*before, *item} if before.get(name, ...) != item.get(name, ...)}
            assert set(said.data["changed"]) == names
        self.rows[key] = item


def by_key(listed: list[dict[str, Any]]) -> Rows:
    return {str(row["id"]): row for row in listed}


@asynccontextmanager
async def watching(url: str, headers: dict[str, str], query: str) -> AsyncIterator[dict[str, Mirror]]:
    """A mirror of each transport, with item events and with patches."""
    mirrors: dict[str, Mirror] = {}
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        tasks = []
        for mode in ("items", "patch"):
            for name, opened in TRANSPORTS.items():
                mirror = mirrors[f"{name} {mode}"] = Mirror()
                address = f"{url}{query}{'&' if query else '?'}live.mode={mode}"
                stream = await stack.enter_async_context(opened(address, None, headers))
                tasks.append(group.create_task(_follow(stream, mirror)))
        yield mirrors
        for task in tasks:
            task.cancel()


async def _follow(stream: Stream, mirror: Mirror) -> None:
    while True:
        mirror.take(await stream.event())


@pytest.fixture(
    params=[
        pytest.param("json_server", marks=pytest.mark.node),
        "kinto",
        "kinto_pages",
        "kinto_since",
        pytest.param("pouchdb", marks=pytest.mark.node),
        pytest.param("pouchdb_changes", marks=pytest.mark.node),
    ]
)
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.mark.timeout(120 + EDITS)
@pytest.mark.parametrize(("rate", "validators"), [(0.0, True), (0.25, True), (0.25, False)])
async def test_after_many_edits_every_client_has_what_the_backend_has(
    site: Site, gateway: Serve, rate: float, validators: bool
) -> None:
    line = Faulty(site.port, rate, validators)
    await line.start()
    above = site.first.rpartition("/")[0]
    running = gateway(CONFIG.format(port=line.port, path=site.path, items=site.items, poll=site.poll, above=above))
    urls = (f"http://127.0.0.1:{site.port}", running.url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(line.stop)
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=site.headers, trust_env=False))
            for url in urls
        ]
        driver = Driver(site, clients, line.port)
        async with watching(f"{running.url}{site.path}", site.headers, site.query) as mirrors:
            for _ in range(EDITS):
                await driver.edit()
            wanted = await driver.rows()
            await come(
                lambda: all(mirror.rows == wanted for mirror in mirrors.values()),
                f"all mirrors of {json.dumps(sorted(wanted))}",
            )
            # before the line goes away: polls linger
            samples = running.samples()
    polls = {labels["result"]: value for name, labels, value in samples if name.endswith("polls_total")}
    for name, mirror in mirrors.items():
        kinds = {"patch"} if name.endswith("patch") else {"created", "updated", "deleted"}
        assert kinds & mirror.told.keys(), (name, mirror.told)
    assert (line.failed > 0) == (rate > 0)
    if "since" in site.poll:
        wholes = [target for target in line.read if "since=" not in target]
        assert len(wholes) < len(line.read) / 2, "most polls were of changes"
    assert (polls["error"] > 0) == (rate > 0)
    assert running.process.complained == [] or rate


@pytest.mark.parametrize(
    "site", ["kinto_since", pytest.param("pouchdb_changes", marks=pytest.mark.node)], indirect=True
)
async def test_what_happened_while_no_gateway_was_there_is_not_lost(site: Site, gateway: Serve) -> None:
    """Positions in a feed of changes are kept by nobody: a gateway that begins reads the whole, and says so to who
    comes back with an id of the one before."""
    above = site.first.rpartition("/")[0]
    config = CONFIG.format(port=site.port, path=site.path, items=site.items, poll=site.poll, above=above)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{site.port}", headers=site.headers, trust_env=False
    ) as client:
        driver = Driver(site, [client], site.port + 100_000)
        before = gateway(config)
        async with websockets_json(f"{before.url}{site.path}{site.query}", None, site.headers) as stream:
            left = await heard(stream, "snapshot")
            await driver.edit()
            while left.type not in ("created", "updated", "deleted"):
                left = await stream.event()
            await stream.close()
        before.process.kill()
        for _ in range(10):
            await driver.edit()
        after = gateway(config)
        async with websockets_json(f"{after.url}{site.path}{site.query}", left.id, site.headers) as stream:
            again = await heard(stream, "snapshot")
            assert again.reset
            assert by_key(again.data) == await driver.rows()
            await stream.close()
