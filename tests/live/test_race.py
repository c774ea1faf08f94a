from __future__ import annotations

import asyncio

import pytest

from gateway.live.race import race
from gateway.testing.source import turn


async def test_the_first_ends_it_and_the_others_have_ended_when_it_returns() -> None:
    ended: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cancelled")

    await race(endless(), asyncio.sleep(0), endless())
    assert ended == ["cancelled"] * 2
    assert len(asyncio.all_tasks()) == 1


async def test_what_the_first_raises_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await race(fail(), asyncio.Event().wait())


async def test_whoever_is_cancelled_leaves_nothing_behind() -> None:
    running = asyncio.get_running_loop().create_task(race(asyncio.Event().wait(), asyncio.Event().wait()))
    await turn()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(asyncio.all_tasks()) == 1
