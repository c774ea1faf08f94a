"""Clients whose claims decide the answer share a poll, over streams and sessions; a mistake shows nobody another's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.backend import Backend, Item
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import come

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
auth:
  users: {{api_key: {{keys_file: "{keys}"}}, headers: {{X-User: "${{claims.user}}"}}}}
routes:
  - path: /api/shirts
    upstream: shop
    auth: users
    live:
      poll: {{interval: 100ms, share_by: [claims.tenant]}}
      items: {{key: id}}
      linger: 0s
  - path: /live
    session: {{subscribe: ["/**"]}}
    auth: users
  - path: /other
    session: {{subscribe: ["/**"]}}
"""
USERS = {"ada": "acme", "grace": "acme", "mallory": "evil"}


def token(user: str) -> str:
    return f"Bearer of-{user}"


class Watcher:
    """One user on one way in; comes back until it is told not to. `seen` is all that it was ever shown."""

    def __init__(self, running: Gateway, user: str, path: str) -> None:
        self.user = user
        self.seen: list[Item] = []
        self.ends: list[object] = []
        self.over = False
        self._url = f"{running.ws}{path}"
        self._path = path
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        headers = {"X-Api-Key": f"key-of-{self.user}-0123456789", "Authorization": token(self.user)}
        while not self.over:
            try:
                async with connect(self._url, additional_headers=headers) as socket:
                    await self._read(socket)
            except ConnectionClosed as closed:
                self._ended(closed.rcvd.code if closed.rcvd is not None else None)
            except InvalidStatus as refused:
                self._ended(refused.response.status_code)
            await asyncio.sleep(0.02)  # as clients pause before they come back

    async def _read(self, socket: ClientConnection) -> None:
        if self._path == "/api/shirts":
            while True:
                self._take(json.loads(await socket.recv()))
        subscribe = json.dumps({"op": "subscribe", "id": 1, "channel": "/api/shirts"})
        await socket.send(subscribe)
        while not self.over:
            message = json.loads(await socket.recv())
            if message["op"] == "event":
                self._take(message["event"])
            elif message["op"] == "error":
                self._ended(message["error"]["status"])
                await asyncio.sleep(0.02)
                await socket.send(subscribe)

    def _ended(self, code: object) -> None:
        self.ends.append(code)
        self.over = code in (401, 4401)

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "snapshot":
            self.seen += event["data"]
        elif event["type"] in ("created", "updated"):
            self.seen.append(event["data"]["item"])


@pytest.fixture
def shop(backend: Backend) -> Backend:
    """Each user has shirts of its own."""
    backend.shirts = {token(user): [{"id": 1, "owner": user, "stock": 0}] for user in USERS}
    return backend


def start(gateway: Serve, backend: Backend, tmp_path: Path) -> Gateway:
    keys = tmp_path / "keys"
    lines = [
        f'{user} key-of-{user}-0123456789 {{"tenant": "{tenant}", "user": "{user}"}}' for user, tenant in USERS.items()
    ]
    keys.write_text("\n".join(lines) + "\n")
    return gateway(CONFIG.format(url=backend.url, keys=keys))


PATHS = ("/api/shirts", "/live", "/other")


async def test_those_of_one_tenant_share_one_poll_over_streams_and_sessions(
    gateway: Serve, shop: Backend, tmp_path: Path
) -> None:
    shop.shirts[token("grace")] = shop.shirts[token("ada")] = [{"id": 1, "owner": "acme", "stock": 0}]
    running = start(gateway, shop, tmp_path)
    watchers = [Watcher(running, user, path) for user in USERS for path in PATHS]
    for watcher in watchers:
        watcher.start()
    await come(lambda: all(watcher.seen for watcher in watchers), "everybody has the state")
    assert running.metrics()["tidegate_channels"] == 2
    for watcher in watchers:
        owner = "mallory" if watcher.user == "mallory" else "acme"
        assert {item["owner"] for item in watcher.seen} == {owner}
    first, second = sorted(("ada", "grace"), key=lambda user: -len(shop.polls(token(user))))
    assert shop.polls(token(second)) == [], "one asks for all"
    for watcher in watchers:
        if watcher.user == first:
            await watcher.stop()
    await come(lambda: bool(shop.polls(token(second))), "the other asks once the first has gone")
    shop.shirts[token(second)][0]["stock"] = 5
    left = [watcher for watcher in watchers if watcher.user == second]
    await come(lambda: all(watcher.seen[-1]["stock"] == 5 for watcher in left), "who stays hears of it")
    assert not any(watcher.ends for watcher in left)
    for watcher in watchers:
        await watcher.stop()


@pytest.mark.parametrize("mark", ["Cache-Control: private", "Vary: Authorization", "Vary: x-USER"])
async def test_a_mistake_shows_nobody_what_is_anothers(
    gateway: Serve, shop: Backend, tmp_path: Path, mark: str
) -> None:
    shop.marks = [mark]
    running = start(gateway, shop, tmp_path)
    watchers = [Watcher(running, user, path) for user in USERS for path in PATHS]
    for watcher in watchers:
        watcher.start()
    await come(lambda: all(watcher.seen for watcher in watchers), "everybody has a state")
    for stock in (1, 2, 3):
        for shirts in shop.shirts.values():
            shirts[0]["stock"] = stock
        await come(lambda: all(one.seen[-1]["stock"] == stock for one in watchers), "everybody hears of it")  # noqa: B023
    for watcher in watchers:
        assert {item["owner"] for item in watcher.seen} == {watcher.user}
        await watcher.stop()
    assert running.metrics()["tidegate_source_incidents_total"] >= 1
    assert "set share_private if they are the same for all of them" in running.process.text


async def test_whom_the_backend_refuses_is_not_shown_what_others_may_see(
    gateway: Serve, shop: Backend, tmp_path: Path
) -> None:
    shop.shirts[token("grace")] = shop.shirts[token("ada")] = [{"id": 1, "owner": "acme", "stock": 0}]
    running = start(gateway, shop, tmp_path)
    ada = [Watcher(running, "ada", path) for path in PATHS]
    for watcher in ada:
        watcher.start()
    await come(lambda: all(watcher.seen for watcher in ada), "ada has the state")
    grace = [Watcher(running, "grace", path) for path in PATHS]
    for watcher in grace:
        watcher.start()
    await come(lambda: all(watcher.seen for watcher in grace), "grace has the state")
    del shop.shirts[token("ada")]
    await come(lambda: all(watcher.over for watcher in ada), "ada is sent away")
    shop.shirts[token("grace")][0]["stock"] = 9
    await come(lambda: all(watcher.seen[-1]["stock"] == 9 for watcher in grace), "grace carries on")
    assert not any(item["stock"] == 9 for watcher in ada for item in watcher.seen)
    assert not any(watcher.ends for watcher in grace)
    for watcher in (*ada, *grace):
        await watcher.stop()
