"""A clock that stands still until the test moves it, and chance that is no chance.

    source has polled ─► sleeps ─► await clock.asleep() ─► clock.advance(5) ─► it wakes

`asleep` waits for what the code under test does, `advance` decides what time it is: nothing in a test depends
on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from itertools import count


class ManualClock:
    """A `gateway.plugin.Clock`.

    `random` gives the numbers of `randoms` in turn, then 0.5 for ever; `slept` lists every pause asked for.
    """

    def __init__(self, *, time: float = 1_700_000_000.0, randoms: Iterable[float] = ()) -> None:
        self.slept: list[float] = []
        self._start = time
        self._now = 0.0
        self._randoms = iter(randoms)
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def __repr__(self) -> str:
        return f"<ManualClock at {self._now:g} s, {self.sleeping} asleep>"

    def time(self) -> float:
        return self._start + self._now

    def monotonic(self) -> float:
        return self._now

    def random(self) -> float:
        return next(self._randoms, 0.5)

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the time by `seconds`; nothing or less only yields to the loop."""
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), sleeper))
        self._notify()
        await sleeper

    @property
    def sleeping(self) -> int:
        """How many wait for the time to pass."""
        return sum(not sleeper.done() for _, _, sleeper in self._sleepers)

    async def asleep(self, sleepers: int = 1) -> None:
        """Wait until at least so many sleep. Give the test a timeout: this waits as long as it takes."""
        if self.sleeping < sleepers:
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.append((sleepers, watcher))
            await watcher

    def advance(self, seconds: float) -> None:
        """Move the time on and wake everyone whose time has come, the earliest first.

        They run when the test next awaits; who then sleeps again sleeps from the new time on.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, sleeper = heapq.heappop(self._sleepers)
            if not sleeper.done():
                sleeper.set_result(None)

    def _notify(self) -> None:
        waiting, self._watchers = self._watchers, []
        for sleepers, watcher in waiting:
            if watcher.done():
                continue
            if self.sleeping >= sleepers:
                watcher.set_result(None)
            else:
                self._watchers.append((sleepers, watcher))
