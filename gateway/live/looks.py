"""Runs the looks of all watched channels: one heap and one timer for all, a task only while a look is under way.

What goes wrong in a look is told to its channel's subscribers, who keep their data; a crash is a bug that is logged,
and the channel is looked at again after growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import NamedTuple

from gateway.core.pace import backoff
from gateway.core.schedule import Entry, Lane, Schedule
from gateway.core.settings import Polls
from gateway.core.stats import RouteStats
from gateway.live.publisher import FIRST_PAUSE, LONGEST_PAUSE, ChannelPublisher
from gateway.live.supervisor import Supervisor
from gateway.plugin import Again, Clock, JoiningWatch, Refused, Status, Unshared, Watch, WishedWatch

_log = logging.getLogger("tidegate.live")

# The timer waits at least so long, in seconds, so that a thousand looks a second share a hundred wake-ups.
_TICK = 0.01


class Looking(Entry):
    """A watch, of one channel or of several. `unhurried_at` is when it was last looked at in its own time."""

    __slots__ = ("crashes", "name", "of", "route", "stats", "task", "unhurried_at", "watch")

    def __init__(self, lane: Lane, watch: Watch, route: str, stats: RouteStats, of: _One | None = None) -> None:
        super().__init__(lane)
        self.watch = watch
        self.route = route
        self.stats = stats
        self.of = of
        self.name = f"look at route {route}"
        self.crashes = 0
        self.task: asyncio.Task[None] | None = None
        self.unhurried_at = -inf

    @property
    def idle(self) -> bool:
        return self.of is not None and self.of.publisher.channel.idle

    def hurried(self, now: float) -> bool:
        """Whether a look that begins now comes sooner than it would if nobody had asked for one."""
        if now < self.unhurried_at + self.pause:
            return True
        self.unhurried_at = now
        return False


class _One(NamedTuple):
    """The channel of a watch; `ended` is called when the backend refuses it, and must `stop` the looks."""

    publisher: ChannelPublisher
    ended: Callable[[], None]


class _Look:
    """A watch's way into the schedule: a `gateway.plugin.Look`."""

    __slots__ = ("_looking", "_looks")

    def __init__(self, looks: Looks, looking: Looking) -> None:
        self._looks = looks
        self._looking = looking

    def ask(self) -> None:
        self._looks.refresh(self._looking)

    def hasten(self, pause: float) -> None:
        self._looks.hasten(self._looking, pause)

    def stop(self) -> None:
        self._looks.stop(self._looking)


class Looks:
    """The looks of this node."""

    def __init__(self, clock: Clock, supervisor: Supervisor) -> None:
        self._clock = clock
        self._supervisor = supervisor
        self._schedule: Schedule[Looking] = Schedule()
        self._lanes: dict[str, Lane] = {}
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = 0.0

    def __repr__(self) -> str:
        return f"<Looks {self._schedule!r}>"

    def lane(self, upstream: str, polls: Polls) -> Lane:
        """What the looks at one upstream share."""
        lane = self._lanes.get(upstream)
        if lane is None:
            lane = self._lanes[upstream] = Lane(polls.concurrency, polls.rate)
        return lane

    def renew(self, upstreams: Iterable[str]) -> None:
        """Looks that begin from now on share these upstreams as they are now."""
        for name in upstreams:
            self._lanes.pop(name, None)

    def start(self, lane: Lane, watch: Watch, publisher: ChannelPublisher, ended: Callable[[], None]) -> Looking:
        """Look at a channel, at once and from then on, in turn with the others of its lane."""
        route, stats = publisher.channel.route, publisher.stats
        looking = Looking(lane, watch, route, stats, _One(publisher, ended))
        if isinstance(watch, JoiningWatch):
            self._schedule.add(looking, inf)
            watch.join(_Look(self, looking), partial(self._further, lane, route, stats))
        else:
            self._schedule.add(looking)
            self._tick()
        return looking

    def _further(self, lane: Lane, route: str, stats: RouteStats, watch: Watch, after: float | None) -> _Look:
        looking = Looking(lane, watch, route, stats)
        self._schedule.add(looking, None if after is None else self._clock.monotonic() + after)
        self._tick()
        return _Look(self, looking)

    def refresh(self, looking: Looking) -> None:
        """Look at it now, or shortly after the last time that was asked for; if a look is under way, after it."""
        self._schedule.refresh(looking, self._clock.monotonic())
        self._tick()

    def overtake(self, looking: Looking) -> None:
        """Somebody has come to its channel: a look that is ready waits behind nobody's."""
        self._schedule.overtake(looking, self._clock.monotonic())
        self._tick()

    def wish(self, looking: Looking) -> None:
        """Look at it sooner, where a subscriber wishes for that or hints stay away, and the watch heeds it."""
        if isinstance(looking.watch, JoiningWatch):
            looking.watch.hasten()
        elif isinstance(looking.watch, WishedWatch):
            self.hasten(looking, looking.watch.interval)

    def hasten(self, looking: Looking, pause: float) -> None:
        """Have the next look so long after the last at most."""
        self._schedule.hasten(looking, pause)
        self._tick()

    def stop(self, looking: Looking) -> None:
        """Look at it no more; one under way is cancelled, but for the one that says so."""
        self._schedule.remove(looking)
        if looking.task is not None and looking.task is not asyncio.current_task():
            looking.task.cancel()
        if looking.of is not None and isinstance(looking.watch, JoiningWatch):
            looking.watch.leave()
        self._tick()

    def _tick(self) -> None:
        """Start what may start, and be back when there is more."""
        for looking in self._schedule.take(self._clock.monotonic()):
            looking.task = self._supervisor.start(self._look(looking), looking.name)
        due = self._schedule.wake()
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._supervisor.start(self._wait(due), "timer of looks")

    async def _wait(self, due: float) -> None:
        await self._clock.sleep(max(due - self._clock.monotonic(), _TICK))
        self._timer = None
        self._tick()

    async def _look(self, looking: Looking) -> None:
        try:
            again = await self._once(looking)
            looking.crashes = 0
        except (Refused, Unshared) as error:
            if looking.of is not None:
                looking.task = None  # it is this one, and ends by itself
                _end(looking.of, error)
                return
            again = Again(self._crashed(looking), failed=True)
        except asyncio.CancelledError:
            if looking.state == "gone" or _is_cancelled():
                raise
            again = Again(self._crashed(looking), failed=True)
        except Exception:
            again = Again(self._crashed(looking), failed=True)
        looking.task = None
        if not again.asked:
            pauses = looking.stats.backoff_seconds if again.failed else looking.stats.pause_seconds
            pauses.observe(again.pause)
        self._schedule.finished(
            looking,
            self._clock.monotonic(),
            again.pause,
            hold=again.hold,
            least=again.least,
            asked=again.asked,
        )
        self._tick()

    async def _once(self, looking: Looking) -> Again:
        if looking.of is None:
            return await looking.watch.look()
        publisher = looking.of.publisher
        publisher.announced.begin()
        publisher.hurried = looking.hurried(self._clock.monotonic())
        try:
            return await looking.watch.look()
        finally:
            publisher.hurried = False

    def _crashed(self, looking: Looking) -> float:
        """Called while the exception is handled; the pause until the next look."""
        _log.exception("the source of route %s failed; it is started again", looking.route)
        if looking.of is not None:
            publisher = looking.of.publisher
            publisher.status(
                Status(state="stale" if publisher.has_state else "error", code="internal", reason="internal error")
            )
        pause = backoff(looking.crashes, FIRST_PAUSE, LONGEST_PAUSE, self._clock.random())
        looking.crashes += 1
        return pause


def _end(channel: _One, error: Refused | Unshared) -> None:
    if isinstance(error, Refused):
        channel.publisher.channel.refuse(error)
    else:
        channel.publisher.unshare(error)
    channel.ended()


def _is_cancelled() -> bool:
    """Whether somebody wants this task to end; if not, its CancelledError is from something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
