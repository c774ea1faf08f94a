"""The broker contract, on every installed broker."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.plugin import Broker, Change, Position
from gateway.plugin.broker import Deliver
from tests.plugin.installed import make, names


@pytest.fixture(params=names("brokers"))
def broker(request: pytest.FixtureRequest) -> Broker:
    return cast("Broker", make("brokers", request.param))


def into(delivered: list[tuple[Position, Change]]) -> Deliver:
    return lambda position, change: delivered.append((position, change))


async def test_a_change_is_delivered_before_publish_returns(broker: Broker) -> None:
    delivered: list[tuple[Position, Change]] = []
    start = broker.attach("a", into(delivered))
    change = Change(document=1)
    position = await broker.publish("a", change)
    assert delivered == [(position, change)]
    assert position == Position(start.epoch, start.offset + 1)
    broker.detach("a")


async def test_channels_do_not_meet(broker: Broker) -> None:
    one: list[tuple[Position, Change]] = []
    two: list[tuple[Position, Change]] = []
    broker.attach("a", into(one))
    broker.attach("b", into(two))
    await broker.publish("a", Change(document=1))
    assert (len(one), len(two)) == (1, 0)
    broker.detach("a")
    broker.detach("b")


async def test_nothing_is_delivered_after_detach_and_a_lost_stream_has_a_new_epoch(broker: Broker) -> None:
    delivered: list[tuple[Position, Change]] = []
    first = broker.attach("a", into(delivered))
    await broker.publish("a", Change(document=1))
    broker.detach("a")
    again: list[tuple[Position, Change]] = []
    second = broker.attach("a", into(again))
    assert second.epoch != first.epoch or second.offset == first.offset + 1
    await broker.publish("a", Change(document=2))
    assert (len(delivered), len(again)) == (1, 1)
    broker.detach("a")
