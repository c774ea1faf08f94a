"""Where the changes of one channel leave for the broker: at once, or with `conflate` not more often than it says.

While something waits there is one timer, and none otherwise. A status that comes meanwhile waits too: it is newer.
Who compares documents or publishes has the `turn`, as what a change begins with depends on what was sent before it.
"""

from __future__ import annotations

import asyncio
from functools import partial

from gateway.core.conflate import Conflation
from gateway.core.event import Change, Json
from gateway.live.channel import Channel
from gateway.live.effort import Effort
from gateway.live.supervisor import Supervisor
from gateway.plugin import Broker, Clock, Status


class Outlet:
    """One channel's; without a `supervisor` for its timer nothing waits."""

    __slots__ = ("_broker", "_channel", "_clock", "_conflation", "_effort", "_status", "_supervisor", "_timer", "turn")

    def __init__(
        self, channel: Channel, broker: Broker, clock: Clock, effort: Effort, supervisor: Supervisor | None = None
    ) -> None:
        every = channel.settings.conflate
        self.turn = asyncio.Lock()
        self._channel = channel
        self._broker = broker
        self._clock = clock
        self._effort = effort
        self._supervisor = supervisor
        self._conflation = None if every is None or supervisor is None else Conflation(channel.settings, every)
        self._timer: asyncio.Task[None] | None = None
        self._status: Status | None = None

    @property
    def document(self) -> Json:
        """The state that the next change begins with."""
        state = self._channel.log.document
        return state if self._conflation is None else self._conflation.latest(state)

    async def send(self, change: Change) -> None:
        """Publish it now or later; the caller has the turn."""
        conflation, log = self._conflation, self._channel.log
        if conflation is None or self._supervisor is None or not log.has_state:
            await self._broker.publish(self._channel.name, change)
            return
        conflation.hold(log.document, change)
        if self._clock.monotonic() >= conflation.due:
            await self._release(conflation)
        elif self._timer is None:
            self._timer = self._supervisor.start(self._later(conflation), f"conflation of route {self._channel.route}")

    def tell(self, status: Status) -> None:
        """Tell subscribers, after what waits."""
        if self._timer is None:
            self._channel.tell(status)
        else:
            self._status = status

    def close(self) -> None:
        """Drop what waits: the channel has ended."""
        if self._timer is not None:
            self._timer.cancel()

    async def _later(self, conflation: Conflation) -> None:
        try:
            while conflation.holds:
                due = conflation.due
                await self._clock.sleep(due - self._clock.monotonic())
                async with self.turn:
                    if conflation.holds and conflation.due == due:
                        await self._release(conflation)
        finally:
            self._timer = None
            status, self._status = self._status, None
        if status is not None:
            self._channel.tell(status)

    async def _release(self, conflation: Conflation) -> None:
        release = partial(conflation.release, self._channel.log.document, self._clock.monotonic())
        change, spared = await self._effort.make(release)
        self._channel.stats.conflated += spared
        if change is not None:
            await self._broker.publish(self._channel.name, change)
