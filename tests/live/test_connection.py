from __future__ import annotations

import asyncio

import pytest

from gateway.live.connection import StreamConnection
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter
from tests.live.scene import LineTransport, Scene


async def test_the_handshake_is_let_go_when_delivery_begins(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[StreamConnection] = []
    serve = LineTransport.serve

    async def spy(self: LineTransport, connection: StreamConnection) -> None:
        kept.append(connection)
        await serve(self, connection)

    monkeypatch.setattr(LineTransport, "serve", spy)
    await scene.open()
    await scene.state([])
    connection = kept[0]
    assert connection.opening is None
    with pytest.raises(RuntimeError, match="no longer kept"):
        _ = connection.request
    with pytest.raises(RuntimeError, match="delivery has begun"):
        connection.deliver(LineTransport().encoding)


async def test_delivery_needs_an_answer_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = []

    async def hasty(self: LineTransport, connection: StreamConnection) -> None:
        try:
            connection.deliver(self.encoding)
        except RuntimeError as error:
            errors.append(str(error))

    monkeypatch.setattr(LineTransport, "serve", hasty)
    await scene.open()
    await scene.state([])
    assert errors == ["deliver() comes after accept() or respond()"]


async def test_the_peers_code_and_reason_are_kept(scene: Scene) -> None:
    for code, label in ((1000, "normal"), (4999, "client_gone")):
        client = await scene.open()
        if code == 1000:
            await scene.state([])
        client.inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": "bye"})
        assert client.task is not None
        await client.task
        assert (scene.access.ends[-1].code, scene.access.ends[-1].label) == (code, label)


async def test_the_servers_own_closes_keep_their_label(scene: Scene) -> None:
    client = await scene.open()
    await scene.state([])
    message = {"type": "websocket.disconnect", "code": 1009, "reason": "message over 5 bytes", "label": "too_big"}
    client.inbox.put_nowait(message)
    assert client.task is not None
    await client.task
    assert (scene.access.ends[-1].code, scene.access.ends[-1].label) == (1009, "too_big")


async def test_nothing_more_is_carried_to_a_client_that_has_left(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pump(self: ManualWriter) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ManualWriter, "pump", pump, raising=False)
    client = await scene.open()
    await scene.state([])
    await client.leave()
    await turn()
    assert client.task is not None
    assert client.task.done()
