"""Comparing documents where it disturbs nobody: on the loop while it is quick, in a thread while it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from gateway.plugin import Clock

T = TypeVar("T")

# What took longer than this, in seconds, is done in a thread the next time: the loop has others to serve.
_TOO_LONG = 0.005

# So many in a row, each with time to spare, and it comes back: documents shrink, and machines are busy for a while.
# Not sooner, because a large document with a small change may be quick as well.
_QUICK, _ENOUGH = 0.001, 10


class Effort:
    """What the comparisons of one channel cost; `heavy` while its documents are too big to be compared on the loop."""

    __slots__ = ("_clock", "_quick", "heavy")

    def __init__(self, clock: Clock) -> None:
        self.heavy = False
        self._clock = clock
        self._quick = 0

    async def make(self, compare: Callable[[], T]) -> T:
        made, took = await asyncio.to_thread(self._timed, compare) if self.heavy else self._timed(compare)
        self._quick = self._quick + 1 if took < _QUICK else 0
        self.heavy = took > _TOO_LONG or (self.heavy and self._quick < _ENOUGH)
        return made

    def _timed(self, compare: Callable[[], T]) -> tuple[T, float]:
        started = self._clock.monotonic()
        made = compare()
        return made, self._clock.monotonic() - started
