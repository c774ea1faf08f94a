"""Waking whoever waits: asyncio.Event without state, which allocates nothing until somebody waits."""

from __future__ import annotations

import asyncio


class Bell:
    """`ring` wakes all who are in `wait` now. What they waited for, they look up themselves."""

    __slots__ = ("_sleepers",)

    def __init__(self) -> None:
        self._sleepers: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        try:
            await sleeper
        finally:
            self._sleepers.remove(sleeper)

    def ring(self) -> None:
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
