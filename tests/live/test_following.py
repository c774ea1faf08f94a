from __future__ import annotations

from gateway.core.identity import Identity
from gateway.errors import ClientError
from gateway.plugin import Refused, Request
from gateway.testing.source import turn
from tests.live.talk import Talk


async def test_events_follow_the_answer(talk: Talk) -> None:
    client = await talk.open()
    client.heard()
    assert await client.say(op="subscribe", id=1, channel="/shirts") == []
    await talk.scene.state([{"id": 1}])
    ok, event = client.heard()
    assert (ok["op"], event["op"], event["event"]["id"]) == ("ok", "event", ok["position"])
    await talk.scene.state([{"id": 1}, {"id": 2}])
    assert [event["event"]["type"] for event in client.heard()] == ["created"]
    other = await talk.open()
    said = await other.say(op="subscribe", id=1, channel="/shirts", mode="snapshot")
    assert [message["op"] for message in said] == ["hello", "ok", "event"]
    assert await client.say(op="unsubscribe", id=2, channel="/shirts") == [{"op": "ok", "id": 2}]
    await talk.scene.state([])
    assert client.heard() == []
    assert [event["event"]["type"] for event in other.heard()] == ["snapshot"]


async def test_a_subscription_has_an_interval_of_its_own(talk: Talk) -> None:
    client = await talk.open()
    client.heard()
    (answer,) = await client.say(op="subscribe", id=1, channel="/shirts", interval="5")
    assert answer["error"]["code"] == "bad_interval"
    await client.say(op="subscribe", id=1, channel="/shirts", interval="5s")
    for count in range(4):
        await talk.scene.state([{"id": number} for number in range(count)])
    assert [message["op"] for message in client.heard()] == ["ok", "event", "event"]
    for _ in range(5):
        assert client.heard() == []
        talk.scene.clock.advance(1)
        await turn()
    assert [message["event"]["type"] for message in client.heard()] == ["created", "created"]


async def test_the_bytes_of_an_event_are_made_once_for_all_sessions(talk: Talk) -> None:
    clients = [await talk.open() for _ in range(3)]
    for client in clients:
        await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([{"id": 1}])
    (channel,) = (running.channel for running in talk.scene.live.channels._running.values())
    (group,) = channel._groups.values()
    assert len(group.members) == 3
    assert {id(writer) for writer in group.members.values()} == {id(client.writer) for client in clients}


async def test_a_channel_goes_when_the_session_does(talk: Talk) -> None:
    client = await talk.open()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await client.leave()
    (running,) = talk.scene.live.channels._running.values()
    assert running.channel.users == 0
    assert running.channel.ends == set()


async def test_a_refusal_while_waiting_and_after(talk: Talk) -> None:
    async def refuse(publish: object) -> None:
        raise Refused(404)

    client = await talk.open()
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.source.do(refuse)
    assert [(m["id"], m["error"]["code"]) for m in client.heard()] == [(1, "upstream_refused")]
    await client.say(op="subscribe", id=2, channel="/shirts")
    await talk.scene.state([])
    client.heard()
    await talk.scene.source.do(refuse)
    assert [(m["channel"], m["error"]["status"]) for m in client.heard()] == [("/shirts", 404)]
    assert await client.say(op="ping") == [{"op": "pong"}]


async def test_a_subscription_that_is_given_up_while_it_waits(talk: Talk) -> None:
    client = await talk.open()
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    said = await client.say(op="unsubscribe", id=2, channel="/shirts")
    assert [message.get("error", {}).get("code", "ok") for message in said] == ["cancelled", "ok"]
    await talk.scene.state([])
    assert client.heard() == []


async def test_a_route_with_a_gate_asks_it_unless_the_session_has_passed_the_same(talk: Talk) -> None:
    seen: list[Request] = []

    async def admit(request: Request) -> Identity:
        seen.append(request)
        if len(seen) > 1:
            raise ClientError(401, "unauthenticated", "who?")
        return Identity(subject="ada")

    talk.admit = admit
    client = await talk.open()
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([])
    assert client.heard()[0]["op"] == "ok"
    assert seen[0].header(b"authorization") == b"t"
    other = await talk.open()
    other.heard()
    said = await other.say(op="subscribe", id=1, channel="/shirts")
    assert (said[0]["error"]["code"], said[0]["error"]["status"]) == ("unauthenticated", 401)
    known = await talk.open(identity=Identity(subject="ada"))
    known.heard()
    assert (await known.say(op="subscribe", id=1, channel="/shirts"))[0]["op"] == "ok"
    assert len(seen) == 2


async def test_a_subscription_ends_with_the_credentials_that_it_was_let_in_with(talk: Talk) -> None:
    expires = talk.scene.clock.time() + 10

    async def admit(request: Request) -> Identity:
        return Identity(subject="ada", expires=expires)

    talk.admit = admit
    client = await talk.open()
    client.heard()
    for number in (1, 2):
        await client.say(op="subscribe", id=number, channel=f"/shirts/{number}" if number > 1 else "/shirts")
    await client.say(op="unsubscribe", id=3, channel="/shirts/2")
    await talk.scene.state([])
    client.heard()
    for _ in range(9):
        talk.scene.clock.advance(1)
        await turn()
    assert [message for message in client.heard() if message["op"] == "error"] == []
    talk.scene.clock.advance(1)
    await turn()
    (said,) = client.heard()
    assert (said["channel"], said["error"]["code"], said["error"]["status"]) == ("/shirts", "expired", 401)
    assert await client.say(op="ping") == [{"op": "pong"}], "the session goes on"
