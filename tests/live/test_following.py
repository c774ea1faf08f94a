from __future__ import annotations

from dataclasses import replace

from gateway.core.codes import TOO_SLOW
from gateway.core.identity import Identity
from gateway.core.settings import Limits
from gateway.errors import ClientError
from gateway.plugin import Refused, Request, Share
from gateway.testing.source import turn
from tests.live.talk import Client, Said, Talk


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


async def move(talk: Talk, client: Client) -> list[Said]:
    """The client shows a new token, with which it is asked for anew."""
    return await client.say(op="auth", id=9, token="new")


async def test_with_a_new_token_everything_is_asked_for_in_its_name(talk: Talk) -> None:
    talk.accept(100)
    client = await talk.renewable(10)
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([1])
    first = client.heard()[-1]["event"]
    await client.say(op="request", id=2, path="/")
    client.heard()
    assert [message["op"] for message in await move(talk, client)] == ["ok"]
    old, new = talk.scene.source.running
    assert (old.headers, new.headers) == ([(b"authorization", b"Bearer old")], [(b"authorization", b"Bearer new")])
    await talk.scene.state([2])  # with the old, as the new has not answered yet
    assert [message["event"]["id"].split(".")[0] for message in client.heard()] == [first["id"].split(".")[0]]
    await talk.scene.state([3])
    (moved,) = client.heard()
    assert (moved["event"]["data"], moved["event"]["reset"]) == ([3], True)
    assert moved["event"]["id"].split(".")[0] != first["id"].split(".")[0]
    users = {name.split()[-1]: one.channel.users for name, one in talk.scene.live.channels._running.items()}
    assert users == {b"Bearer old".hex(): 0, b"Bearer new".hex(): 1}
    await talk.scene.state([4])  # of the old, which lingers
    assert client.heard() == []
    await client.say(op="request", id=3, path="/")
    sent = [dict(scope["headers"])[b"authorization"] for scope in talk.asked]
    assert sent == [b"Bearer old", b"Bearer new"]
    notes = [scope["extensions"]["tidegate.wire"].notes for scope in talk.asked]
    assert notes[0] is not notes[1]
    client.heard()
    await talk.pass_by(20)
    assert client.writer.closed is None, "the new token holds for longer"
    assert await client.say(op="unsubscribe", id=4, channel="/shirts") == [{"op": "ok", "id": 4}]


async def test_who_shares_a_channel_before_and_after_goes_on_in_it(talk: Talk) -> None:
    talk.scene.source.share = lambda request: Share(key=b"all", headers=[])  # type: ignore[method-assign]  # for all
    talk.accept(100)
    client = await talk.renewable(10)
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([{"id": 1}])
    client.heard()
    (ok,) = await move(talk, client)
    assert ok["op"] == "ok"
    await talk.scene.state([{"id": 1}, {"id": 2}])
    assert [message["event"]["type"] for message in client.heard()] == ["created"]
    (running,) = talk.scene.live.channels._running.values()
    assert (running.channel.users, len(running.channel.ends)) == (1, 1)
    await talk.pass_by(12)
    await talk.scene.state([])
    assert [message["event"]["type"] for message in client.heard()] == ["deleted", "deleted"]
    running.channel.end(TOO_SLOW)
    await turn()
    assert [message["error"]["code"] for message in client.heard()] == ["too_slow"]
    assert (running.channel.users, running.channel.ends) == (0, set())


async def test_what_waits_for_the_first_word_waits_with_the_new_token(talk: Talk) -> None:
    talk.accept(100)
    client = await talk.renewable(10)
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    assert [message["op"] for message in await move(talk, client)] == ["ok"]
    await talk.scene.state([1])  # of the old
    assert client.heard() == []
    await talk.scene.state([2])
    ok, event = client.heard()
    assert (ok["id"], event["event"]["data"]) == (1, [2])
    assert "reset" not in event["event"]


async def test_the_old_ends_in_silence_and_the_new_takes_its_place(talk: Talk) -> None:
    async def refuse(publish: object) -> None:
        raise Refused(401)

    talk.accept(100)
    client = await talk.renewable(10)
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([1])
    client.heard()
    await move(talk, client)
    client.heard()
    await talk.scene.source.do(refuse)
    assert client.heard() == [], "that the old token is refused is no news"
    await talk.scene.state([2])
    assert [message["event"]["data"] for message in client.heard()] == [[2]]


async def test_what_was_followed_with_the_old_token_ends_with_it(talk: Talk) -> None:
    talk.accept(100)
    client = await talk.renewable(5)
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([1])
    await move(talk, client)
    await talk.pass_by(6)
    await talk.scene.state([2])
    assert client.heard() == [], "the old token's time is over, and the new has brought nothing yet"
    await move(talk, client)
    await talk.scene.state([3])
    assert [(m["event"]["data"], m["event"]["reset"]) for m in client.heard()] == [([3], True)]
    assert [one.channel.users for one in talk.scene.live.channels._running.values()] == [0, 1]


async def test_a_channel_that_the_new_token_does_not_open_ends(talk: Talk) -> None:
    allowed = True

    async def admit(request: Request) -> Identity:
        if not allowed:
            raise ClientError(403, "forbidden", "these credentials give no access to this resource")
        return talk.ada(50)

    talk.admit = admit
    talk.scene.route = replace(talk.scene.route, route=replace(talk.scene.route.route, access="true"))
    talk.accept(100)
    client = await talk.renewable(10)
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([1])
    assert [message["op"] for message in client.heard()] == ["ok", "event"]
    allowed = False
    ok, error = await move(talk, client)
    assert (ok["op"], error["channel"], error["error"]["code"]) == ("ok", "/shirts", "forbidden")
    await talk.scene.state([2])
    assert client.heard() == []
    assert [one.channel.users for one in talk.scene.live.channels._running.values()] == [0]


async def test_a_channel_that_finds_no_room_with_the_new_token_ends(talk: Talk) -> None:
    talk.accept(100)
    client = await talk.renewable(10)
    client.heard()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([1])
    await client.say(op="subscribe", id=2, channel="/shirts/s")
    client.heard()
    talk.scene.live.channels._limits = Limits(channels=2)
    said = await move(talk, client)
    ended = [(message.get("channel"), message.get("id"), message["error"]["code"]) for message in said[1:]]
    assert ended == [("/shirts", None, "too_many_channels"), (None, 2, "too_many_channels")]
    assert [one.channel.users for one in talk.scene.live.channels._running.values()] == [0, 0]


async def test_patterns_with_claims_are_looked_at_again(talk: Talk) -> None:
    talk.accept(100, sub="ada.2")
    client = await talk.renewable(10, sub="ada")
    client.heard()
    for number, name in enumerate(["for.ada", "chat.a"]):
        await client.say(op="subscribe", id=number, channel=name)
    ok, error = await move(talk, client)
    assert (ok["op"], error["channel"], error["error"]["code"]) == ("ok", "for.ada", "not_allowed")
    assert len(await client.say(op="publish", id=3, channel="chat.a", data=1)) == 2
    (answer,) = await client.say(op="subscribe", id=4, channel="for.ada")
    assert answer["error"]["code"] == "not_allowed"
    assert (await client.say(op="subscribe", id=5, channel="for.ada.2"))[0]["op"] == "ok"
