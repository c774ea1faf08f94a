"""One URL, every way in: a client goes from any transport to any other with the position that it has."""

from __future__ import annotations

import itertools

import httpx

from tests.integration.backend import Backend
from tests.integration.clients import TRANSPORTS, heard
from tests.integration.conftest import Serve

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 100ms}}, items: {{key: id}}, origins: ["https://app.example"]}}
  - path: /**
    upstream: shop
"""
PAGE = {"Origin": "https://app.example"}


async def test_a_client_may_go_on_by_any_other_transport(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    url, position, stock = f"{running.url}/api/shirts", None, 12
    for one, other in itertools.product(TRANSPORTS, repeat=2):
        async with TRANSPORTS[one](url, position, {}) as stream:
            if position is None:
                assert (await heard(stream, "snapshot")).data == [{"id": 1, "stock": 12}]
            backend.shirts[""] = [{"id": 1, "stock": stock + 1}]
            said = await heard(stream, "updated")
            assert said.data["item"]["stock"] == stock + 1
            position = said.id
        async with TRANSPORTS["websocket"](url, None, {}) as witness:  # the poll has seen it when somebody was told
            await heard(witness, "snapshot")
            backend.shirts[""] = [{"id": 1, "stock": stock + 2}]
            await heard(witness, "updated")
        async with TRANSPORTS[other](url, position, {}) as stream:
            said = await heard(stream, "updated")
            assert said.data["item"]["stock"] == stock + 2, f"from {one} to {other}"
            position = said.id
        stock += 2
    assert position is not None
    assert position.endswith(f".{stock - 11}"), "each change was one offset"
    assert running.process.complained == []


async def test_what_a_long_poll_says_in_http(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    url = f"{running.url}/api/shirts"
    async with httpx.AsyncClient(trust_env=False) as client:
        first = await client.get(url, headers={"Prefer": "wait=3600"})
        assert first.headers["preference-applied"] == "wait=25"
        assert first.headers["cache-control"] == "no-store"
        body = first.json()
        assert body["events"][0]["data"] == [{"id": 1, "stock": 12}]
        again = await client.get(url, params={"live.wait": "0"}, headers={"Last-Event-ID": body["next"]})
        assert again.json() == {"events": [], "next": body["next"]}
        elsewhere = await client.get(url, params={"live.wait": "10", "live.since": "elsewhere.7"})
        assert elsewhere.json()["events"][0]["reset"] is True
        bad = await client.get(url, params={"live.wait": "soon"})
        assert (bad.status_code, bad.json()["code"]) == (400, "bad_wait")
        rest = await client.get(url, headers={"Prefer": "return=minimal"})
        assert rest.json() == [{"id": 1, "stock": 12}], "other preferences are the backend's"


async def test_pages_of_other_origins_and_discovery(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    url = f"{running.url}/api/shirts"
    async with httpx.AsyncClient(trust_env=False) as client:
        asks = {**PAGE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "prefer"}
        granted = await client.options(url, headers=asks)
        assert (granted.status_code, granted.headers["access-control-allow-headers"]) == (204, "prefer")
        assert not backend.asked, "the gateway answers for itself"
        for accept in ("text/event-stream", "application/x-ndjson"):
            async with client.stream("GET", url, headers={**PAGE, "Accept": accept}) as stream:
                assert stream.headers["access-control-allow-origin"] == "https://app.example"
                assert stream.headers["access-control-allow-credentials"] == "true"
            head = await client.head(url, headers={"Accept": accept})
            assert (head.status_code, head.headers["content-type"]) == (200, accept)
        polled = await client.get(url, headers={**PAGE, "Prefer": "wait=0"})
        assert "preference-applied" in polled.headers["access-control-expose-headers"]
        rest = await client.get(url, headers=PAGE)
        assert "access-control-allow-origin" not in rest.headers, "REST answers are the backend's"
        assert list(rest.links) == ["alternate"]
        assert rest.headers.get_list("link") == [
            '<>; rel="alternate"; type="application/x-ndjson"',
            '<>; rel="alternate"; type="text/event-stream"',
        ]
        other = await client.get(f"{running.url}/api/shirts/1")
        assert "link" not in other.headers


async def test_what_rest_clients_ask_of_a_live_url_is_passed_through(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    async with httpx.AsyncClient(trust_env=False) as client:
        for method in ("HEAD", "OPTIONS", "POST", "DELETE"):
            await client.request(method, f"{running.url}/api/shirts", headers={"Accept": "*/*"})
    assert [asked.method for asked in backend.asked] == ["HEAD", "OPTIONS", "POST", "DELETE"]
