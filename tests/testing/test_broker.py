"""A contract is worth what it refuses: brokers that are nearly right."""

from __future__ import annotations

import asyncio

import pytest

from gateway.plugin import Broker, Change, Context, Deliver, Options, Plugin, Position
from gateway.testing.broker import BrokerContract


class Nearly:
    """One stream a channel, with one fault."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._deliver: dict[str, Deliver] = {}
        self._offset = 0

    def attach(self, channel: str, deliver: Deliver) -> Position:
        self._deliver[channel] = deliver
        return Position("e", self._offset)

    def detach(self, channel: str) -> None:
        if self._fault != "never detached":
            self._deliver.pop(channel, None)

    async def publish(self, channel: str, change: Change) -> Position:
        self._offset += 1 if self._fault == "no span" else change.span
        position = Position("e", self._offset)
        if self._fault == "unordered" and change.document == 3:
            await asyncio.sleep(0)
        for name, deliver in self._deliver.items():
            if self._fault == "everywhere" or name == channel:
                deliver(position, change)
        return position


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("no span", "test_a_change_takes_as_many_offsets_as_it_has_events"),
        ("unordered", "test_changes_published_at_once_keep_one_order"),
        ("everywhere", "test_channels_do_not_meet"),
    ],
)
def test_a_fault_is_found(fault: str, test: str) -> None:
    def make(options: Options, context: Context) -> Broker:
        return Nearly(fault)

    class Contract(BrokerContract):
        name = "nearly"

        def plugin(self) -> Plugin[Options, Broker]:
            return Plugin(Options, make)

    Contract().test_a_change_is_delivered_before_publish_returns()
    with pytest.raises(AssertionError):
        getattr(Contract(), test)()
