"""Comparing documents where it disturbs nobody: on the loop while it is quick, in a thread once it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from gateway.plugin import Clock

T = TypeVar("T")

# What took longer than this, in seconds, is done in a thread the next time: the loop has others to serve.
_TOO_LONG = 0.005


class Effort:
    """What the comparisons of one channel cost; `heavy` once its documents are too big to be compared on the loop."""

    __slots__ = ("_clock", "heavy")

    def __init__(self, clock: Clock) -> None:
        self.heavy = False
        self._clock = clock

    async def make(self, compare: Callable[[], T]) -> T:
        if self.heavy:
            return await asyncio.to_thread(compare)
        started = self._clock.monotonic()
        made = compare()
        self.heavy = self._clock.monotonic() - started > _TOO_LONG
        return made
