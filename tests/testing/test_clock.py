from __future__ import annotations

import asyncio

import pytest

from gateway.plugin import Clock
from gateway.testing.clock import ManualClock


def test_is_a_clock_that_stands_still() -> None:
    clock: Clock = ManualClock(time=100.0)
    assert (clock.time(), clock.monotonic()) == (100.0, 0.0)
    assert (clock.time(), clock.monotonic()) == (100.0, 0.0)


def test_advance_moves_both_times() -> None:
    clock = ManualClock(time=100.0)
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (102.5, 2.5)


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(-1)


def test_random_is_what_the_test_gives() -> None:
    clock = ManualClock(randoms=[0.1, 0.9])
    assert [clock.random() for _ in range(4)] == [0.1, 0.9, 0.5, 0.5]


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = ManualClock(), list[str]()

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 3.0), ("early", 1.0), ("also early", 1.0)):
            group.create_task(sleep(name, seconds))
        await clock.asleep(3)
        clock.advance(2.9)
        assert clock.sleeping == 1
        await asyncio.sleep(0)
        assert woken == ["early", "also early"]
        clock.advance(0.2)
    assert woken == ["early", "also early", "late"]
    assert clock.slept == [3.0, 1.0, 1.0]


async def test_asleep_waits_for_the_next_sleep() -> None:
    clock, ticks = ManualClock(), list[float]()

    async def tick() -> None:
        while len(ticks) < 3:
            ticks.append(clock.monotonic())
            await clock.sleep(5)

    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        for _ in range(3):
            await clock.asleep()
            clock.advance(5)
    assert ticks == [0.0, 5.0, 10.0]


async def test_asleep_waits_for_enough_sleepers() -> None:
    clock = ManualClock()
    async with asyncio.TaskGroup() as group:
        two = group.create_task(clock.asleep(2))
        group.create_task(clock.sleep(1))
        await clock.asleep()
        await asyncio.sleep(0)
        assert not two.done()
        group.create_task(clock.sleep(1))
        await two
        clock.advance(1)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(clock.sleep(1))
        await clock.asleep()
        task.cancel()
        await asyncio.wait([task])
        assert clock.sleeping == 0
        clock.advance(1)


async def test_no_time_at_all_is_a_yield() -> None:
    clock = ManualClock()
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.sleeping == 0
