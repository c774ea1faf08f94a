"""The session endpoint over loopback, with a real backend and real clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, come

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /live
    session:
      subscribe: ["/api/**", "chat.*"]
      publish: ["chat.*"]
      requests: true
      limits: {{subscriptions: 3, requests: 2, response: 2KB}}
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 100ms}}, items: {{key: id}}, linger: 0s}}
  - path: /api/{{user}}/shirts
    upstream: shop
    live: {{poll: {{interval: 100ms}}, items: {{key: id}}}}
  - path: /private
    upstream: shop
    live: {{poll: {{interval: 100ms}}}}
  - path: /plain/**
    methods: [GET, PATCH, POST]
    upstream: shop
channels:
  "chat.short.*": {{log: {{events: 2}}}}
"""

Message = dict[str, Any]


class Client:
    """One session: `ask` sends and waits for the answer, `event` waits for the next event."""

    def __init__(self, socket: ClientConnection, *, binary: bool) -> None:
        self.socket = socket
        self.binary = binary
        self.events: list[Message] = []

    async def say(self, **message: object) -> None:
        await self.socket.send(msgpack.packb(message) if self.binary else json.dumps(message))

    async def hear(self) -> Message:
        async with asyncio.timeout(LIMIT):
            data = await self.socket.recv()
        message: Message = msgpack.unpackb(data) if isinstance(data, bytes) else json.loads(data)
        return message

    async def ask(self, **message: object) -> Message:
        await self.say(**message)
        return await self.answer(message["id"])

    async def answer(self, answer_to: object) -> Message:
        while (message := await self.hear()).get("id") != answer_to:
            self.events.append(message)
        return message

    async def event(self, *kinds: str) -> Message:
        """The next message without an id; of an event, one of these types."""
        while True:
            message = self.events.pop(0) if self.events else await self.hear()
            if message["op"] != "event" or not kinds or message["event"]["type"] in kinds:
                return message


@asynccontextmanager
async def session(running: Gateway, protocol: str = "", headers: dict[str, str] | None = None) -> AsyncIterator[Client]:
    async with connect(
        f"{running.ws}/live",
        proxy=None,
        additional_headers=headers,
        subprotocols=[Subprotocol(protocol)] if protocol else None,
    ) as socket:
        client = Client(socket, binary=protocol == "tidegate.msgpack.v1")
        hello = await client.hear()
        assert hello["op"] == "hello"
        assert hello["heartbeat"] == 25
        yield client


def start(gateway: Serve, backend: Backend) -> Gateway:
    return gateway(CONFIG.format(url=backend.url))


def sample(running: Gateway, name: str, route: str) -> float:
    """A sample of one route, summed over its other labels."""
    return sum(value for one, labels, value in running.samples() if (one, labels.get("route")) == (name, route))


@pytest.mark.parametrize("protocol", ["", "tidegate.json.v1", "tidegate.msgpack.v1"])
async def test_rest_and_events_over_one_connection(gateway: Serve, backend: Backend, protocol: str) -> None:
    running = start(gateway, backend)
    async with session(running, protocol) as client:
        joined = await client.ask(op="subscribe", id=1, channel="/api/shirts")
        assert joined["op"] == "ok"
        first = await client.event("snapshot")
        assert (first["channel"], first["event"]["id"]) == ("/api/shirts", joined["position"])
        assert first["event"]["data"] == [{"id": 1, "stock": 12}]
        answer = await client.ask(op="request", id="b", method="PATCH", path="/plain/1", body={"stock": 11})
        assert (answer["status"], answer["body"]) == (200, {"id": 1, "stock": 11})
        assert answer["headers"]["content-type"] == "application/json"
        assert (await client.event("updated"))["event"]["data"]["item"] == {"id": 1, "stock": 11}
        assert await client.ask(op="unsubscribe", id=3, channel="/api/shirts") == {"op": "ok", "id": 3}
        await client.say(op="ping")
        assert (await client.event())["op"] == "pong"
    asked = next(asked for asked in backend.asked if asked.method == "PATCH")
    assert asked.header("content-type") == "application/json"
    assert asked.header("x-forwarded-for") == "127.0.0.1"


async def test_the_connections_credentials_are_those_of_everything(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    backend.shirts["Bearer ada"] = [{"id": 7, "stock": 1}]
    async with session(running, headers={"Authorization": "Bearer ada", "Cookie": "a=b"}) as client:
        await client.ask(op="subscribe", id=1, channel="/api/shirts")
        assert (await client.event("snapshot"))["event"]["data"] == [{"id": 7, "stock": 1}]
        answer = await client.ask(op="request", id=2, path="/plain/x", headers={"X-Own": "1"})
        assert answer["body"] == [{"id": 7, "stock": 1}]
        for name in ("Authorization", "cookie", "Host", "X_Forwarded-For", "Connection", "Sec-Fetch-Mode"):
            refused = await client.ask(op="request", id=3, path="/plain/x", headers={name: "x"})
            assert (refused["op"], refused["error"]["code"]) == ("error", "header_refused"), name
    asked = next(asked for asked in backend.asked if asked.target == "/plain/x")
    assert (asked.header("authorization"), asked.header("cookie"), asked.header("x-own")) == ("Bearer ada", "a=b", "1")
    assert asked.header("host") == f"127.0.0.1:{running.port}"
    assert not asked.header("upgrade")
    assert not asked.header("sec-websocket-key")


async def test_errors_are_answers(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with session(running) as client:
        for message, code, status in (
            ({"op": "subscribe", "channel": "/private"}, "not_allowed", 403),
            ({"op": "subscribe", "channel": "/api/x/../shirts"}, "not_allowed", 403),
            ({"op": "subscribe", "channel": "/api/nowhere"}, "no_route", 404),
            ({"op": "subscribe", "channel": "/api/shirts", "mode": "loud"}, "bad_mode", 400),
            ({"op": "subscribe", "channel": "/api/shirts", "since": "x"}, "bad_position", 400),
            ({"op": "subscribe", "channel": "/api/shirts?live.mode=items"}, "bad_channel", 400),
            ({"op": "subscribe"}, "bad_message", 400),
            ({"op": "sing"}, "unknown_op", 400),
            ({"op": "unsubscribe", "channel": "/api/shirts"}, "not_subscribed", 404),
            ({"op": "request", "path": "/nowhere"}, "no_route", 404),
            ({"op": "request", "path": "/plain/x", "method": "DELETE"}, "method_not_allowed", 405),
            ({"op": "request", "path": "/plain/../x"}, "dot_segments", 400),
            ({"op": "request", "path": "/live"}, "no_route", 404),
            ({"op": "request", "path": "plain"}, "bad_target", 400),
            ({"op": "publish", "channel": "chat", "data": 1}, "not_allowed", 403),
        ):
            answer = await client.ask(id=9, **message)
            assert (answer["op"], answer["error"]["code"], answer["error"]["status"]) == ("error", code, status)
        await backend.stop()
        answer = await client.ask(op="request", id=9, path="/plain/x")
        assert (answer["error"]["code"], answer["error"]["status"]) == ("upstream_unavailable", 502)


@pytest.mark.parametrize("data", ["x", "[]", '{"op": 1}', '{"op": "subscribe"}', b"\xff", "[" * 5000])
async def test_what_nobody_can_answer_ends_the_session(gateway: Serve, backend: Backend, data: str | bytes) -> None:
    async with session(start(gateway, backend)) as client:
        await client.socket.send(data)
        with pytest.raises(ConnectionClosed) as closed:
            await client.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400
        assert closed.value.rcvd.reason.startswith("not a message")


async def test_only_a_websocket_opens_it(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{running.url}/live")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["code"] == "upgrade_required"
    with pytest.raises(InvalidStatus) as refused:
        async with session(running, "graphql-ws"):
            pass
    assert refused.value.response.status_code == 400


async def test_a_channel_that_is_refused_ends_its_subscription_alone(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with session(running, headers={"Authorization": "Bearer nobody"}) as client:
        answer = await client.ask(op="subscribe", id=1, channel="/api/shirts")
        assert (answer["error"]["code"], answer["error"]["status"]) == ("upstream_refused", 401)
        backend.shirts["Bearer nobody"] = []
        assert (await client.ask(op="subscribe", id=2, channel="/api/shirts"))["op"] == "ok"
        del backend.shirts["Bearer nobody"]
        ended = await client.event("none")
        assert (ended["op"], ended["channel"], ended["error"]["status"]) == ("error", "/api/shirts", 401)
        backend.shirts["Bearer nobody"] = []
        assert (await client.ask(op="request", id=3, path="/plain/x"))["status"] == 200


async def test_requests_run_at_once_up_to_the_limit_and_can_be_cancelled(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    backend.hold = asyncio.Event()
    async with session(running) as client:
        for number in (1, 2):
            await client.say(op="request", id=number, path=f"/plain/{number}")
        crowded = await client.ask(op="request", id=3, path="/plain/3")
        assert (crowded["error"]["code"], crowded["error"]["status"]) == ("too_many", 429)
        await come(lambda: len(backend.asked) == 2, "both are under way")
        cancelled = await client.ask(op="cancel", id=1)
        assert cancelled["error"]["code"] == "cancelled"
        await client.say(op="request", id=1, path="/plain/4")
        backend.hold.set()
        assert {(await client.hear())["id"], (await client.hear())["id"]} == {1, 2}
    samples = running.samples()
    counted = {
        (labels["op"], labels["result"]): value
        for name, labels, value in samples
        if name == "tidegate_session_operations_total"
    }
    assert counted == {("request", "ok"): 2, ("request", "too_many"): 1, ("request", "cancelled"): 1}


async def test_answers_have_a_limit(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    backend.shirts[""] = [{"id": 1, "name": "x" * 3000}]
    async with session(running) as client:
        answer = await client.ask(op="request", id=1, path="/plain/x")
        assert answer["error"]["code"] == "too_big"
        backend.shirts[""] = []
        assert (await client.ask(op="request", id=2, path="/plain/x"))["body"] == []


async def test_resume_by_position(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with session(running) as one, session(running) as other:
        joined = await one.ask(op="subscribe", id=1, channel="/api/ada/shirts")
        await one.event("snapshot")
        backend.shirts[""][0]["stock"] = 5
        await one.event("updated")
        await other.ask(op="subscribe", id=1, channel="/api/ada/shirts", since=joined["position"])
        assert (await other.event())["event"]["type"] == "updated"
        await other.ask(op="unsubscribe", id=2, channel="/api/ada/shirts")
        await other.ask(op="subscribe", id=3, channel="/api/ada/shirts", since="elsewhere.4")
        again = await other.event()
        assert (again["event"]["type"], again["event"]["reset"]) == ("snapshot", True)


@pytest.mark.parametrize("protocol", ["tidegate.json.v1", "tidegate.msgpack.v1"])
async def test_clients_talk_to_each_other_and_resume(gateway: Serve, backend: Backend, protocol: str) -> None:
    running = start(gateway, backend)
    async with session(running) as ada, session(running, protocol) as eve:
        joined = await eve.ask(op="subscribe", id=1, channel="chat.short.a")
        said = [await ada.ask(op="publish", id=n, channel="chat.short.a", data={"n": n}) for n in range(4)]
        heard = [await eve.event() for _ in range(4)]
        assert [event["event"]["type"] for event in heard] == ["message"] * 4
        assert [event["event"]["id"] for event in heard] == [answer["position"] for answer in said]
        assert [event["event"]["data"] for event in heard] == [{"n": n} for n in range(4)]
        await ada.ask(op="subscribe", id=1, channel="chat.short.a", since=said[1]["position"])
        assert [(await ada.event())["event"]["data"]["n"] for _ in range(2)] == [2, 3]
        await eve.ask(op="unsubscribe", id=2, channel="chat.short.a")
        await eve.ask(op="subscribe", id=3, channel="chat.short.a", since=joined["position"])
        assert (await eve.event())["event"] == {"type": "gap", "data": {"missed": 2}}
        assert [(await eve.event())["event"]["data"]["n"] for _ in range(2)] == [2, 3]
        for message, code in (({"channel": "news", "data": 1}, "not_allowed"), ({"channel": "chat.a"}, "bad_message")):
            assert (await eve.ask(op="publish", id=4, **message))["error"]["code"] == code
        assert sample(running, "tidegate_channels", "chat.short.*") == 1
        assert sample(running, "tidegate_events_total", "chat.short.*") == 4


async def test_it_is_counted_and_logged(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with session(running) as client:
        await client.ask(op="subscribe", id=1, channel="/api/shirts")
        await client.ask(op="request", id=2, path="/plain/x?token=s3cr3t")
        assert sample(running, "tidegate_streams", "/live") == 1
        assert sample(running, "tidegate_session_subscriptions", "/live") == 1
        assert sample(running, "tidegate_http_requests_total", "/plain/**") == 1
    opened = running.logged(kind="open", transport="session", route="/live")
    running.logged(kind="request", route="/plain/**", session=opened["stream"], query="token=REDACTED")
    closed = running.logged(kind="close", stream=opened["stream"], code=1000)
    assert closed["received"] == 2
    await running.idle()
    assert sample(running, "tidegate_session_subscriptions", "/live") == 0


async def test_a_restart_says_so(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    async with session(running) as client:
        await client.ask(op="subscribe", id=1, channel="/api/shirts")
        await client.event("snapshot")
        ending = asyncio.get_running_loop().run_in_executor(None, running.process.end)
        with pytest.raises(ConnectionClosed) as closed:
            await client.event("none")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert await ending == 0
