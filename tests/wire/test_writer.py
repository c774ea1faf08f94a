from __future__ import annotations

import asyncio

import pytest

from gateway.core.asgi import Message, Scope, Writer
from gateway.wire.frames import binary_frame, ping_frame, text_frame
from gateway.wire.response import identity
from gateway.wire.writer import Pump, writer_for
from tests.wire.wired import begun, settle


class Server:
    """ASGI's `send`: takes a message when the test says `go`, and fails when the client is `gone`."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.go = asyncio.Event()
        self.go.set()
        self.gone = False

    async def send(self, message: Message) -> None:
        await self.go.wait()
        if self.gone:
            raise OSError("the client is gone")
        self.sent.append(message)


def pump(kind: str, server: Server) -> Pump:
    writer = writer_for({"type": kind}, server.send)
    assert isinstance(writer, Pump)
    return writer


async def test_the_servers_own_writer_is_used() -> None:
    mine = object()
    scope: Scope = {"type": "http", "extensions": {"tidegate.wire": mine}}
    assert writer_for(scope, Server().send) is mine


@pytest.mark.parametrize("extensions", [None, {}, {"http.response.push": {}}])
async def test_without_it_there_is_a_pump(extensions: object) -> None:
    writer: Writer = writer_for({"type": "http", "extensions": extensions}, Server().send)
    assert isinstance(writer, Pump)


async def test_frames_become_messages_again() -> None:
    server = Server()
    writer = pump("websocket", server)
    running = begun(writer.pump())
    writer.write(writer.framing("text")("né".encode()) + binary_frame(b"\xff") + ping_frame(b""))
    writer.write(text_frame(b""))
    await settle()
    writer.close(4413, "too slow")
    await running
    assert server.sent == [
        {"type": "websocket.send", "text": "né"},
        {"type": "websocket.send", "bytes": b"\xff"},
        {"type": "websocket.send", "text": ""},
        {"type": "websocket.close", "code": 4413, "reason": "too slow"},
    ]


async def test_bodies_go_as_they_are() -> None:
    server = Server()
    writer = pump("http", server)
    assert writer.framing("body") is identity
    running = begun(writer.pump())
    writer.write(b"one")
    writer.write(b"two")
    writer.close(1000, "")
    writer.write(b"ignored")
    writer.close(1000, "")
    await running
    assert server.sent == [
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"two", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]


async def test_other_framings_are_unknown() -> None:
    with pytest.raises(KeyError):
        pump("http", Server()).framing("text")


async def test_flow_is_told() -> None:
    server, told = Server(), []
    writer = pump("http", server)
    writer.on_flow(lambda: told.append("full"), lambda: told.append("drained"))
    server.go.clear()
    running = begun(writer.pump())
    writer.write(b"x" * 65536)
    await settle()
    assert (writer.full, writer.buffered, told) == (False, 65536, [])
    writer.write(b"x")
    assert (writer.full, writer.buffered, told) == (True, 65537, ["full"])
    writer.write(b"x")
    server.go.set()
    await settle()
    assert (writer.full, writer.buffered, told) == (False, 0, ["full", "drained"])
    writer.close(1000, "")
    await running


async def test_a_client_that_is_gone() -> None:
    server = Server()
    writer = pump("http", server)
    server.gone = True
    writer.write(b"one")
    await writer.pump()
    writer.write(b"two")
    assert writer.buffered == 0
    assert server.sent == []


async def test_cancelling() -> None:
    writer = pump("http", Server())
    running = begun(writer.pump())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    writer.write(b"ignored")
    assert writer.buffered == 0
