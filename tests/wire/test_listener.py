from __future__ import annotations

import asyncio

from gateway.core.settings import Limits
from gateway.core.trust import Trusted
from gateway.errors import ClientError
from tests.wire.wired import Log, listener_for, responds, settle


def refused(error: ClientError | None) -> tuple[int, str] | None:
    return None if error is None else (error.status, error.code)


async def test_connections_are_counted() -> None:
    listener = listener_for(responds(), Limits(connections=2))
    ends = [asyncio.BaseTransport() for _ in range(4)]
    errors = [refused(listener.arrived(end, "192.0.2.1")) for end in ends[:3]]
    assert errors == [None, None, (503, "connections")]
    assert (listener.stats.connections, listener.stats.accepted, listener.open) == (3, 3, 3)
    listener.left(ends[0])
    listener.left(ends[1])
    assert (listener.stats.connections, listener.stats.accepted, listener.open) == (1, 3, 1)
    assert listener.arrived(ends[3], None) is None


async def test_connections_of_one_address_are_counted() -> None:
    listener = listener_for(responds(), Limits(connections_per_ip=2))
    ends = [asyncio.BaseTransport() for _ in range(6)]
    errors = [refused(listener.arrived(end, "192.0.2.1")) for end in ends[:3]]
    assert errors == [None, None, (429, "connections_per_ip")]
    assert listener.arrived(ends[3], "192.0.2.2") is None
    assert [listener.arrived(end, None) for end in ends[4:]] == [None, None], "local sockets have no address"
    listener.left(ends[2])
    listener.left(ends[0])
    assert listener.room("192.0.2.1") is None
    for end in (ends[1], *ends[3:]):
        listener.left(end)
    assert listener.open == 0
    assert len(listener._crowd) == len(listener._places) == 0


async def test_trusted_proxies_bring_many() -> None:
    listener = listener_for(responds(), Limits(connections_per_ip=1), crowded=Trusted(["10.0.0.0/8"]))
    assert [listener.arrived(asyncio.BaseTransport(), "10.0.0.1") for _ in range(3)] == [None, None, None]


async def test_those_who_have_not_arrived_count() -> None:
    listener = listener_for(responds(), Limits(connections=2))
    assert listener.room(None, 1) is None
    assert refused(listener.room(None, 2)) == (503, "connections")


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
