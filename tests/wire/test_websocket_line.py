"""What needs no words of ASGI: who is alive, and how much one client may send."""

from __future__ import annotations

from websockets.frames import Opcode

from gateway.core.settings import Limits
from gateway.wire.frames import close_frame, ping_frame
from gateway.wire.http1 import HIGH_WATER
from tests.wire.test_websocket import Socket, text
from tests.wire.wired import frame

# The heartbeat: visits are 25 seconds apart.


async def test_a_client_that_answers_pings_stays() -> None:
    client = await Socket().opens()
    for count in range(1, 10):
        await client.visits(1)
        assert client.line.sent == ping_frame(b"") * count
        await client.send(frame(Opcode.PONG))
    assert not client.line.closing
    await client.ends()


async def test_a_dead_client_is_found_and_dropped_within_two_heartbeats() -> None:
    client = await Socket().opens()
    await client.visits(1)
    assert client.line.sent == ping_frame(b"")
    await client.visits(1)
    assert client.line.sent == ping_frame(b"") + close_frame(4408, "no heartbeat")
    assert client.line.closing
    assert await client.receive() == {
        "type": "websocket.disconnect", "code": 4408, "reason": "no heartbeat", "label": "no_heartbeat"
    }  # fmt: skip
    await client.play.last.end()
    client.clean()


async def test_a_dead_client_with_full_buffers_is_cut_off() -> None:
    client = await Socket().opens()
    client.line.stalled = True
    client.play.last.wire.write(b"x" * (HIGH_WATER + 1))
    await client.visits(2)
    assert client.line.aborted
    assert (await client.receive())["code"] == 4408
    await client.play.last.end()
    client.clean()


async def test_a_client_that_reads_slowly_is_alive() -> None:
    client = await Socket().opens()
    for _ in range(5):
        client.line.stalled = True
        client.play.last.wire.write(b"x" * (HIGH_WATER + 1))
        await client.visits(1)
        client.line.read_all()
    assert not client.line.closing
    await client.ends()


async def test_a_client_that_is_not_read_is_not_silent() -> None:
    client = await Socket().opens()
    await client.send(b"".join(text(str(number)) for number in range(100)))
    await client.visits(10)
    assert client.line.sent == b""
    await client.ends()


# What one client may send.


async def test_too_many_messages() -> None:
    client = await Socket(Limits(messages_per_second=2)).opens()
    await client.send(text("1") + frame(Opcode.PING) + text("3"))
    client.listener.sweep.now += 0.5
    await client.send(text("4") + text("5"))
    for number in "134":
        assert (await client.receive())["text"] == number
    assert await client.receive() == {
        "type": "websocket.disconnect", "code": 4429, "reason": "too many messages", "label": "too_many"
    }  # fmt: skip
    assert client.line.sent.endswith(close_frame(4429, "too many messages"))
    await client.ends()


async def test_too_many_bytes() -> None:
    client = await Socket(Limits(bytes_per_second=1000, message=500)).opens()
    for _ in range(3):
        await client.send(frame(Opcode.BINARY, b"x" * 492))
        await client.receive()
    client.listener.sweep.now += 0.5
    await client.send(frame(Opcode.BINARY, b"x" * 492))
    assert client.line.sent == b""
    await client.send(b"x")
    assert (await client.receive())["bytes"]  # it came before
    assert await client.receive() == {
        "type": "websocket.disconnect", "code": 4429, "reason": "too many bytes", "label": "too_many"
    }  # fmt: skip
    await client.ends()
