"""Sessions that are opened without credentials, and shown a token in their first message."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.core.asgi import Message, Scope
from gateway.core.codes import FORBIDDEN
from gateway.core.http import HANDSHAKE, IDENTITY, Handshake
from gateway.errors import ClientError
from gateway.plugin import Identity, Request
from gateway.testing.source import turn
from tests.live.talk import HOST, LIVE, SETTINGS, Client, Talk

ROUTE = replace(LIVE, auth=("people",), session=replace(SETTINGS, auth_timeout=5.0))


async def come(talk: Talk, *subprotocols: str) -> Client:
    """A client without credentials."""
    asked = Request(kind="websocket", method="GET", target=b"/live", headers=(HOST,), params={}, options={})
    scope: Scope = {"headers": [HOST], "subprotocols": subprotocols, HANDSHAKE: Handshake("", asked)}
    return await talk.open(ROUTE, None, **scope)


def closed(client: Client) -> Message:
    [close] = [message for message in client.sent if message["type"] == "websocket.close"]
    return close


async def test_a_token_in_the_first_message_opens_it(talk: Talk) -> None:
    talk.accept(60)
    client = await come(talk)
    assert client.heard() == [], "nobody is told anything"
    hello, ok = await client.say(op="auth", id=1, token="new")
    assert (hello["op"], hello["subject"], hello["auth"]) == ("hello", "ada", True)
    assert (ok["op"], ok["id"], ok["expires"]) == ("ok", 1, hello["expires"])
    await client.say(op="request", id=2, path="/")
    scope = talk.asked[0]
    assert (scope[IDENTITY].subject, scope["headers"]) == ("ada", [HOST, (b"authorization", b"Bearer new")])
    assert talk.scene.stats.routes["live"].session.operations["auth", "ok"] == 1


async def test_a_token_that_does_not_hold_ends_it(talk: Talk) -> None:
    client = await come(talk)
    await client.say(op="auth", id="a", token="old")
    [error] = [json.loads(message["text"]) for message in client.sent if message["type"] == "websocket.send"]
    assert (error["op"], error["id"], error["error"]["code"]) == ("error", "a", "bad_token")
    assert closed(client)["code"] == 4401
    assert talk.scene.stats.refused == {"bad_token": 1}


async def test_in_msgpack_too(talk: Talk) -> None:
    async def known(request: Request) -> tuple[str, Identity]:
        raise ClientError(403, "forbidden", "no access", close_code=FORBIDDEN.code)

    talk.known = known
    client = await come(talk, "tidegate.msgpack.v1")
    client.inbox.put_nowait({"type": "websocket.receive", "bytes": b"\x83\xa2op\xa4auth\xa2id\x01\xa5token\xa1t"})
    await turn()
    assert [type(message.get("bytes")) for message in client.sent if message["type"] == "websocket.send"] == [bytes]
    assert closed(client)["code"] == 4403


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ('{"op":"subscribe","id":1,"channel":"/shirts"}', 4401, "has to show a token"),
        ('{"op":"ping"}', 4401, "has to show a token"),
        ("{", 4400, "not a message"),
        ('{"op":"auth","id":1,"token":""}', 4400, "length"),
        ('{"op":"auth","id":1,"token":"a b"}', 1008, "without blanks"),
    ],
)
async def test_anything_else_ends_it(talk: Talk, said: str, code: int, words: str) -> None:
    client = await come(talk)
    client.inbox.put_nowait({"type": "websocket.receive", "text": said})
    await turn()
    assert closed(client)["code"] == code
    assert words in closed(client)["reason"]


async def test_it_has_a_deadline(talk: Talk) -> None:
    client = await come(talk)
    await talk.scene.clock.asleep(1)
    talk.scene.clock.advance(4.9)
    await turn()
    assert [message["type"] for message in client.sent] == ["websocket.accept"]
    talk.scene.clock.advance(0.2)
    await turn()
    assert (closed(client)["code"], closed(client)["reason"]) == (4401, "no token was shown in time")
    assert client.task is not None
    assert client.task.done()


async def test_who_leaves_is_gone(talk: Talk) -> None:
    client = await come(talk)
    await client.leave()
    assert client.task is not None
    assert client.task.result() is None
    assert [message["type"] for message in client.sent] == ["websocket.accept"]


async def test_a_stop_waits_for_nobody(talk: Talk) -> None:
    client = await come(talk)
    await talk.sessions.close()
    await turn()
    assert closed(client)["code"] == 1012
