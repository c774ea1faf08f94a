from __future__ import annotations

import pytest

from gateway.core.settings import Limits, LogLimits, MessageSettings
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.messages import Messages
from gateway.plugin import Context
from gateway.testing.clock import ManualClock
from gateway_plugins.brokers.memory import MemoryBroker, MemoryOptions


class Place:
    """A table of a few channels, and its clock."""

    def __init__(self, *settings: MessageSettings, size: int = 1000, channels: int = 2) -> None:
        self.clock = ManualClock()
        self.stats = Stats()
        limits = Limits(message_channels=channels, message_bytes=size)
        broker = MemoryBroker(MemoryOptions(), Context(clock=self.clock))
        self.messages = Messages(settings, limits, broker, self.stats, self.clock)


async def test_a_message_has_the_next_position() -> None:
    place = Place()
    first, second = [await place.messages.publish("chat.a", number) for number in (1, 2)]
    assert (first.epoch, first.offset, second.offset) == (second.epoch, 1, 2)
    channel = place.messages.get("chat.a")
    assert (channel.log.head, channel.ready.is_set()) == (second, True)
    assert (place.stats.routes["*"].channels, place.stats.routes["*"].events["message"]) == (1, 2)


async def test_the_first_pattern_that_fits_says_what_is_kept() -> None:
    place = Place(
        MessageSettings(pattern="chat.a", log=LogLimits(events=1), slow="skip"), MessageSettings(pattern="chat.*")
    )
    for number in range(3):
        await place.messages.publish("chat.a", number)
    assert place.messages.get("chat.a").log.tail == 2
    assert place.messages.get("chat.a").settings.slow == "skip"
    assert place.messages.get("chat.b").settings.slow == "disconnect"
    assert set(place.stats.routes) == {"chat.a", "chat.*"}


async def test_a_channel_is_kept_as_long_as_its_messages() -> None:
    place = Place(MessageSettings(pattern="*", log=LogLimits(age=60)))
    channel = place.messages.get("a")
    place.clock.advance(100)
    place.messages.sweep()
    place.messages.release(channel)
    place.clock.advance(59)
    place.messages.sweep()
    assert len(place.messages) == 1
    place.clock.advance(1)
    place.messages.sweep()
    assert (len(place.messages), place.stats.routes["*"].channels) == (0, 0)
    assert place.messages.get("a") is not channel


async def test_too_many_channels_push_out_what_nobody_follows() -> None:
    place = Place()
    kept = place.messages.get("a")
    await place.messages.publish("b", 1)
    await place.messages.publish("c", 1)
    assert place.messages.get("a") is kept
    place.messages.get("c")
    with pytest.raises(ClientError, match="as many channels") as refused:
        await place.messages.publish("d", 1)
    assert (refused.value.status, refused.value.code) == (429, "too_many_channels")


async def test_too_many_bytes_push_out_what_nobody_follows() -> None:
    place = Place()
    place.messages.get("a")
    for _ in range(2):
        await place.messages.publish("b", "x" * 600)
        await place.messages.publish("a", 1)
    assert "channels=1" in repr(place.messages)
    await place.messages.publish("a", "x" * 1100)
    with pytest.raises(ClientError, match="as many messages") as refused:
        await place.messages.publish("a", 1)
    assert (refused.value.status, refused.value.code) == (429, "too_many_messages")


async def test_who_floods_one_pattern_pushes_out_nobody_elses() -> None:
    place = Place(MessageSettings(pattern="orders.*"), MessageSettings(pattern="chat.*"), channels=4)
    kept = await place.messages.publish("orders.1", "first")
    for number in range(20):
        await place.messages.publish(f"chat.{number}", "x")
        assert len(place.messages) <= 4
    assert await place.messages.publish("orders.1", "second") == (kept.epoch, 2), "it was not begun anew"
    await place.messages.publish("orders.2", "x")
    assert (await place.messages.publish("chat.19", "y")).offset == 2, "the largest pattern gave its oldest"


async def test_the_channel_that_is_published_to_stays() -> None:
    place = Place()
    first = await place.messages.publish("a", "x" * 1100)
    with pytest.raises(ClientError, match="as many messages"):
        await place.messages.publish("a", 1)
    assert place.messages.get("a").log.head == first
