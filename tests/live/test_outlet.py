from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.core.event import Json
from gateway.plugin import Publisher, Refused, Status
from gateway.testing.source import turn
from tests.live.scene import Client, Scene


@pytest.fixture
def slow(scene: Scene) -> Scene:
    """The scene, conflated."""
    scene.route = replace(scene.route, settings=replace(scene.route.settings, conflate=0.5))
    return scene


def rows(**stock: int) -> list[Json]:
    return [{"id": id_, "stock": number} for id_, number in stock.items()]


def heard(client: Client) -> list[tuple[str, Json]]:
    lines = [line for line in client.writer.take().splitlines() if line.startswith(b"{")]
    events = [json.loads(line) for line in lines]
    return [(event["type"], event["data"].get("item") or event["data"].get("state")) for event in events]


async def begun(scene: Scene) -> Client:
    """A client that has the first state and the change after it; the interval has begun with that."""
    client = await scene.open()
    await scene.state(rows(a=1, b=1))
    await scene.state(rows(a=2, b=1))
    client.writer.take()
    return client


async def test_changes_in_quick_succession_are_sent_as_one(slow: Scene) -> None:
    client = await begun(slow)
    for stock in range(3, 10):
        await slow.state(rows(a=stock, b=1))
    assert heard(client) == []
    assert slow.clock.slept.count(0.5) == 1, "one timer for all of them"
    slow.clock.advance(0.5)
    await turn()
    assert heard(client) == [("updated", {"id": "a", "stock": 9})]
    assert slow.stats.routes["shirts"].conflated == 6
    assert slow.stats.routes["shirts"].events["updated"] == 2, "only what is sent counts as event"


async def test_ids_go_on_without_gaps_and_newcomers_get_what_everyone_has(slow: Scene) -> None:
    client = await begun(slow)
    await slow.state(rows(a=3, b=1))
    newcomer = await slow.open()
    first = json.loads(newcomer.writer.take().splitlines()[1])
    assert first["data"] == rows(a=2, b=1)
    slow.clock.advance(0.5)
    await turn()
    assert [str(id_).rpartition(".")[2] for id_ in client.heard()] == ["3"]
    assert [str(id_).rpartition(".")[2] for id_ in newcomer.heard()] == ["3"]


async def test_nothing_waits_when_all_is_as_it_was(slow: Scene) -> None:
    client = await begun(slow)
    await slow.state(rows(a=3, b=1))
    await slow.state(rows(a=2, b=1))
    slow.clock.advance(0.5)
    await turn()
    assert heard(client) == []
    await slow.state(rows(a=4, b=1))
    assert heard(client) == [("updated", {"id": "a", "stock": 4})]


async def test_a_status_does_not_overtake_what_is_older(slow: Scene) -> None:
    async def fail(publish: Publisher) -> None:
        publish.status(Status(state="stale"))

    client = await begun(slow)
    await slow.state(rows(a=3, b=1))
    await slow.source.do(fail)
    assert heard(client) == []
    slow.clock.advance(0.5)
    await turn()
    assert heard(client) == [("updated", {"id": "a", "stock": 3}), ("status", "stale")]


async def test_the_timer_keeps_to_the_interval_of_what_was_sent_before_it_woke(slow: Scene) -> None:
    client = await begun(slow)
    await slow.state(rows(a=3, b=1))
    slow.clock._now += 0.6  # the loop is late: the source is served before the timer
    await slow.state(rows(a=4, b=1))
    assert heard(client) == [("updated", {"id": "a", "stock": 4})]
    await slow.state(rows(a=5, b=1))
    slow.clock.advance(0)
    await turn()
    assert heard(client) == []
    slow.clock.advance(0.5)
    await turn()
    assert heard(client) == [("updated", {"id": "a", "stock": 5})]


async def test_a_channel_that_ends_drops_what_waits(slow: Scene) -> None:
    async def fail_and_refuse(publish: Publisher) -> None:
        publish.status(Status(state="stale"))
        raise Refused(404)

    client = await begun(slow)
    await slow.state(rows(a=3, b=1))
    await slow.source.do(fail_and_refuse)
    slow.clock.advance(0.5)
    await turn()
    assert b"updated" not in client.writer.take()
    assert client.writer.closed is not None
    assert slow.stats.routes["shirts"].failing == 0, "a status of a channel that is no more"
