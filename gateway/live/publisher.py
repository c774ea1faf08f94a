"""A source's way into one channel, and the loop that keeps the source running.

What a source publishes becomes a change, what goes wrong becomes a status. A source that crashes is started
again after growing pauses; its subscribers keep their data meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from gateway.core.change import change_between
from gateway.core.event import Json
from gateway.core.pace import backoff
from gateway.core.select import select
from gateway.core.stats import RouteStats
from gateway.live.channel import Channel
from gateway.plugin import Broker, Clock, PollResult, Refused, Source, Status, Target

_log = logging.getLogger("tidegate.live")

# Pauses after a crash of a source: not so short that a broken plugin fills the log, and it heals by itself.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class ChannelPublisher:
    """The `Publisher` of one channel."""

    channel: Channel
    broker: Broker
    stats: RouteStats

    @property
    def has_state(self) -> bool:
        return self.channel.log.has_state

    async def state(self, document: Json) -> bool:
        log, items = self.channel.log, self.channel.settings.items
        if items is not None:
            document = select(document, items)
        change = change_between(log.document, document, items, first=not log.has_state)
        if change is None:
            return False
        await self.broker.publish(self.channel.name, change)
        return True

    def status(self, status: Status) -> None:
        self.channel.tell(status)

    def polled(self, result: PollResult, seconds: float) -> None:
        self.stats.polls[result] += 1
        self.stats.poll_seconds.observe(seconds)


async def follow(source: Source, target: Target, publish: ChannelPublisher, clock: Clock) -> None:
    """Run `source` for one channel until it is cancelled or the backend refuses the resource."""
    crashes = 0
    while True:
        try:
            await source.follow(target, publish)
            _log.error("a source ended by itself; it is started again")
        except Refused as refused:
            publish.channel.refuse(refused)
            return
        except Exception:
            _log.exception("a source failed; it is started again")
        publish.status(Status(state="stale" if publish.has_state else "error", reason="internal error"))
        await clock.sleep(backoff(crashes, _FIRST_PAUSE, _LONGEST_PAUSE, clock.random()))
        crashes += 1
