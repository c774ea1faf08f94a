"""A source's way into one channel, and the loop that keeps the source running.

What a source publishes becomes a change, what goes wrong becomes a status. A source that crashes is started
again after growing pauses; its subscribers keep their data meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from gateway.core.change import change_between
from gateway.core.event import Change, Json
from gateway.core.keyed import identify, irregular
from gateway.core.pace import backoff
from gateway.core.select import select
from gateway.core.stats import RouteStats
from gateway.live.channel import Channel
from gateway.plugin import Broker, Clock, PollResult, Refused, Source, Status, Target

_log = logging.getLogger("tidegate.live")

# Pauses after a crash of a source: not so short that a broken plugin fills the log, and it heals by itself.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


# A comparison that took longer than this is made in a thread the next time: the loop has others to serve.
_TOO_LONG = 0.005


@dataclass(slots=True)
class ChannelPublisher:
    """The `Publisher` of one channel; `heavy` once its documents are too big to be compared on the loop."""

    channel: Channel
    broker: Broker
    stats: RouteStats
    clock: Clock
    heavy: bool = False

    @property
    def has_state(self) -> bool:
        return self.channel.log.has_state

    async def state(self, document: Json) -> bool:
        if self.heavy:
            change = await asyncio.to_thread(self._compare, document)
        else:
            started = self.clock.monotonic()
            change = self._compare(document)
            self.heavy = self.clock.monotonic() - started > _TOO_LONG
        if change is None:
            return False
        if not self.has_state:
            self._check_keys(change.document)
        await self.broker.publish(self.channel.name, change)
        return True

    def _compare(self, document: Json) -> Change | None:
        log, items = self.channel.log, self.channel.settings.items
        if items is not None:
            document = select(document, items)
        return change_between(log.document, document, items, first=not log.has_state)

    def _check_keys(self, document: Json) -> None:
        """Tell the operator when `items.key` does not tell the items apart; they are watched all the same."""
        items = self.channel.settings.items
        if items is None or not isinstance(document, list):
            return
        count = irregular(identify(document, items.key))
        if count:
            _log.warning(
                "route %s: %d of %d items have no key of their own (items.key: %s); their changes go out as snapshots",
                self.channel.route,
                count,
                len(document),
                ", ".join(items.key),
            )

    def status(self, status: Status) -> None:
        self.channel.tell(status)

    def polled(self, result: PollResult, seconds: float) -> None:
        self.stats.polls[result] += 1
        self.stats.poll_seconds.observe(seconds)


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
        publish.status(Status(state="stale" if publish.has_state else "error", reason="internal error"))
        clock = publish.clock
        await clock.sleep(backoff(crashes, _FIRST_PAUSE, _LONGEST_PAUSE, clock.random()))
        crashes += 1
