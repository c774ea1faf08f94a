from __future__ import annotations

import asyncio

import pytest

from gateway.wire.bell import Bell
from tests.wire.wired import begun, settle


async def test_all_who_wait_are_woken() -> None:
    bell = Bell()
    waiting = [begun(bell.wait()) for _ in range(3)]
    await settle()
    assert not any(task.done() for task in waiting)
    bell.ring()
    bell.ring()
    await asyncio.gather(*waiting)


async def test_nobody_is_woken_by_the_past() -> None:
    bell = Bell()
    bell.ring()
    waiting = begun(bell.wait())
    await settle()
    assert not waiting.done()
    bell.ring()
    await waiting


async def test_one_who_gives_up_does_not_disturb_the_others() -> None:
    bell = Bell()
    patient, other = begun(bell.wait()), begun(bell.wait())
    await settle()
    other.cancel()
    bell.ring()
    await patient
    with pytest.raises(asyncio.CancelledError):
        await other
