"""What every broker must do, as tests: subclass `BrokerContract` in a test file, and pytest runs them."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.core.event import Change, ItemChange
from gateway.core.position import Position
from gateway.plugin import Broker, Options, Plugin
from gateway.plugin.broker import Deliver
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock
from gateway.testing.play import alone
from gateway.testing.stage import context

Delivered = list[tuple[Position, Change]]


def into(delivered: Delivered) -> Deliver:
    """A node that keeps what it is delivered."""
    return lambda position, change: delivered.append((position, change))


class BrokerContract:
    """Say what the broker is called."""

    name: str
    """as in the entry point"""

    def plugin(self) -> Plugin[Options, Broker]:
        """The installed plugin."""
        return cast("Plugin[Options, Broker]", find("brokers")[self.name].load())

    def make(self) -> Broker:
        """A broker for one test; override it for one that needs options."""
        plugin = self.plugin()
        return plugin.make(plugin.options(), context(ManualClock()))

    @alone
    async def test_a_change_is_delivered_before_publish_returns(self) -> None:
        broker, delivered = self.make(), cast("Delivered", [])
        start = broker.attach("a", into(delivered))
        change = Change(document=1)
        position = await broker.publish("a", change)
        assert delivered == [(position, change)]
        assert position == Position(start.epoch, start.offset + 1)
        broker.detach("a")

    @alone
    async def test_a_change_takes_as_many_offsets_as_it_has_events(self) -> None:
        broker, delivered = self.make(), cast("Delivered", [])
        start = broker.attach("a", into(delivered))
        for events in (1, 3, 0, 2):
            items = tuple(ItemChange("updated", {"key": number}) for number in range(events))
            await broker.publish("a", Change(document=events, patch=[], items=items))
        assert [position.offset - start.offset for position, _ in delivered] == [1, 4, 5, 7]
        broker.detach("a")

    @alone
    async def test_changes_published_at_once_keep_one_order(self) -> None:
        broker, delivered = self.make(), cast("Delivered", [])
        start = broker.attach("a", into(delivered))
        given = await asyncio.gather(*(broker.publish("a", Change(document=number)) for number in range(20)))
        assert [position for position, _ in delivered] == [
            Position(start.epoch, start.offset + n) for n in range(1, 21)
        ]
        assert {position: change.document for position, change in delivered} == dict(zip(given, range(20), strict=True))
        broker.detach("a")

    @alone
    async def test_channels_do_not_meet(self) -> None:
        broker, one, two = self.make(), cast("Delivered", []), cast("Delivered", [])
        broker.attach("a", into(one))
        broker.attach("b", into(two))
        await broker.publish("a", Change(document=1))
        assert (len(one), len(two)) == (1, 0)
        broker.detach("a")
        broker.detach("b")

    @alone
    async def test_after_detach_nothing_is_delivered_and_a_lost_stream_has_a_new_epoch(self) -> None:
        broker, delivered, again = self.make(), cast("Delivered", []), cast("Delivered", [])
        first = broker.attach("a", into(delivered))
        await broker.publish("a", Change(document=1))
        broker.detach("a")
        second = broker.attach("a", into(again))
        assert second.epoch != first.epoch or second.offset == first.offset + 1
        await broker.publish("a", Change(document=2))
        assert (len(delivered), len(again)) == (1, 1)
        broker.detach("a")
