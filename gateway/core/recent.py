"""What was found out lately, for a while: a table with a bound, which forgets the longest unused first.

Knows no clock: `now` and `until` are of whatever clock the caller keeps.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `size` values, each until its time is over."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:  # what is kept may be personal
        return f"<Recent {len(self._kept)} of {self._size}>"

    def get(self, key: K, now: float) -> V | None:
        """The value, if its time is not over."""
        found = self._kept.get(key)
        if found is None:
            return None
        value, until = found
        if now >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: K, value: V, until: float) -> None:
        """Keep a value, in place of an earlier one."""
        self._kept[key] = (value, until)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
