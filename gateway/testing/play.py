"""Tests that run on a loop of their own, whatever plug-ins pytest has, and leave no task behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

C = TypeVar("C")

# A test that hangs is one that fails.
PATIENCE = 60.0


def play(scene: Coroutine[object, object, None]) -> None:
    """Run it to its end; raises AssertionError when it leaves tasks behind."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await scene
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks were left behind: {left}"

    asyncio.run(run())


def alone(test: Callable[[C], Awaitable[None]]) -> Callable[[C], None]:
    """An async test method as a plain one."""

    def run(self: C) -> None:
        async def scene() -> None:
            await test(self)

        play(scene())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
