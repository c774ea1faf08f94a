"""When things end, without a timer for each: they wait in the second in which they end, and one sweep looks.

Adding and discarding cost the same whatever the number; a sweep costs what has ended.
"""

from __future__ import annotations

from math import floor
from typing import Generic, TypeVar

T = TypeVar("T")

# Before the end there is word of it: a minute is enough for a few attempts at whoever gives out tokens. What holds for
# minutes alone leaves a tenth of its time, or a new one would be wanted at once; and a round trip takes some seconds.
_MOST, _SHARE, _LEAST = 60.0, 0.1, 5.0

# Beyond this many seconds since the last sweep (a machine that slept) looking at what is there is cheaper.
_FAR = 4096


def word_at(now: float, expires: float) -> float:
    """When to tell whose credentials they are that they end, given when they were shown."""
    return expires - max(_LEAST, min(_MOST, (expires - now) * _SHARE))


class Expiries(Generic[T]):
    """Things by the time of their end, in seconds of one clock; each at most a second late."""

    def __init__(self, now: float) -> None:
        self._seconds: dict[int, set[T]] = {}
        self._next = floor(now)

    def __len__(self) -> int:
        return sum(map(len, self._seconds.values()))

    def add(self, at: float, thing: T) -> None:
        """It ends at `at`; if that is past, within a second."""
        self._seconds.setdefault(max(floor(at), self._next), set()).add(thing)

    def discard(self, at: float, thing: T) -> None:
        """It is gone before its time; nothing happens when it has ended."""
        for second in (floor(at), self._next):
            waiting = self._seconds.get(second)
            if waiting is not None:
                waiting.discard(thing)
                if not waiting:
                    del self._seconds[second]

    def due(self, now: float) -> list[T]:
        """What has ended by now; each is told once."""
        end = floor(now)
        span = range(self._next, end)
        seconds = span if len(span) <= _FAR else sorted(second for second in self._seconds if second < end)
        self._next = max(self._next, end)
        return [thing for second in seconds for thing in self._seconds.pop(second, ())]
