"""Giving a WebSocket away: only before it is answered, and with what the client has sent already."""

from __future__ import annotations

import asyncio

from gateway.core.asgi import Message
from gateway.core.stats import StreamStats
from gateway.wire.upgrade import Upgraded
from tests.wire.wired import Client, Line, Play, settle

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ASK = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % KEY
)


def far() -> tuple[Upgraded, Line]:
    line = Line()
    line.protocol, line.reading = asyncio.Protocol(), False
    return Upgraded(line, [], b"hello"), line


async def test_what_was_sent_early_goes_first_and_the_answer_before_all() -> None:
    play = Play()
    client = Client(play)
    await client.send(ASK + b"\x81\x80")
    upgraded, line = far()
    tunnel = play.last.wire.splice([(b"Sec-WebSocket-Accept", b"abc"), (b"X-Own", b"1")], upgraded, StreamStats())
    assert tunnel is not None
    assert line.sent == b"\x81\x80"
    assert client.line.sent == (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: abc\r\nX-Own: 1\r\n\r\nhello"
    )
    await client.send(b"rest")
    assert line.sent == b"\x81\x80rest"
    line.lose()
    await tunnel.wait()
    await play.last.end()
    client.clean()


async def test_the_application_hears_of_nothing_more() -> None:
    play = Play()
    client = Client(play)
    await client.send(ASK)
    messages: list[Message] = [await play.last.receive()]
    upgraded, line = far()
    client.line.pause_reading()  # a tunnel begins with reading on, which this line wants to be told once
    assert play.last.wire.splice([], upgraded, StreamStats()) is not None
    messages.append(await play.last.receive())
    assert [message["type"] for message in messages] == ["websocket.connect", "websocket.disconnect"]
    before = client.line.sent
    await play.last.send({"type": "websocket.close", "code": 1000})
    assert client.line.sent == before
    line.lose()
    await play.last.end()
    await settle()
    client.clean()


async def test_a_client_that_has_gone_is_not_joined() -> None:
    play = Play()
    client = Client(play)
    await client.send(ASK)
    await client.drop()
    upgraded, line = far()
    assert play.last.wire.splice([], upgraded, StreamStats()) is None
    assert not line.sent
    await play.last.end()
    client.clean()


async def test_a_websocket_that_is_open_is_not_given_away() -> None:
    play = Play()
    client = Client(play)
    await client.send(ASK)
    await play.last.receive()
    await play.last.send({"type": "websocket.accept"})
    upgraded, _ = far()
    assert play.last.wire.splice([], upgraded, StreamStats()) is None
    await client.drop()
    await play.last.end()
    client.clean()
