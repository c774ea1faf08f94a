from __future__ import annotations

import pytest

from gateway.core.event import ItemChange
from gateway.plugin import Change, Context, Position
from gateway.testing.clock import ManualClock
from gateway_plugins.brokers.memory import MemoryBroker, MemoryOptions, plugin


def broker() -> MemoryBroker:
    made = plugin.make(MemoryOptions(), Context(clock=ManualClock()))
    assert isinstance(made, MemoryBroker)
    return made


class Log:
    """What a channel was delivered."""

    def __init__(self) -> None:
        self.entries: list[tuple[Position, Change]] = []

    def __call__(self, position: Position, change: Change) -> None:
        self.entries.append((position, change))


def change(number: int, items: int = 0) -> Change:
    return Change(document=number, items=(ItemChange("deleted", {"key": number}),) * items)


async def test_positions_grow_by_the_span_and_delivery_is_on_the_spot() -> None:
    memory, log = broker(), Log()
    start = memory.attach("a", log)
    assert start.offset == 0
    changes = [change(1), change(2, items=3), change(3)]
    for number, this in enumerate(changes, 1):
        position = await memory.publish("a", this)
        assert len(log.entries) == number
        assert log.entries[-1] == (position, this)
    assert [position.offset for position, _ in log.entries] == [1, 4, 5]
    assert {position.epoch for position, _ in log.entries} == {start.epoch}


async def test_channels_have_nothing_to_do_with_each_other() -> None:
    memory, one, two = broker(), Log(), Log()
    first, second = memory.attach("one", one), memory.attach("two", two)
    assert first.epoch != second.epoch
    await memory.publish("one", change(1))
    assert len(one.entries) == 1
    assert two.entries == []


async def test_a_channel_that_comes_again_has_a_new_epoch() -> None:
    memory, log = broker(), Log()
    before = memory.attach("a", log)
    await memory.publish("a", change(1))
    memory.detach("a")
    after = memory.attach("a", log)
    assert after.offset == 0
    assert after.epoch != before.epoch


async def test_after_detach_nothing_is_delivered() -> None:
    memory, log = broker(), Log()
    start = memory.attach("a", log)
    memory.detach("a")
    memory.detach("a")
    position = await memory.publish("a", change(1, items=2))
    assert log.entries == []
    assert position.offset == 2
    assert position.epoch != start.epoch
    assert repr(memory) == "<MemoryBroker channels=0>"


def test_a_channel_is_attached_once() -> None:
    memory = broker()
    memory.attach("a", Log())
    with pytest.raises(ValueError, match="attached already"):
        memory.attach("a", Log())


async def test_a_change_that_delivery_fails_on_is_not_numbered_twice() -> None:
    memory, positions = broker(), list[Position]()

    def deliver(position: Position, change: Change) -> None:
        positions.append(position)
        raise RuntimeError("a bug")

    memory.attach("a", deliver)
    for number in range(2):
        with pytest.raises(RuntimeError):
            await memory.publish("a", change(number))
    assert [position.offset for position in positions] == [1, 2]
