"""A channel between its batch and its own URL: writes, what is in flight, mirrors that stay true whatever happens."""

from __future__ import annotations

import random

import pytest

from gateway.plugin import Answer
from gateway.testing.source import turn
from tests.plugins.sources.together import Followed, Together, together, told


async def test_a_write_is_read_by_its_own_url() -> None:
    async with together() as scene:
        one, two = scene.follow_all(2)
        await scene.begin()
        scene.backend.forget()
        scene.backend.put("0", "1", version=2)
        assert scene.channels.refresh("orders", b"/api/orders/0") == 1
        await turn()
        assert (one.version, two.version) == (2, 1)
        assert scene.backend.targets == ["/api/orders/0"]
        await scene.pass_time(10)
        assert (one.version, two.version) == (2, 2)
        assert scene.backend.singles == ["/api/orders/0"]


async def test_an_answer_from_before_a_write_does_not_undo_it() -> None:
    async with together() as scene:
        one, two = scene.follow_all(2)
        await scene.begin()
        scene.backend.put("1", version=5)
        scene.backend.gate.clear()
        await scene.pass_time(10)
        assert scene.backend.batches == [["0", "1"]] * 2
        held, scene.backend.gate = scene.backend.gate, type(scene.backend.gate)()
        scene.backend.gate.set()
        scene.backend.put("0", version=2)
        scene.channels.refresh("orders", b"/api/orders/0")
        await turn()
        assert one.version == 2
        held.set()
        await turn()
        assert (one.version, two.version) == (2, 5)
        assert one.channel.log.head.offset == 2


async def test_after_a_write_the_batch_is_asked_for_whole() -> None:
    """A 304 then says that the batch is as it was, which is not how this channel is."""
    async with together() as scene:
        scene.backend.etags = True
        one, _ = scene.follow_all(2)
        await scene.begin()
        scene.backend.one = lambda _: told(200, {"id": 0, "v": 7})
        scene.channels.refresh("orders", b"/api/orders/0")
        await turn()
        assert one.version == 7
        await scene.pass_time(10)
        assert one.version == 1, "the list is still as it was"
        assert not scene.counts.incidents, "that is news to the channel, and no lie of the validator"


async def test_what_is_read_alone_after_a_batch_is_read_whole() -> None:
    """Its validators are of a state that the batch may have replaced."""
    async with together() as scene:
        scene.backend.etags = True
        (one,) = scene.follow_all(1)
        await scene.begin()
        scene.channels.refresh("orders", b"/api/orders/0")
        await turn()
        scene.backend.many = lambda ids: told(200, [{"id": 0, "v": 7}])
        await scene.pass_time(10)
        assert one.version == 7
        scene.channels.refresh("orders", b"/api/orders/0")
        await turn()
        assert one.version == 1


async def test_writes_before_the_first_look_ask_for_nothing_more() -> None:
    async with together() as scene:
        (one,) = scene.follow_all(1)
        scene.channels.refresh("orders", b"/api/orders/0")
        await scene.begin()
        assert one.version == 1
        assert scene.backend.targets == ["/api/orders?ids=0"]


async def test_a_write_during_the_first_look_is_seen() -> None:
    async with together() as scene:
        (one,) = scene.follow_all(1)
        scene.backend.gate.clear()
        await scene.begin()
        assert scene.backend.targets == ["/api/orders?ids=0"]
        scene.backend.put("0", version=2)
        scene.channels.refresh("orders", b"/api/orders/0")
        await turn()
        scene.backend.gate.set()
        await turn()
        assert one.version == 2


async def test_a_delete_is_heard_of_as_for_any_channel() -> None:
    async with together(tolerate=0) as scene:
        one, two = scene.follow_all(2)
        await scene.begin()
        del scene.backend.orders["0"]
        scene.channels.refresh("orders", b"/api/orders/0")
        await turn()
        assert (one.status, one.version, two.status) == ("stale", 1, "ok")
        scene.backend.forget()
        await scene.pass_time(20)
        assert scene.backend.batches == [["1"], ["1"]], "it is asked for alone until it is back"
        scene.backend.put("0", version=3)
        await scene.pass_time(60)
        assert (one.status, one.version) == ("ok", 3)
        scene.backend.forget()
        await scene.pass_time(10)
        assert scene.backend.batches == [["0", "1"]]


async def test_a_state_that_was_told_as_stale_is_well_again_by_either() -> None:
    async with together(tolerate=0) as scene:
        (one,) = scene.follow_all(1)
        await scene.begin()
        scene.backend.many = lambda ids: told(503)
        await scene.pass_time(10)
        assert one.status == "stale"
        scene.channels.refresh("orders", b"/api/orders/0")
        await turn()
        assert one.status == "ok"


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_every_mirror_equals_its_resource(seed: int) -> None:
    """Random edits, followers, writes through, and failures of a backend that may be strict, or down, or lie."""
    chance = random.Random(seed)
    async with together(interval="10s", batch={"param": "ids", "max": chance.choice([1, 5, 100])}) as scene:
        scene.backend.etags = chance.random() < 0.7
        scene.backend.put(*map(str, range(30)))
        followed = {one: scene.follow(one) for one in map(str, range(0, 30, 2))}
        for version in range(200):
            happen(scene, followed, chance, version)
            await turn(chance.choice([0, 3, 15]))
            for one, it in tuple(followed.items()):
                if it.refused is not None:
                    del followed[one]
        well(scene)
        scene.backend.put(*map(str, range(30)), version=-1)
        await scene.pass_time(500, step=2.0)
        for it in followed.values():
            assert (it.version, it.status, it.refused) == (-1, "ok", None)
        scene.backend.forget()
        await scene.pass_time(20, step=2.0)
        assert scene.backend.singles == []
        for it in followed.values():
            it.leave()
        await scene.pass_time(2)
        assert (scene.crowds, len(scene.channels)) == (0, 0)


def happen(scene: Together, followed: dict[str, Followed], chance: random.Random, version: int) -> None:
    one = str(chance.randrange(30))
    match chance.randrange(5):
        case 0 | 1 | 2:
            scene.backend.put(one, version=version)
        case 3:
            scene.backend.orders.pop(one, None)
        case 4:
            scene.channels.refresh("orders", f"/api/orders/{one}".encode())
        case 5 if one in followed:
            followed.pop(one).leave()
        case 5:
            followed[one] = scene.follow(one)
        case 6:
            fail(scene, chance)
        case 7:
            scene.clock.advance(chance.choice([0.005, 0.5, 10.0]))


def fail(scene: Together, chance: random.Random) -> None:
    well(scene)
    status = chance.choice([400, 404, 429, 500, 503])
    bad = str(chance.randrange(30))
    failures: list[Answer] = [told(status), told(200, []), told(200, "odd")]
    reply = chance.choice(failures)
    match chance.randrange(3):
        case 0:
            scene.backend.many = lambda ids: reply
        case 1:
            scene.backend.many = lambda ids: reply if bad in ids else None
        case 2:
            scene.backend.one = lambda one: told(503)


def well(scene: Together) -> None:
    scene.backend.many = lambda ids: None
    scene.backend.one = lambda one: None
