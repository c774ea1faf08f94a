from __future__ import annotations

from gateway.core.settings import Limits
from gateway.errors import ClientError
from tests.wire.wired import Log, listener_for, responds, settle


async def test_connections_are_counted() -> None:
    listener = listener_for(responds(), Limits(connections=2))
    assert [listener.arrived() for _ in range(3)] == [True, True, False]
    assert (listener.stats.connections, listener.stats.accepted, listener.open) == (3, 3, 3)
    listener.left()
    listener.left()
    assert (listener.stats.connections, listener.stats.accepted, listener.open) == (1, 3, 1)
    assert listener.arrived()


async def test_tasks_are_held_until_they_are_done() -> None:
    listener = listener_for(responds())

    async def exchange() -> None:
        listener.done()

    listener.spawn(exchange())
    assert len(listener.tasks) == 1
    await settle()
    assert not listener.tasks


async def test_refusals_are_counted_and_logged() -> None:
    listener = listener_for(responds())
    listener.refused(ClientError(400, "malformed", "no"), {"method": "GET", "path": "/"}, 10)
    assert listener.stats.refused == {"malformed": 1}
    assert isinstance(listener.access, Log)
    assert listener.access.requests == [("GET", "/", 400)]
