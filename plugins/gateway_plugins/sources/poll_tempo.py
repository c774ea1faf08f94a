"""How often one channel is polled: by what changes, by how long it takes, and by what others ask for.

Pure: answers, durations and random numbers come in, pauses come out, all in seconds. Two loops move the interval of
an operator who gives a range. Activity: a change halves it, three polls in a row without one make it half as long
again. Pressure: a backend that takes more than half of the interval to answer is asked less often, until it has time.
Subscribers may wish for a shorter interval, within the range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from gateway.plugin import backoff, jittered, rest
from gateway_plugins.sources.poll_hints import Hints

# Activity: quick to follow changes, slow to lose interest, as something that changed is likely to change again.
_FASTER, _SLOWER, _PATIENCE = 0.5, 1.5, 3

# Pressure, by the part of the interval that a poll takes: relax below a half, stretch up to the whole, double beyond
# (the figures of Centrifugo's documentation on its refresh of slow backends).
_RELAX, _STRETCH, _DOUBLE = 0.75, 1.25, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds, but for `jitter` (a fraction), `tolerate` (failures that are not spoken of) and `adapt`.

    `max_wait` is the longest wait for the reset of a budget, `max_backoff` the longest other pause.
    """

    base: float
    shortest: float
    longest: float
    adapt: bool
    jitter: float
    tolerate: int
    max_backoff: float
    max_wait: float = 3600.0


class Tempo:
    """The interval in force, and the failures in a row."""

    __slots__ = (
        "_activity", "_fallback", "_first", "_pace", "_phase", "_pressure", "_quiet", "_told", "_wished", "failures",
    )  # fmt: skip

    def __init__(
        self,
        pace: Pace,
        phase: float,
        wished: Callable[[], float] = lambda: inf,
        fallback: Callable[[], float] = lambda: inf,
    ) -> None:
        self.failures = 0
        self._pace = pace
        self._phase = phase
        self._wished = wished
        self._fallback = fallback
        self._told = 0.0
        self._activity = pace.base
        self._pressure = 1.0
        self._quiet = 0
        self._first = True

    def __repr__(self) -> str:
        return f"<Tempo every {self.interval:g} s, {self.failures} failures>"

    @property
    def interval(self) -> float:
        """What a subscriber wishes for makes it shorter, within the operator's range; a slow backend longer.

        While hints stay away it is the operator's own choice for that.
        """
        activity = min(self._activity, max(self._wished(), self._pace.shortest), self._fallback())
        return min(activity * self._pressure, max(self._pace.longest, self._pace.base))

    @property
    def soonest(self) -> float:
        """The pause that a wish may bring about: what the backend told goes first, and its rest after failures."""
        return inf if self.failures or self._first else max(self.interval, self._told)

    def obeyed(self, wanted: float | None, *, budget: bool) -> float:
        """As much as the backend may ask for: of a budget that is used up more than of a pause."""
        return min(wanted or 0.0, self._pace.max_wait if budget else self._pace.max_backoff)

    @property
    def failing(self) -> bool:
        """Whether there have been more failures in a row than are tolerated."""
        return self.failures > self._pace.tolerate

    def tolerated(self, pause: float) -> bool:
        """Whether the failures so far need not be spoken of, with such a pause before anything else is known."""
        return not self.failing and pause <= (self._pace.tolerate + 1) * self.interval

    def succeeded(self, *, changed: bool, took: float, hints: Hints, random: float) -> float:
        """The pause after a good answer."""
        pace = self._pace
        self.failures = 0
        if pace.adapt:
            self._adapt(changed=changed and not self._first, took=took)
        self._told = 0.0
        if hints.fresh_for is not None and pace.longest > pace.shortest:
            self._told = min(hints.fresh_for, pace.longest)
        if hints.slowest is not None:
            self._told = max(self._told, min(hints.slowest, pace.max_backoff))
        interval = max(self.interval, self._told)
        pause = rest(jittered(interval, pace.jitter, random), took)
        if self._first:
            # channels that began together, after a restart say, are spread over the interval
            self._first = False
            pause = max(pause * self._phase, interval / 10)
        # neither spread nor jitter brings a poll before the reset
        reset = self.obeyed(hints.exhausted, budget=True)
        self._told = max(self._told, reset)
        return max(pause, reset)

    def failed(self, *, took: float, retry_after: float | None, random: float, budget: bool = False) -> float:
        """The pause after a failure: tolerated ones keep the pace, and what the backend asks for goes first.

        With `budget` it is a rate limit that is used up. No pause is shorter than the interval, even where that is
        longer than the longest backoff.
        """
        self.failures += 1
        pace, interval = self._pace, self.interval
        if retry_after is not None:
            # a little later than asked for, so that not everyone who was told so comes back at once
            later = retry_after * (1 + pace.jitter * random)
            return max(interval, self.obeyed(later, budget=budget))
        attempt = self.failures - pace.tolerate - 1
        if attempt < 0:
            return rest(jittered(interval, pace.jitter, random), took)
        return backoff(attempt, interval, pace.max_backoff, random)

    def _adapt(self, *, changed: bool, took: float) -> None:
        pace, load = self._pace, took / self.interval
        if changed:
            self._activity, self._quiet = max(self._activity * _FASTER, pace.shortest), 0
        else:
            self._quiet += 1
            if self._quiet >= _PATIENCE:
                self._activity, self._quiet = min(self._activity * _SLOWER, pace.longest), 0
        factor = _DOUBLE if load > 1 else _STRETCH if load > 0.5 else _RELAX
        self._pressure = min(max(self._pressure * factor, 1.0), pace.longest / pace.shortest)
