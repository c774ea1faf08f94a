from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import msgpack
import pytest

from gateway.core.codes import RECONFIGURED
from gateway.core.identity import Identity
from gateway.core.route import parse_template
from gateway.core.settings import Route, SessionSettings
from gateway.live.sessions import BURST
from gateway.plugin import Request
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter
from tests.live.talk import LIVE, Talk


async def test_hello_says_who_and_until_when(talk: Talk) -> None:
    (hello,) = (await talk.open()).heard()
    assert hello == {"op": "hello", "session": hello["session"], "subject": None, "expires": None, "heartbeat": 25.0}
    identity = Identity(subject="ada", expires=1_700_000_060.0)
    (hello,) = (await talk.open(identity=identity)).heard()
    assert (hello["subject"], hello["expires"]) == ("ada", "2023-11-14T22:14:20+00:00")


async def test_the_subprotocol_chooses_the_format(talk: Talk) -> None:
    for offered, chosen in (((), None), (("bearer.x",), None), (("a", "tidegate.msgpack.v1"), "tidegate.msgpack.v1")):
        client = await talk.open(subprotocols=offered)
        assert client.sent == [{"type": "websocket.accept", "subprotocol": chosen, "headers": []}]
        hello = client.writer.take()
        assert (msgpack.unpackb(hello) if chosen else json.loads(hello))["op"] == "hello"
    await talk.open(subprotocols=("a",))
    assert [error.code for error in talk.scene.refused] == ["subprotocol"]


async def test_what_does_not_open_a_session(talk: Talk) -> None:
    await talk.open(type="http")
    error = talk.scene.refused.pop()
    assert (error.status, error.headers) == (426, ((b"upgrade", b"websocket"), (b"connection", b"upgrade")))
    await talk.open(type="http", http_version="2")
    assert talk.scene.refused.pop().headers == ()
    foreign = [(b"host", b"shop"), (b"cookie", b"a=b"), (b"origin", b"https://evil.example")]
    await talk.open(headers=foreign)
    assert talk.scene.refused.pop().code == "origin"
    friend = SessionSettings(origins=("https://evil.example",))
    client = await talk.open(Route(name="friend", path=parse_template("/live"), session=friend), headers=foreign)
    assert client.heard()[0]["op"] == "hello"


async def test_the_end_is_counted_and_logged(talk: Talk) -> None:
    client = await talk.open()
    session = client.heard()[0]["session"]
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.scene.state([])
    stats = talk.scene.stats.routes["live"].streams["session"]
    assert (stats.open, stats.opened) == (1, 1)
    await client.leave()
    assert (stats.open, stats.received, stats.messages, stats.closed) == (0, 1, 2, {"client_gone": 1})
    assert talk.scene.access.lines == [("open", session, "live", "session"), ("close", session, "live", "session")]
    (end,) = talk.scene.access.ends
    assert (end.code, end.messages, end.received) == (1001, 3, 1)
    assert end.bytes == len(client.writer.taken) + client.writer.buffered


async def test_a_stop_sends_everyone_away(talk: Talk) -> None:
    client = await talk.open()
    await client.say(op="subscribe", id=1, channel="/shirts")
    await talk.sessions.close()
    assert client.writer.closed == (1012, "the gateway restarts, reconnect with jitter")
    await talk.open()
    assert talk.scene.refused.pop().code == "closing"


async def test_credentials_that_expire_end_the_session(talk: Talk) -> None:
    client = await talk.open(identity=Identity(subject="ada", expires=1_700_000_003.0))
    for seconds, closed in ((2.5, None), (1.0, 4409)):
        await talk.scene.clock.asleep(2)
        talk.scene.clock.advance(seconds)
        await turn()
        assert (client.writer.closed and client.writer.closed[0]) == closed


async def test_a_busy_session_gives_way_after_a_handful(talk: Talk) -> None:
    busy, other = await talk.open(), await talk.open()
    busy.heard(), other.heard()
    for _ in range(BURST * 3):
        busy.put(op="ping")
    other.put(op="ping")
    while not (heard := other.heard()):
        await turn(1)
    assert heard == [{"op": "pong"}]
    await turn(1)
    assert len(busy.heard()) <= BURST * 2


async def test_a_client_that_does_not_read_is_not_read_from(talk: Talk) -> None:
    writer = ManualWriter(high=10, low=0)
    client = await talk.open(writer=writer)
    client.writer = writer
    assert writer.full
    for number in range(3):
        client.put(op="ping", id=number)
    await turn()
    assert client.inbox.qsize() == 2, "one was taken before anybody looked"
    for _ in range(3):
        client.heard()
        await turn()
    assert client.inbox.qsize() == 0


class Wire(ManualWriter):
    """A writer that can give messages at once."""

    hear: Callable[[str | bytes], bool] | None = None


async def test_messages_are_heard_before_receive_brings_them(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire(high=100)
    client = await talk.open(writer=wire)
    client.writer = wire
    client.heard()
    assert wire.hear is not None
    assert wire.hear('{"op":"ping","id":1}')
    await turn()
    assert client.heard() == [{"op": "pong", "id": 1}]
    wire.write(b" " * 200)
    assert not wire.hear('{"op":"ping"}'), "the client reads nothing"
    wire.take()
    monkeypatch.setattr("gateway.live.conversation.Conversation.hear", None)
    assert wire.hear('{"op":"ping"}')
    assert wire.closed == (1011, "internal error")


async def test_what_a_bug_does_to_a_session(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await talk.open()
    monkeypatch.setattr("gateway.live.conversation.Conversation.hear", None)
    await client.say(op="ping")
    assert client.writer.closed == (1011, "internal error")
    assert client.task is not None
    with pytest.raises(TypeError):
        await client.task


@pytest.mark.parametrize("data", ["x", b"\xff"])
async def test_nonsense_ends_it(talk: Talk, data: str | bytes) -> None:
    client = await talk.open()
    client.inbox.put_nowait({"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data})
    client.put(op="ping")
    await turn()
    assert client.writer.closed is not None
    assert client.writer.closed[0] == 4400
    assert len(client.heard()) == 1, "nothing is said after the end"


async def test_sessions_of_a_route_that_has_changed_begin_nothing_more(talk: Talk) -> None:
    client = await talk.open()
    client.heard()
    assert talk.sessions.renew({"others"}) == []
    assert await client.say(op="ping") == [{"op": "pong"}]
    (conversation,) = talk.sessions.renew({"live"})
    assert await client.say(op="ping") == []
    conversation.disconnect(RECONFIGURED)
    assert client.writer.closed == (1012, "this is configured anew, reconnect with jitter")


async def test_rules_are_those_of_the_route_as_it_is(talk: Talk) -> None:
    await talk.open()
    before = talk.sessions._rules_of(LIVE, None)
    assert talk.sessions._rules_of(LIVE, None) is before
    other = replace(LIVE, session=SessionSettings(requests=False))
    assert not talk.sessions._rules_of(other, None).requests
    assert talk.sessions._rules_of(LIVE, None).requests


async def test_a_session_that_begins_on_a_route_that_is_gone_ends_at_once(talk: Talk) -> None:
    talk.current = False
    client = await talk.open()
    assert client.writer.closed == (1012, "this is configured anew, reconnect with jitter")


async def test_who_was_let_in_to_what_is_gone_by_then_is_told(talk: Talk) -> None:
    async def admit(request: Request) -> Identity:
        talk.current = False
        return Identity(subject="ada")

    client = await talk.open()
    client.heard()
    talk.admit = admit
    (error,) = await client.say(op="subscribe", id=1, channel="/shirts")
    assert (error["id"], error["error"]["code"], error["error"]["status"]) == (1, "reload", 503)
    assert not talk.scene.source.running
