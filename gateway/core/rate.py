"""How much of something may come in a second: a token bucket, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` in the long run, `burst` at once. Spending is a subtraction; below 0 is too much."""

    per_second: float
    burst: float

    def refilled(self, left: float, seconds: float) -> float:
        """What may be spent when, so many seconds ago, it was `left`."""
        return min(self.burst, left + self.per_second * seconds)
