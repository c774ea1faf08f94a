"""A client's own write is on its streams at once. Polls are an hour apart here: nothing but the write brings them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.integration.backend import Backend
from tests.integration.clients import PYTHON, Open, heard, httpx_sse, websockets_json
from tests.integration.conftest import Serve
from tests.integration.processes import come
from tests.integration.raw import ask, request

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 1h}}, items: {{key: id}}}}
  - path: /api/shirts/{{id}}
    upstream: shop
    live: {{poll: {{interval: 1h}}}}
  - path: /api/orders
    upstream: shop
    refresh_on_write: [self, /api/shirts]
    live: {{poll: {{interval: 1h}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""
JSON = "Content-Type: application/json"


def refreshes(samples: list[tuple[str, dict[str, str], float]]) -> dict[tuple[str, str], float]:
    return {
        (labels["route"], labels["result"]): value
        for name, labels, value in samples
        if name == "tidegate_source_refreshes_total" and value
    }


@pytest.mark.parametrize("open_stream", PYTHON.values(), ids=PYTHON)
async def test_an_edit_is_on_every_stream_of_the_shop_at_once(gateway: Serve, shop: str, open_stream: Open) -> None:
    running = gateway(CONFIG.format(url=shop))
    async with (
        open_stream(f"{running.url}/api/shirts", None, {}) as shirts,
        open_stream(f"{running.url}/api/shirts/2", None, {}) as shirt,
    ):
        before = await heard(shirt, "snapshot")
        await heard(shirts, "snapshot")
        stock = before.data["stock"] + 1
        answer = await ask(
            running.port, request("PATCH", "/api/shirts/2", [JSON], json.dumps({"stock": stock}).encode())
        )
        assert answer.status == 200
        updated = await heard(shirts, "updated")
        assert (updated.data["key"], updated.data["item"]["stock"]) == (2, stock)
        assert "stock" in updated.data["changed"]
        assert {"op": "replace", "path": "/stock", "value": stock} in (await heard(shirt, "patch")).data


async def test_items_made_and_deleted_and_what_a_route_names(gateway: Serve, shop: str) -> None:
    running = gateway(CONFIG.format(url=shop))
    async with (
        httpx.AsyncClient(base_url=running.url, trust_env=False) as rest,
        websockets_json(f"{running.url}/api/shirts") as shirts,
    ):
        await heard(shirts, "snapshot")
        made = await rest.post(
            "/api/shirts", json={"name": "Fern", "size": "M", "colour": "green", "price": 1000, "stock": 3}
        )
        assert made.status_code == 201, made.text
        created = await heard(shirts, "created")
        assert created.data["item"]["name"] == "Fern"
        token = (await rest.post("/api/token", json={"user": "ada", "password": "lovelace"})).json()["access_token"]
        ordered = await rest.post(
            "/api/orders",
            json={"shirt_id": created.data["key"], "quantity": 1},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert ordered.status_code == 201, ordered.text
        assert (await heard(shirts, "updated")).data["item"]["stock"] == 2
        spare = {"name": "Moss", "size": "S", "colour": "green", "price": 900}
        location = (await rest.post("/api/shirts", json=spare)).headers["location"]
        key = (await heard(shirts, "created")).data["key"]
        assert (await rest.delete(location)).status_code == 204
        assert (await heard(shirts, "deleted")).data == {"key": key}
    counted = refreshes(running.samples())
    assert counted["/api/shirts", "asked"] >= 2
    assert counted["/api/orders", "unfollowed"] == 1


async def test_every_channel_of_the_resource_hears_of_it_and_failed_writes_ask_for_nothing(
    gateway: Serve, backend: Backend
) -> None:
    backend.shirts = {name: [{"id": 1, "stock": 12}] for name in ("", "a", "b")}
    running = gateway(CONFIG.format(url=backend.url))
    url = f"{running.url}/api/shirts"
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(kind(f"{url}{query}", None, {"Authorization": token} if token else {}))
            for kind, query, token in (
                (websockets_json, "", ""),
                (httpx_sse, "?page=1", ""),
                (websockets_json, "", "a"),
                (httpx_sse, "", "b"),
            )
        ]
        await asyncio.gather(*(heard(stream, "snapshot") for stream in streams))
        asked = len(backend.asked)
        refused = await ask(running.port, request("PATCH", "/api/shirts/1", [JSON, "Authorization: x"], b"{}"))
        assert refused.status == 401
        for shirts in backend.shirts.values():
            shirts[0]["stock"] = 9
        assert (await ask(running.port, request("PATCH", "/api/shirts/1", [JSON], b'{"stock": 9}'))).status == 200
        for said in await asyncio.gather(*(heard(stream, "updated") for stream in streams)):
            assert said.data["item"]["stock"] == 9
        assert len(backend.asked) == asked + 2 + len(streams)
    assert refreshes(running.samples()) == {("/api/shirts", "asked"): 1, ("/api/shirts/{id}", "unfollowed"): 1}


async def test_a_poll_from_before_the_write_is_followed_by_another(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url).replace("1h", "100ms"))
    async with websockets_json(f"{running.url}/api/shirts") as stream:
        await heard(stream, "snapshot")
        backend.stale = asyncio.Event()  # polls are answered late, with what was true when they came
        await come(lambda: backend.late == 1)
        assert (await ask(running.port, request("PATCH", "/api/shirts/1", [JSON], b'{"stock": 5}'))).status == 200
        backend.stale.set()
        assert (await heard(stream, "updated")).data["item"]["stock"] == 5
