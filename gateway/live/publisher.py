"""A source's way into one channel, and the loop that keeps the source running.

What a source publishes becomes a change, what goes wrong becomes a status. A source that crashes is started
again after growing pauses; its subscribers keep their data meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.core.announced import Announced
from gateway.core.change import Step, change_between, first_state
from gateway.core.codes import RESTART
from gateway.core.deletes import NONE, Absences, Scope
from gateway.core.event import Json
from gateway.core.pace import backoff
from gateway.core.select import select
from gateway.core.stats import RouteStats
from gateway.live.channel import Channel
from gateway.live.effort import Effort
from gateway.live.outlet import Outlet
from gateway.live.supervisor import Supervisor
from gateway.plugin import Broker, Clock, Incident, PollResult, Refused, Source, Status, Target, Unshared

_log = logging.getLogger("tidegate.live")

# Pauses after a crash of a source: not so short that a broken plugin fills the log, and it heals by itself.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


@dataclass(slots=True)
class ChannelPublisher:
    """The `Publisher` of one channel. With a `supervisor` its changes are conflated where the route says so.

    While deletions wait to be confirmed, `again` takes the same answer once more. That needs time to pass: an answer
    that is `hurried`, by a write say, is believed in what it holds, and not in what it lacks once more. `announced` is
    what others have told of changes.
    """

    channel: Channel
    broker: Broker
    stats: RouteStats
    clock: Clock
    supervisor: Supervisor | None = None
    absences: Absences = NONE
    doubt: str = ""
    again: Callable[[], Step] | None = None
    hurried: bool = False
    announced: Announced = field(default_factory=Announced)
    effort: Effort = field(init=False)
    outlet: Outlet = field(init=False)

    def __post_init__(self) -> None:
        self.effort = Effort(self.clock)
        self.outlet = Outlet(self.channel, self.broker, self.clock, self.effort, self.supervisor)

    @property
    def has_state(self) -> bool:
        return self.channel.log.has_state

    @property
    def tombstones(self) -> bool:
        items = self.channel.settings.items
        return items is not None and items.deleted is not None

    @property
    def unsettled(self) -> bool:
        return self.absences.open

    def items(self, document: Json) -> list[Json]:
        items = self.channel.settings.items
        listed = document if items is None else select(document, items)
        if not isinstance(listed, list):
            raise ValueError("there is no list where `items` says")
        return listed

    async def state(self, document: Json, *, more: Sequence[Json] = (), complete: bool = True) -> bool:
        return await self._take(partial(self._compare, document, more, "whole" if complete else "part"))

    async def known(self, document: Json) -> bool:
        if not self.items(document):
            return False
        async with self.outlet.turn:
            step = await self.effort.make(partial(self._compare, document, (), "part"))
        return step.change is None

    async def changes(self, document: Json, *, more: Sequence[Json] = ()) -> bool:
        if not self.has_state or self.channel.settings.items is None:
            raise ValueError("it tells of changes, and there are no `items` that could have changed")
        return await self._take(partial(self._compare, document, more, "changes"))

    async def confirm(self) -> bool:
        return self.again is not None and await self._take(self.again)

    async def _take(self, compare: Callable[[], Step]) -> bool:
        async with self.outlet.turn:
            step = await self.effort.make(compare)
            self.absences = step.absences
            self.again = compare if step.absences.open else None
            self._report(step)
            if step.change is None:
                return False
            if self.channel.freshness.confirmed_at is not None and not step.doubt:
                self.channel.freshness.confirm(self.clock.monotonic())  # who comes before `polled` gets the new state
            await self.outlet.send(step.change)
            return True

    def _compare(self, document: Json, more: Sequence[Json], scope: Scope) -> Step:
        log, live = self.channel.log, self.channel.settings
        if live.items is not None:
            document = select(document, live.items)
            for page in more:
                document = _joined(document, select(page, live.items))
        elif more:
            raise ValueError("it comes in pages, and the route has no `items`")
        if not log.has_state:
            return first_state(document, live)
        if self.hurried and self.absences.open and scope == "whole":
            scope = "part"
        return change_between(self.outlet.document, document, live, self.absences, scope=scope)

    def _report(self, step: Step) -> None:
        """Tell subscribers of an answer that is not believed, and the operator when `items.key` does not tell apart."""
        if step.doubt or self.doubt:
            self.stats.doubted += bool(step.doubt)
            # an answer that holds but a part neither repeats what was doubted nor refutes it
            self.doubt = step.doubt or (self.doubt if step.absences.suspect else "")
            self.status(Status(state="ok"))
        if step.irregular:
            if not self.stats.irregular:
                _log.warning(
                    "route %s: %d items have no key of their own (items.key: %s); their changes go out as snapshots",
                    self.channel.route,
                    step.irregular,
                    ", ".join(self.channel.settings.items.key if self.channel.settings.items else ()),
                )
            self.stats.irregular += step.irregular

    def status(self, status: Status) -> None:
        if self.doubt and status.state == "ok":
            status = Status(state="suspect", reason=self.doubt)
        self.outlet.tell(status)

    def polled(self, result: PollResult, seconds: float | None) -> None:
        if seconds is not None:
            self.stats.polls[result] += 1
            self.stats.poll_seconds.observe(seconds)
        failed = result in ("error", "refused")
        if not failed and self.channel.settings.hinted:
            self.stats.reconciled += self.announced.found(changed=result == "changed", open=self.unsettled)
        freshness = self.channel.freshness
        if failed:
            freshness.failed = True
        elif not self.doubt:
            freshness.confirm(self.clock.monotonic())

    def batched(self, count: int) -> None:
        self.stats.batches.observe(count)

    def unshare(self, unshared: Unshared) -> None:
        """The subscribers must not share this channel: they are sent away to come back, each to its own."""
        self.met("unshared")
        _log.warning("route %s: %s", self.channel.route, unshared.remedy)
        self.channel.end(RESTART)

    def met(self, incident: Incident, why: str = "") -> None:
        if why and not self.stats.incidents[incident]:
            _log.warning("route %s: %s: %s", self.channel.route, incident, why)
        self.stats.incidents[incident] += 1


def _joined(one: Json, two: Json) -> Json:
    if not isinstance(one, list) or not isinstance(two, list):
        raise ValueError("one of its pages has no list where `items` says")
    return [*one, *two]


async def follow(source: Source, target: Target, publish: ChannelPublisher) -> None:
    """Run `source` for one channel until it is cancelled or the backend refuses the resource."""
    crashes = 0
    while True:
        try:
            await source.follow(target, publish)
            _log.error("the source of route %s ended by itself; it is started again", publish.channel.route)
        except Refused as refused:
            publish.channel.refuse(refused)
            return
        except Exception:
            _log.exception("the source of route %s failed; it is started again", publish.channel.route)
        publish.status(
            Status(state="stale" if publish.has_state else "error", code="internal", reason="internal error")
        )
        clock = publish.clock
        await clock.sleep(backoff(crashes, FIRST_PAUSE, LONGEST_PAUSE, clock.random()))
        crashes += 1
