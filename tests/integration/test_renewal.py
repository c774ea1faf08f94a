"""Sessions that are shown a new token, over loopback: who stays, what is asked in whose name, what ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, come
from tests.integration.test_sessions import Client

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "0123456789abcdef"
CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
auth:
  people:
    jwt: {{secret: "{secret}", leeway: 0s}}
    headers: {{X-User: "${{claims.sub}}"}}
  machines: {{api_key: {{keys_file: "{keys}"}}}}
routes:
  - path: /live
    auth: [people, machines]
    access: "claims.banned == `null`"
    session: {{subscribe: ["/api/**", "team.${{claims.team}}"], publish: ["team.*"], requests: true}}
  - path: /api/shirts
    upstream: shop
    auth: [people, machines]
    live: {{poll: {{interval: 100ms}}, items: {{key: id}}, linger: 0s}}
  - path: /api/teams
    upstream: shop
    auth: people
    live: {{poll: {{interval: 100ms, share_by: [claims.team]}}, linger: 0s}}
  - path: /api/staff
    upstream: shop
    auth: people
    access: "claims.role == 'staff'"
    live: {{poll: {{interval: 100ms}}}}
  - path: /**
    upstream: shop
"""
PROTOCOLS = ["tidegate.json.v1", "tidegate.msgpack.v1"]


def token(lasts: float = 600.0, sub: str = "ada", **claims: str) -> str:
    # microseconds make each of them another, though it says the same
    return jwt.encode({"sub": sub, "exp": time.time() + lasts, "iat": time.time(), **claims}, SECRET, "HS256")


def know(backend: Backend, text: str, name: str) -> str:
    """Let the backend have a list of its own for the bearer of a token."""
    backend.shirts[f"Bearer {text}"] = [{"id": 1, "for": name}]
    return text


@pytest.fixture
def running(gateway: Serve, backend: Backend, tmp_path: Any) -> Gateway:
    keys = tmp_path / "keys"
    keys.write_text(f"robot {KEY}\n")
    return gateway(CONFIG.format(url=backend.url, secret=SECRET, keys=keys))


@asynccontextmanager
async def session(
    running: Gateway, text: str = "", protocol: str = PROTOCOLS[0], **headers: str
) -> AsyncIterator[tuple[Client, dict[str, Any]]]:
    shown = {"Authorization": f"Bearer {text}"} if text else {}
    async with connect(
        f"{running.ws}/live",
        proxy=None,
        additional_headers={**shown, **{name.replace("_", "-"): value for name, value in headers.items()}},
        subprotocols=[Subprotocol(protocol)],
    ) as socket:
        client = Client(socket, binary=protocol == PROTOCOLS[1])
        yield client, await client.hear()


async def shown(client: Client, channel: str) -> Any:
    """The next state of a channel."""
    while True:
        message = await client.event("snapshot", "created", "updated")
        if message["channel"] == channel:
            return message["event"]["data"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_session_outlives_its_first_token(running: Gateway, backend: Backend, protocol: str) -> None:
    old, new = know(backend, token(7), "old"), know(backend, token(), "new")
    async with session(running, old, protocol) as (client, hello):
        assert hello["auth"] is True
        await client.ask(op="subscribe", id=1, channel="/api/shirts")
        assert await shown(client, "/api/shirts") == [{"id": 1, "for": "old"}]
        word = await client.event("nothing else")
        assert word == {"op": "expiring", "expires": hello["expires"]}
        ok = await client.ask(op="auth", id=2, token=new)
        assert ok["expires"] > hello["expires"]
        assert await shown(client, "/api/shirts") == [{"id": 1, "for": "new"}]
        answer = await client.ask(op="request", id=3, path="/api/shirts")
        assert answer["body"] == [{"id": 1, "for": "new"}]
        await asyncio.sleep(6)  # the old token's time runs out, which is what this is about
        assert (await client.ask(op="request", id=4, path="/api/shirts"))["status"] == 200
        asked_with_old, asked_with_new = len(backend.polls(f"Bearer {old}")), len(backend.polls(f"Bearer {new}"))
        await come(lambda: len(backend.polls(f"Bearer {new}")) > asked_with_new + 3, "it is asked with the new one")
        assert len(backend.polls(f"Bearer {old}")) == asked_with_old
    asked = [asked for asked in backend.asked if asked.target == "/api/shirts"]
    assert {asked.header("x-user") for asked in asked} == {"ada"}
    counted = {
        labels["result"]: value
        for name, labels, value in running.samples()
        if name == "tidegate_session_operations_total" and labels["op"] == "auth"
    }
    assert counted == {"ok": 1}


async def test_what_is_refused_changes_nothing(running: Gateway, backend: Backend) -> None:
    old = know(backend, token(10), "old")
    async with session(running, old) as (client, _):
        await client.ask(op="subscribe", id=1, channel="/api/shirts")
        for bad, code in (
            (know(backend, token(sub="eve"), "eve"), "other_subject"),
            (token(-5), "unauthenticated"),
            (token() + "x", "unauthenticated"),
            ("nonsense", "unauthenticated"),
            (token(banned="yes"), "forbidden"),
            ("a b", "bad_token"),
            ("", "bad_message"),
            ("x" * 20_000, "bad_message"),
        ):
            answer = await client.ask(op="auth", id=2, token=bad)
            assert (answer["op"], answer["error"]["code"]) == ("error", code)
            assert "expired" not in answer["error"]["message"]
        assert (await client.ask(op="request", id=3, path="/api/shirts"))["body"] == [{"id": 1, "for": "old"}]
        async with asyncio.timeout(LIMIT):
            await client.socket.wait_closed()
        assert client.socket.close_code == 4409
    assert not any("eve" in asked.header("x-user") for asked in backend.asked)


async def test_who_showed_a_key_has_no_token_to_renew(running: Gateway) -> None:
    async with session(running, X_Api_Key=KEY) as (client, hello):
        assert (hello["subject"], hello["expires"], "auth" in hello) == ("robot", None, False)
        answer = await client.ask(op="auth", id=1, token=token(sub="robot"))
        assert answer["error"]["code"] == "not_renewable"


async def test_a_token_of_another_authenticator_is_not_the_same_client(running: Gateway) -> None:
    async with session(running, token(sub="robot")) as (client, _):
        assert (await client.ask(op="auth", id=1, token=token(sub="robot")))["op"] == "ok"
    async with session(running, "not-a-token-of-ours", X_Api_Key=KEY) as (client, hello):
        assert hello["subject"] == "robot", "by the key, whatever the token is good for"
        answer = await client.ask(op="auth", id=1, token=token(sub="robot"))
        assert answer["error"]["code"] == "other_subject"


async def test_what_new_claims_no_longer_allow_ends(running: Gateway, backend: Backend) -> None:
    old = know(backend, token(team="a", role="staff"), "a")
    async with session(running, old) as (client, _), session(running, token(sub="bob", team="a")) as (other, _):
        for number, channel in enumerate(["team.a", "/api/staff", "/api/shirts"]):
            assert (await client.ask(op="subscribe", id=number, channel=channel))["op"] == "ok"
        new = know(backend, token(team="b"), "b")
        assert (await client.ask(op="auth", id=9, token=new))["op"] == "ok"
        ended: dict[str, str] = {}
        while len(ended) < 2:
            message = await client.event("nothing else")
            ended[message["channel"]] = message["error"]["code"]
        assert ended == {"team.a": "not_allowed", "/api/staff": "forbidden"}
        assert (await other.ask(op="publish", id=1, channel="team.a", data="secret"))["op"] == "ok"
        assert (await client.ask(op="subscribe", id=10, channel="team.a"))["error"]["code"] == "not_allowed"
        assert (await client.ask(op="subscribe", id=11, channel="team.b"))["op"] == "ok"
        assert not any(message.get("channel") == "team.a" for message in client.events)


async def test_who_changes_the_team_sees_the_other_team_and_never_both(running: Gateway, backend: Backend) -> None:
    """A poll that many share goes on with the credentials of those who are there, and never with another team's."""
    texts = {name: know(backend, token(sub=name, team=name[0]), name[0]) for name in ("a1", "a2", "b1")}
    async with session(running, texts["a1"]) as (one, _), session(running, texts["a2"]) as (two, _):
        for client in (one, two):
            await client.ask(op="subscribe", id=1, channel="/api/teams")
            assert await shown(client, "/api/teams") == [{"id": 1, "for": "a"}]
        fresh = know(backend, token(sub="a1", team="a"), "a")
        await one.ask(op="auth", id=2, token=fresh)
        await two.ask(op="unsubscribe", id=2, channel="/api/teams")
        await come(lambda: bool(backend.polls(f"Bearer {fresh}")), "it is asked with the fresh one")
        for text in (fresh, texts["a2"]):
            backend.shirts[f"Bearer {text}"][0]["for"] = "a again"
        assert one.events == [], "it went on in the same channel"
        assert (await one.event("patch", "snapshot"))["event"].get("reset") is None
        moved = know(backend, token(sub="a1", team="b"), "b")
        await one.ask(op="auth", id=3, token=moved)
        while (event := (await one.event("patch", "snapshot"))["event"])["type"] != "snapshot" or "reset" not in event:
            pass
        assert event["data"] == [{"id": 1, "for": "b"}]
    for asked in backend.asked:
        text = asked.header("authorization").removeprefix("Bearer ")
        assert jwt.decode(text, SECRET, ["HS256"])["sub"] == asked.header("x-user")


async def test_no_new_token_is_in_any_log(running: Gateway) -> None:
    new = token(sub="eve")
    async with session(running, token()) as (client, _):
        await client.ask(op="auth", id=1, token=new)
        await client.say(op="auth", id=[], token=new)
        with pytest.raises(ConnectionClosed):
            await client.hear()
    line = await asyncio.to_thread(running.logged, kind="close")
    assert new.rpartition(".")[2] not in json.dumps(line) + running.access.read_text() + running.exposition()
