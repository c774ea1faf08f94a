"""The channels that are read together: of one route, from one list, in one name; and which of their batches has whom.

No request ever asks in a name for what was followed under another: each name has a crowd of its own.
Decides, never asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway_plugins.sources.poll_batch import BatchLook
from gateway_plugins.sources.poll_batch_options import Batch
from gateway_plugins.sources.poll_fetcher import Tools
from gateway_plugins.sources.poll_tempo import Pace

if TYPE_CHECKING:
    from gateway.plugin import Further
    from gateway_plugins.sources.poll_joined import JoinedChannel

# The golden section: however many steps of it are gone around a circle, they lie well apart.
_STEP = 0.618034

# Batches that are refused one after the other before it counts as the list's own fault. Who looks for one bad id among
# a thousand halves a batch ten times, but then every other half is answered.
_STRIKES = 8


class Crowd:
    """All of one name; `gone` is called when the last has left."""

    def __init__(self, batch: Batch, pace: Pace, tools: Tools, base: bytes, gone: Callable[[], None]) -> None:
        self.batch = batch
        self.pace = pace
        self.tools = tools
        self.base = base
        self.batches: list[BatchLook] = []
        self._gone = gone
        self._there = 0
        self._phase: float | None = None
        self._strikes = 0
        self._further: Further | None = None

    def __repr__(self) -> str:
        return f"<Crowd of {self._there} in {len(self.batches)} batches>"

    def come(self, channel: JoinedChannel, further: Further) -> None:
        """A channel begins; `further` has batches looked at."""
        self._there += 1
        self._further = further
        self.welcome(channel)

    def go(self, channel: JoinedChannel) -> None:
        """A channel has ended."""
        self.part(channel)
        self._there -= 1
        if not self._there:
            self._gone()

    def welcome(self, channel: JoinedChannel) -> None:
        """Put a channel into the batch that is just gathering, which may be a new one."""
        forming = next((batch for batch in self.batches if batch.forming and batch.fits(1, channel.size)), None)
        (forming or self._begin(channel.target.phase, None)).add(channel)

    def part(self, channel: JoinedChannel) -> None:
        """Take a channel out of its batch, which ends with its last."""
        batch = channel.batch
        if batch is not None:
            batch.remove(channel)
            if not batch.channels:
                self._end(batch)

    def absorb(self, batch: BatchLook) -> None:
        """Let a batch take over others that it has room for."""
        for other in tuple(self.batches):
            if other is not batch and other.settled and batch.settled and batch.fits(len(other.channels), other.size):
                self._move(list(other.channels), batch)
                self._end(other)

    def answered(self) -> None:
        """A batch brought a state."""
        self._strikes = 0

    def divide(self, batch: BatchLook, after: float | None) -> bool:
        """Let a new batch have half of one that is not answered, to find out whose fault it is: looked at first after
        so many seconds, or at once. False when there is nothing to find out."""
        self._strikes += 1
        channels = list(batch.channels)
        if not batch.proven or len(channels) == 1 or self._strikes > _STRIKES:
            return False
        half = self._begin(batch.phase, after)
        half.divided(batch)
        self._move(channels[len(channels) // 2 :], half)
        return True

    def _begin(self, phase: float, after: float | None) -> BatchLook:
        self._phase = phase if self._phase is None else (self._phase + _STEP) % 1 or 1.0
        batch = BatchLook(self, self._phase)
        self.batches.append(batch)
        assert self._further is not None, "come comes first"
        batch.look_of = self._further(batch, after)
        return batch

    def _move(self, channels: list[JoinedChannel], batch: BatchLook) -> None:
        for channel in channels:
            if channel.batch is not None:
                channel.batch.remove(channel)
            batch.add(channel)

    def _end(self, batch: BatchLook) -> None:
        self.batches.remove(batch)
        if batch.look_of is not None:
            batch.look_of.stop()
