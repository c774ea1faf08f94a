"""Channels of messages at URLs: from a webhook to every transport, and what clients may and may not do there."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.integration.clients import TRANSPORTS, Stream, heard
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, come
from tests.integration.test_reload import change

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = """\
auth:
  people: {{jwt: {{secret: "{secret}", leeway: 0s}}}}
routes:
  - path: /hooks/orders
    webhook: {{verify: none, publish: [{{channel: "orders.${{body.customer}}", data: body.n}}]}}
  - path: /events/orders/{{customer}}
    channel: "orders.${{params.customer}}"
  - path: /events/mine
    auth: people
    channel: {{name: "orders.${{claims.sub}}", publish: true, origins: ["https://app.example"]}}
  - path: /live
    session: {{subscribe: ["orders.*"], publish: ["orders.*"]}}
channels:
  "orders.*": {{log: {{events: 20}}, slow: {slow}}}
"""


def start(gateway: Serve, slow: str = "disconnect") -> Gateway:
    return gateway(CONFIG.format(secret=SECRET, slow=slow))


def token(sub: str, lasts: float = 600.0) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + lasts}, SECRET, "HS256")


def bearer(sub: str, lasts: float = 600.0) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sub, lasts)}"}


@asynccontextmanager
async def asking(running: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=LIMIT) as client:
        yield client


async def tell(running: Gateway, customer: str, n: object) -> None:
    """A webhook's delivery, which is one message."""
    async with asking(running) as client:
        told = await client.post("/hooks/orders", json={"customer": customer, "n": n})
        assert told.json() == {"result": "accepted"}


async def place(url: str, headers: dict[str, str] | None = None) -> str:
    """The position of somebody who comes now."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = (await client.get(url, params={"live.wait": "0"}, headers=headers)).json()
        assert answer["events"] == []
        return str(answer["next"])


async def test_what_a_webhook_tells_comes_by_every_transport_with_the_same_ids(gateway: Serve) -> None:
    running = start(gateway)
    url = f"{running.url}/events/orders/ada"
    since = await place(url)
    epoch = since.partition(".")[0]
    async with (
        TRANSPORTS["websocket"](url, None, {}) as one,
        TRANSPORTS["sse"](url, None, {}) as two,
        TRANSPORTS["ndjson"](url, None, {}) as three,
        TRANSPORTS["long_poll"](url, since, {}) as four,
    ):
        for stream in (one, two, three):
            assert (await heard(stream, "position")).id == f"{epoch}.0"
        for n in (1, 2, 3):
            await tell(running, "ada", n)
            await tell(running, "eve", -n)
        for stream in (one, two, three, four):
            said = [await heard(stream, "message") for _ in range(3)]
            assert [(one.id, one.data) for one in said] == [(f"{epoch}.{n}", n) for n in (1, 2, 3)]
    opened = running.logged(kind="open", transport="ndjson")
    assert opened["route"] == "/events/orders/{customer}"
    await running.idle()
    count = {
        (name, labels["route"]): value
        for name, labels, value in running.samples()
        if labels.get("transport") == "sse" and labels.get("direction", "out") == "out" and value
    }
    assert count["tidegate_streams_opened_total", "/events/orders/{customer}"] == 1
    assert count["tidegate_messages_total", "orders.*"] == 4
    assert running.process.complained == []


async def test_a_client_may_go_on_by_any_other_transport(gateway: Serve) -> None:
    running = start(gateway)
    url, n = f"{running.url}/events/orders/ada", 0
    position = await place(url)
    for one, other in itertools.product(TRANSPORTS, repeat=2):
        async with TRANSPORTS[one](url, position, {}) as stream:
            await tell(running, "ada", n + 1)
            said = await heard(stream, "message")
            assert (said.data, said.id) == (n + 1, f"{position.partition('.')[0]}.{n + 1}")
            position = str(said.id)
        await tell(running, "ada", n + 2)  # while nobody is there
        async with TRANSPORTS[other](url, position, {}) as stream:
            said = await heard(stream, "message")
            assert said.data == n + 2, f"from {one} to {other}"
            position = str(said.id)
        n += 2


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_is_kept_no_more_is_a_gap_and_so_is_another_life(gateway: Serve, transport: str) -> None:
    running = start(gateway)
    url = f"{running.url}/events/orders/ada"
    start_ = await place(url)
    for n in range(25):
        await tell(running, "ada", n)
    async with TRANSPORTS[transport](url, start_, {}) as stream:
        assert (await heard(stream, "gap")).data == {"missed": 5}
        assert [(await heard(stream, "message")).data for _ in range(20)] == list(range(5, 25))
    async with TRANSPORTS[transport](url, "elsewhere.3", {}) as stream:
        assert (await heard(stream, "gap")).data == {"missed": None}
        assert (await heard(stream, "message")).data == 5, "all that there is"


async def test_a_session_and_a_url_hear_the_same(gateway: Serve) -> None:
    running = start(gateway)
    url = f"{running.url}/events/orders/ada"
    async with TRANSPORTS["sse"](url, None, {}) as stream, connect(f"{running.ws}/live", proxy=None) as session:
        first = (await heard(stream, "position")).id
        await session.recv()  # hello
        await session.send(json.dumps({"op": "subscribe", "id": 1, "channel": "orders.ada"}))
        assert json.loads(await session.recv()) == {"op": "ok", "id": 1, "position": first}
        await tell(running, "ada", 1)
        said = await heard(stream, "message")
        event = {"id": said.id, "type": "message", "data": 1}
        assert json.loads(await session.recv()) == {"op": "event", "channel": "orders.ada", "event": event}
        await session.send(json.dumps({"op": "publish", "id": 2, "channel": "orders.ada", "data": {"by": "session"}}))
        said = await heard(stream, "message")
        answers = [json.loads(await session.recv()) for _ in range(2)]
        assert said.data == {"by": "session"}
        assert {"op": "ok", "id": 2, "position": said.id} in answers


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_claims_keep_clients_apart(gateway: Serve, transport: str) -> None:
    running = start(gateway)
    url = f"{running.url}/events/mine"
    streams: list[Stream] = []
    since = {sub: await place(url, bearer(sub)) for sub in ("ada", "eve")}
    async with (
        TRANSPORTS[transport](url, since["ada"], bearer("ada")) as ada,
        TRANSPORTS[transport](url, since["eve"], bearer("eve")) as eve,
        asking(running) as client,
    ):
        streams = [ada, eve]
        for n in range(3):
            for sub in ("ada", "eve"):
                posted = await client.post("/events/mine", json=f"{sub} {n}", headers=bearer(sub))
                assert posted.status_code == 201
        for stream, sub in zip(streams, ("ada", "eve"), strict=True):
            assert [(await heard(stream, "message")).data for _ in range(3)] == [f"{sub} {n}" for n in range(3)]
        assert (await client.get("/events/mine?live.wait=0", headers=bearer("ada.eve"))).status_code == 404
    async with TRANSPORTS[transport](url, since["eve"], bearer("ada")) as ada:  # a position of another's channel
        assert (await heard(ada, "gap" if since["eve"].split(".")[0] != since["ada"].split(".")[0] else "message")).data
        await ada.close()


async def test_what_plain_requests_are_told(gateway: Serve) -> None:
    running = start(gateway)
    async with asking(running) as client:
        plain = await client.get("/events/orders/ada")
        assert (plain.status_code, plain.json()["code"]) == (406, "not_acceptable")
        assert '<>; rel="alternate"; type="text/event-stream"' in plain.headers["link"]
        head = await client.head("/events/orders/ada")
        assert (head.status_code, head.content) == (406, b"")
        stream = await client.head("/events/orders/ada", headers={"Accept": "text/event-stream"})
        assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream")
        for method in ("POST", "DELETE"):
            refused = await client.request(method, "/events/orders/ada")
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        options = await client.options("/events/orders/ada")
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        modes = await client.get("/events/orders/ada?live.mode=notify", headers={"Accept": "text/event-stream"})
        assert (modes.status_code, modes.json()["code"]) == (400, "bad_mode")
        nobody = await client.get("/events/mine", headers={"Accept": "text/event-stream"})
        assert (nobody.status_code, "Bearer" in nobody.headers["www-authenticate"]) == (401, True)
    with pytest.raises(InvalidStatus) as closed:
        await connect(f"{running.ws}/events/orders/a.b", proxy=None)
    assert closed.value.response.status_code == 404
    running.logged(kind="request", method="OPTIONS", status=204, route="/events/orders/{customer}")


async def test_who_may_publish_and_what(gateway: Serve) -> None:
    running = start(gateway)
    async with asking(running) as client, TRANSPORTS["sse"](f"{running.url}/events/orders/ada", None, {}) as stream:
        await heard(stream, "position")
        posted = await client.post("/events/mine", json={"text": "hi"}, headers=bearer("ada"))
        said = await heard(stream, "message")
        assert (posted.status_code, posted.json(), said.data) == (201, {"id": said.id}, {"text": "hi"})
        refusals = {
            "unauthenticated": client.post("/events/mine", json=1),
            "bad_json": client.post("/events/mine", content=b"{", headers=bearer("ada")),
            "too_large": client.post("/events/mine", json="x" * 70_000, headers=bearer("ada")),
            "bad_type": client.post("/events/mine", data={"a": "b"}, headers=bearer("ada")),
        }
        for code, answer in refusals.items():
            assert (await answer).json()["code"] == code
        forged = {**bearer("ada"), "Origin": "https://evil.example"}
        assert (await client.post("/events/mine", json=2, headers=forged)).status_code == 201, (
            "a token is shown on purpose"
        )
        assert (await heard(stream, "message")).data == 2
    running.logged(kind="request", method="POST", status=413, route="/events/mine")
    counts = {
        (labels["method"], labels["status"]): value
        for name, labels, value in running.samples()
        if name == "tidegate_http_requests_total" and labels["route"] == "/events/mine"
    }
    assert counts == {("POST", "201"): 2, ("POST", "400"): 1, ("POST", "413"): 1, ("POST", "415"): 1}


async def test_pages_of_other_origins(gateway: Serve) -> None:
    running = start(gateway)
    page = {"Origin": "https://app.example"}
    async with asking(running) as client:
        for method in ("GET", "POST"):
            asks = {**page, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
            granted = await client.options("/events/mine", headers=asks)
            assert (granted.status_code, granted.headers["access-control-allow-methods"]) == (204, "GET, POST")
            assert granted.headers["access-control-allow-headers"] == "content-type"
        posted = await client.post("/events/mine", json=1, headers={**page, **bearer("ada")})
        refused = await client.get("/events/mine", headers={**page, **bearer("ada")})
        for answer in (posted, refused):
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
        evil = await client.options("/events/mine", headers={**asks, "Origin": "https://evil.example"})
        assert evil.status_code == 401
        assert "access-control-allow-origin" not in evil.headers
    offered = f"bearer.{urlsafe_b64encode(token('ada').encode()).decode().rstrip('=')}"
    protocols = [Subprotocol("tidegate.json.v1"), Subprotocol(offered)]
    async with connect(f"{running.ws}/events/mine", proxy=None, subprotocols=protocols) as socket_:
        assert socket_.subprotocol == "tidegate.json.v1"
        assert json.loads(await socket_.recv())["type"] == "position"


async def test_it_ends_with_the_credentials(gateway: Serve) -> None:
    running = start(gateway)
    short = bearer("ada", lasts=3)
    async with TRANSPORTS["ndjson"](f"{running.url}/events/mine", None, short) as stream:
        await heard(stream, "position")
        async with connect(f"{running.ws}/events/mine", proxy=None, additional_headers=short) as socket_:
            await socket_.recv()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket_.recv(), LIMIT)
            assert socket_.close_code == 4409
        said = await heard(stream, "close")
        assert said.data == {"code": 4409, "reason": "the credentials have expired", "reconnect": False}


async def test_a_route_that_is_closed_while_it_runs_sends_its_streams_away_and_nobody_else(gateway: Serve) -> None:
    running = start(gateway)
    url, config = f"{running.url}/events/orders/ada", CONFIG.format(secret=SECRET, slow="disconnect")
    async with TRANSPORTS["sse"](url, None, {}) as stream, connect(f"{running.ws}/live", proxy=None) as session:
        await heard(stream, "position")
        await session.send(json.dumps({"op": "subscribe", "id": 1, "channel": "orders.ada"}))
        answers = [json.loads(await session.recv())["op"] for _ in range(2)]
        assert answers == ["hello", "ok"]
        path = "  - path: /events/orders/{customer}\n"
        assert (await change(running, config.replace(path, f"{path}    auth: people\n")))["routes"]["changed"]
        await tell(running, "ada", 1)
        assert (await heard(stream, "close")).data["code"] == 1012, "and no message before"
        assert json.loads(await session.recv())["event"]["data"] == 1
    async with asking(running) as client:
        assert (await client.get(url, headers={"Accept": "text/event-stream"})).status_code == 401


def sloth(running: Gateway) -> socket.socket:
    """A client that follows by SSE, has a small window and reads nothing yet."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", running.port))
    client.sendall(b"GET /events/orders/ada HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
    return client


def unchunked(data: bytes) -> bytes:
    """The body of a chunked answer that may go on."""
    body, rest = b"", data.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def events(data: bytes) -> list[tuple[str, Any]]:
    """Types and data of the events in what a sloth has read."""
    parts = data.decode().split("\n")
    types = [line.removeprefix("event: ") for line in parts if line.startswith("event: ")]
    return list(zip(types, [json.loads(line[6:]) for line in parts if line.startswith("data: ")], strict=True))


@pytest.mark.parametrize("slow", ["disconnect", "skip"])
async def test_who_does_not_read_has_an_honest_end(gateway: Serve, slow: str) -> None:
    running = start(gateway, slow)
    loop, padding, many = asyncio.get_running_loop(), "x" * 60_000, 120
    with closing(sloth(running)) as client:
        await come(lambda: running.metrics().get("tidegate_streams") == 1, "it follows")
        async with TRANSPORTS["websocket"](f"{running.url}/events/orders/ada", None, {}) as other:
            await heard(other, "position")
            for n in range(many):
                await tell(running, "ada", [n, padding])
                assert (await heard(other, "message")).data[0] == n, "others notice nothing"
        client.setblocking(False)
        data, last = bytearray(), b'"code":4413' if slow == "disconnect" else b"data: [%d," % (many - 1)
        async with asyncio.timeout(LIMIT):
            while not (last in data and data.endswith((b"\n\n\r\n", b"0\r\n\r\n"))):
                data += await loop.sock_recv(client, 1 << 20)
    said = events(unchunked(bytes(data)))
    numbers = [one[0] for kind, one in said if kind == "message"]
    if slow == "disconnect":
        assert numbers == list(range(len(numbers)))
        assert said[-1] == ("close", {"code": 4413, "reason": "too slow, reconnect and resume", "reconnect": True})
    else:
        missed = sum(one["missed"] for kind, one in said if kind == "gap")
        assert (len(numbers) + missed, numbers[-1], missed > 0) == (many, many - 1, True)
        assert numbers == sorted(set(numbers))
