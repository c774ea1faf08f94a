from __future__ import annotations

import asyncio

import pytest

from gateway.live.supervisor import Supervisor


async def test_a_task_that_dies_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    async def die() -> None:
        raise ZeroDivisionError("alas")

    supervisor = Supervisor()
    task = supervisor.start(die(), "the doomed")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert len(supervisor) == 0
    assert "the doomed ended with an error" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_close_ends_everything(caplog: pytest.LogCaptureFixture) -> None:
    ended = []

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    supervisor = Supervisor()
    for _ in range(3):
        supervisor.start(last(), "patient")
    await asyncio.sleep(0)
    await supervisor.close()
    assert (len(supervisor), ended) == (0, [True] * 3)
    assert not caplog.records


async def test_close_may_wait_for_what_ends_by_itself() -> None:
    ended = []

    async def soon() -> None:
        await asyncio.sleep(0)
        ended.append("by itself")

    supervisor = Supervisor()
    supervisor.start(soon(), "quick")
    await supervisor.close(patience=60.0)
    assert ended == ["by itself"]
