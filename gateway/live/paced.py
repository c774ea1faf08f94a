"""Subscribers who want to hear of changes at most once an interval.

They are written to together, from the log, so that nothing is lost or made twice. There is no timer: a change that
comes when it is time goes out at once, and what came too early goes with the upkeep of the channel, each second.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.log import Log
from gateway.core.position import Position
from gateway.live.subscriptions import Group, Subscription
from gateway.plugin import Clock


class PacedGroup(Group):
    """A group that is flushed when it is `due`. Who comes meanwhile, and so is ahead of it, waits for that as well.

    Its audience is that of the group that it is `like`, so no bytes are made again. `came` is called when it has a
    member after it had none.
    """

    __slots__ = ("__weakref__", "_came", "_clock", "due", "interval")

    def __init__(
        self,
        like: Group,
        head: Position,
        interval: float,
        clock: Clock,
        came: Callable[[], None],
    ) -> None:
        super().__init__(like.audience, like.heartbeat, head, like.stats)
        self.interval = interval
        self.due = 0.0
        self._clock = clock
        self._came = came

    def add(self, member: Subscription) -> None:
        super().add(member)
        if len(self.members) == 1:
            self._came()

    def early(self, epoch: str, offset: int) -> bool:
        return epoch == self.epoch and offset >= self.offset

    def puts_off(self, log: Log, epoch: str, offset: int) -> bool:
        return self.behind(log) and self.early(epoch, offset) and self._clock.monotonic() < self.due

    def flush(self, log: Log) -> None:
        """Send everyone what came since the last flush, due or not, and begin a new interval."""
        if self.behind(log) and (self.members or self.ahead):
            self.due = self._clock.monotonic() + self.interval
        super().flush(log)
        while self.ahead:
            self.ahead.popitem()[0].resume()

    def flush_if_due(self, log: Log) -> None:
        if self._clock.monotonic() >= self.due:
            self.flush(log)

    def beat(self) -> None:
        """Show everyone that the line is alive."""
        if self.heartbeat and self.members:
            self.write(self.heartbeat, 0)
        for member in self.ahead if self.heartbeat else ():
            member.beat(self.heartbeat)
