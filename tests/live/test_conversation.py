from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from gateway.core.asgi import NOTHING, Receive, Scope, Send
from gateway.core.identity import Identity
from gateway.errors import ClientError, UpstreamTimeout
from gateway.plugin import Request
from gateway.testing.source import turn
from tests.live.talk import Talk


async def test_a_request_is_asked_as_any_other(talk: Talk) -> None:
    client = await talk.open()
    client.heard()
    said = await client.say(op="request", id=1, method="POST", path="/a%20b?c=d", body=[1], headers={"X-A": "1"})
    assert said == [
        {
            "op": "response",
            "id": 1,
            "status": 200,
            "headers": {"content-type": "application/json", "set-cookie": ["a", "b"]},
            "body": [1],
        }
    ]
    scope = talk.asked[0]
    assert (scope["type"], scope["method"], scope["scheme"]) == ("http", "POST", "https")
    assert (scope["raw_path"], scope["query_string"]) == (b"/a%20b", b"c=d")
    assert scope["headers"] == [
        (b"host", b"shop"),
        (b"authorization", b"t"),
        (b"x-a", b"1"),
        (b"content-type", b"application/json"),
        (b"content-length", b"3"),
    ]
    assert scope["tidegate.session"].endswith("-1")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ClientError(400, "bad", "no"), "bad"), (UpstreamTimeout("late"), "upstream_timeout"), (KeyError(), "internal")],
)
async def test_a_request_that_fails_is_an_answer(talk: Talk, error: Exception, code: str) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    talk.answer = fail
    client = await talk.open()
    client.heard()
    said = await client.say(op="request", id=1, path="/")
    assert [message["error"]["code"] for message in said] == [code]


async def test_what_is_said_in_one_turn_leaves_in_one_write(talk: Talk) -> None:
    client = await talk.open()
    client.heard()
    writes: list[bytes] = []
    client.writer.write = writes.append  # type: ignore[method-assign]  # to see how often
    for number in (1, 2):
        client.put(op="request", id=number, path="/")
    await turn()
    assert len(writes) == 1
    assert writes[0].count(b'"response"') == 2


async def test_requests_that_take_too_long_or_whose_client_has_gone(talk: Talk) -> None:
    cancelled: list[str] = []

    async def hang(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(scope["raw_path"].decode())
            raise

    talk.answer = hang
    client = await talk.open()
    client.heard()
    client.put(op="request", id=1, path="/1")
    await client.say(op="request", id=2, path="/2")
    assert [m["error"]["code"] for m in await client.say(op="cancel", id=2)] == ["cancelled"]
    assert cancelled == ["/2"]
    for _ in range(2):
        await talk.scene.clock.asleep(2)
        talk.scene.clock.advance(60.5)
        await turn()
    assert [(m["id"], m["error"]["code"]) for m in client.heard()] == [(1, "timeout")]
    await client.say(op="request", id=3, path="/3")
    await client.leave()
    assert cancelled == ["/2", "/1", "/3"]


async def test_what_follows_from_the_handshake_is_kept_for_requests_that_add_nothing(talk: Talk) -> None:
    client = await talk.open()
    added: list[dict[str, object]] = [
        {},
        {},
        {"headers": {"X": "1"}},
        {"method": "POST", "body": 1},
        {"method": "POST"},
    ]
    for number, more in enumerate(added):
        await client.say(op="request", id=number, path="/", **more)
    notes = [scope["extensions"]["tidegate.wire"].notes for scope in talk.asked]
    assert notes[0] is notes[1]
    assert all(each is not notes[0] for each in notes[2:])
    other = await talk.open()
    await other.say(op="request", id=1, path="/")
    assert talk.asked[-1]["extensions"]["tidegate.wire"].notes is not notes[0]


async def test_requests_that_can_not_be_stopped_are_few(talk: Talk) -> None:
    def take(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        asked = scope["extensions"]["tidegate.wire"]
        if asked.whole:
            asked.take()
            return NOTHING
        return hang()

    async def hang() -> None:
        await asyncio.Event().wait()

    talk.answer = take
    client = await talk.open()
    client.heard()
    for number in range(4):
        client.put(op="request", id=number, path="/")
        said = await client.say(op="cancel", id=number)
        assert [message["error"]["code"] for message in said] == ["cancelled"]
    wires = [scope["extensions"]["tidegate.wire"] for scope in talk.asked]
    assert [wire.whole for wire in wires] == [True, True, False, False]
    wires[0].answer(200, [], b"", {}, b"")
    assert client.heard() == []
    await client.say(op="request", id=9, path="/")
    assert talk.asked[-1]["extensions"]["tidegate.wire"].whole


async def test_messages_reach_those_who_follow(talk: Talk) -> None:
    one, other = await talk.open(), await talk.open()
    one.heard()
    (joined,) = (m for m in await other.say(op="subscribe", id=1, channel="chat.a") if m["op"] == "ok")
    (ok,) = await one.say(op="publish", id=1, channel="chat.a", data={"text": "hi"})
    assert ok == {"op": "ok", "id": 1, "position": joined["position"].replace(".0", ".1")}
    event = {"id": ok["position"], "type": "message", "data": {"text": "hi"}}
    assert other.heard() == [{"op": "event", "channel": "chat.a", "event": event}]
    said = await one.say(op="subscribe", id=2, channel="chat.a", since=joined["position"])
    assert [message.get("event") for message in said] == [None, event]
    said = await other.say(op="subscribe", id=2, channel="chat.b", since="old.7")
    assert [message.get("event") for message in said] == [None, {"type": "gap", "data": {"missed": None}}]
    await other.leave()
    assert await one.say(op="publish", id=3, channel="chat.a", data=None) != []


async def test_what_can_not_be_published_or_followed(talk: Talk) -> None:
    client = await talk.open(identity=Identity(subject="ada", claims={"sub": "ada"}))
    client.heard()
    for message, code in (
        ({"op": "publish", "channel": "for.ada", "data": 1}, "not_allowed"),
        ({"op": "publish", "channel": "/shirts", "data": 1}, "not_allowed"),
        ({"op": "publish", "channel": "chat.a"}, "bad_message"),
        ({"op": "subscribe", "channel": "for.eve"}, "not_allowed"),
        ({"op": "subscribe", "channel": "chat.a", "mode": "items"}, "bad_mode"),
        ({"op": "subscribe", "channel": "chat.a", "since": "x"}, "bad_position"),
        ({"op": "subscribe", "channel": "chat.a", "interval": "1ms"}, "bad_interval"),
    ):
        (answer,) = await client.say(id=1, **message)
        assert (answer["op"], answer["error"]["code"]) == ("error", code)
    (ok,) = await client.say(op="subscribe", id=1, channel="for.ada")
    assert ok["op"] == "ok"
    nobody = await talk.open()
    assert (await nobody.say(op="subscribe", id=1, channel="for.ada"))[-1]["error"]["code"] == "not_allowed"


async def test_a_broker_that_fails_is_an_answer(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(channel: str, change: object) -> None:
        raise OSError("no broker")

    client = await talk.open()
    client.heard()
    talk.scene.live.parts.broker.publish = fail  # type: ignore[method-assign,assignment]  # as one that is away
    (answer,) = await client.say(op="publish", id=1, channel="chat.a", data=1)
    assert answer["error"]["code"] == "internal"
    caplog.clear()


async def test_word_of_the_end_and_a_new_end(talk: Talk) -> None:
    client = await talk.renewable(20)
    hello = client.heard()[0]
    assert hello["auth"] is True
    await talk.pass_by(14)
    assert client.heard() == []
    await talk.pass_by(1)
    assert client.heard() == [{"op": "expiring", "expires": hello["expires"]}]
    await talk.pass_by(1)
    assert client.heard() == [], "once"
    (refused,) = await client.say(op="auth", id=1, token="bad")
    assert (refused["error"]["code"], refused["error"]["status"]) == ("unauthenticated", 401)
    assert "nothing is told" not in refused["error"]["message"]
    talk.accept(1000)
    (ok,) = await client.say(op="auth", id=2, token="new")
    assert ok == {"op": "ok", "id": 2, "expires": "2023-11-14T22:30:16+00:00"}
    await talk.pass_by(900)
    assert client.writer.closed is None
    await talk.pass_by(40)
    assert client.heard() == [{"op": "expiring", "expires": ok["expires"]}]
    await talk.pass_by(60)
    assert client.writer.closed == (4409, "the credentials have expired")


async def test_a_token_without_an_end_has_none_and_a_shorter_one_counts(talk: Talk) -> None:
    client = await talk.renewable(8)
    client.heard()
    talk.accept()
    assert await client.say(op="auth", id=1, token="new") == [{"op": "ok", "id": 1, "expires": None}]
    await talk.pass_by(10)
    assert client.heard() == []
    talk.accept(3)
    await client.say(op="auth", id=2, token="short")
    await talk.pass_by(4)
    assert client.writer.closed == (4409, "the credentials have expired")


async def test_who_shows_no_token_is_told_of_the_end_and_can_not_renew_it(talk: Talk) -> None:
    talk.accept(100)
    client = await talk.open(identity=talk.ada(20))
    assert "auth" not in client.heard()[0]
    (refused,) = await client.say(op="auth", id=1, token="new")
    assert refused["error"]["code"] == "not_renewable"
    await talk.pass_by(20)
    assert [message["op"] for message in client.heard()] == ["expiring"]
    assert client.writer.closed == (4409, "the credentials have expired")


async def test_a_token_that_is_looked_at_when_the_client_leaves(talk: Talk) -> None:
    asked = asyncio.Event()

    async def known(request: Request) -> tuple[str, Identity]:
        await asked.wait()
        return "people", talk.ada()

    talk.known = known
    client = await talk.renewable(20)
    client.heard()
    assert await client.say(op="auth", id=1, token="new") == []
    (busy,) = await client.say(op="auth", id=2, token="newer")
    assert busy["error"]["code"] == "too_many"
    await client.leave()
    asked.set()
    await turn()
    assert talk.scene.stats.routes["live"].session.operations["auth", "closed"] == 1
