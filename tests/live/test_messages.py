from __future__ import annotations

import pytest

from gateway.core.codes import RESTART, Disconnect
from gateway.core.http import IDENTITY
from gateway.core.identity import Identity
from gateway.core.settings import Limits, LogLimits, MessageSettings
from gateway.core.shares import Owner
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.messages import Messages, owner_of
from gateway.plugin import Context, Encoding
from gateway.testing.clock import ManualClock
from gateway.testing.writer import ManualWriter
from gateway_plugins.brokers.memory import MemoryBroker, MemoryOptions

ADA, BOB, EVE = Owner("ada"), Owner("bob"), Owner("eve")


class Place:
    """A table of a few channels, and its clock."""

    def __init__(self, *settings: MessageSettings, size: int = 1000, channels: int = 2) -> None:
        self.clock = ManualClock()
        self.stats = Stats()
        limits = Limits(message_channels=channels, message_bytes=size, channels_per_client=3, channels_per_ip=4)
        broker = MemoryBroker(MemoryOptions(), Context(clock=self.clock))
        self.messages = Messages(settings, limits, broker, self.stats, self.clock)


async def test_a_message_has_the_next_position() -> None:
    place = Place()
    first, second = [await place.messages.publish("chat.a", number) for number in (1, 2)]
    assert (first.epoch, first.offset, second.offset) == (second.epoch, 1, 2)
    channel = place.messages.get("chat.a", ADA)
    assert (channel.log.head, channel.ready.is_set()) == (second, True)
    assert (place.stats.routes["*"].channels, place.stats.routes["*"].events["message"]) == (1, 2)


async def test_the_first_pattern_that_fits_says_what_is_kept() -> None:
    place = Place(
        MessageSettings(pattern="chat.a", log=LogLimits(events=1), slow="skip"), MessageSettings(pattern="chat.*")
    )
    for number in range(3):
        await place.messages.publish("chat.a", number)
    assert place.messages.get("chat.a", ADA).log.tail == 2
    assert place.messages.get("chat.a", ADA).settings.slow == "skip"
    assert place.messages.get("chat.b", ADA).settings.slow == "disconnect"
    assert set(place.stats.routes) == {"chat.a", "chat.*"}


async def test_a_channel_is_kept_as_long_as_its_messages() -> None:
    place = Place(MessageSettings(pattern="*", log=LogLimits(age=60)))
    channel = place.messages.get("a", ADA)
    place.clock.advance(100)
    place.messages.sweep()
    place.messages.release(channel)
    place.clock.advance(59)
    place.messages.sweep()
    assert len(place.messages) == 1
    place.clock.advance(1)
    place.messages.sweep()
    assert (len(place.messages), place.stats.routes["*"].channels) == (0, 0)
    assert place.messages.get("a", ADA) is not channel


async def test_too_many_channels_push_out_what_nobody_follows() -> None:
    place = Place()
    kept = place.messages.get("a", ADA)
    await place.messages.publish("b", 1)
    await place.messages.publish("c", 1)
    assert place.messages.get("a", ADA) is kept
    place.messages.get("c", ADA)
    with pytest.raises(ClientError, match="as many channels") as refused:
        await place.messages.publish("d", 1)
    assert (refused.value.status, refused.value.code) == (429, "too_many_channels")


async def test_too_many_bytes_push_out_what_nobody_follows() -> None:
    place = Place()
    place.messages.get("a", ADA)
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
    assert place.messages.get("a", ADA).log.head == first


def names(place: Place) -> set[str]:
    return set(place.messages._channels)


async def test_who_invents_names_pushes_out_its_own_and_nothing_that_the_gateway_published() -> None:
    place = Place(size=100_000, channels=10)
    await place.messages.publish("orders.1", "by a webhook")
    await place.messages.publish("chat.ada", "hello", ADA)
    place.messages.release(place.messages.get("chat.bob", BOB))
    for number in range(50):
        await place.messages.publish(f"chat.{number}", "x", EVE)
        place.messages.release(place.messages.get(f"chat.name.{number}", EVE))
        assert len(place.messages) <= 10
    assert {"orders.1", "chat.ada", "chat.bob", "chat.49", "chat.name.49"} <= names(place)


async def test_what_fills_the_memory_goes_before_what_does_not() -> None:
    place = Place(size=2000, channels=100)
    await place.messages.publish("orders.1", "by a webhook")
    await place.messages.publish("chat.ada", "hello", ADA)
    for number in range(20):
        await place.messages.publish(f"chat.{number}", "x" * 500, EVE)
    assert {"orders.1", "chat.ada", "chat.19"} <= names(place)
    assert len(place.messages) < 8


async def test_the_gateway_leaves_some_room_to_clients() -> None:
    place = Place(size=100_000, channels=10)
    for number in range(50):
        await place.messages.publish(f"orders.{number}", "x")
    assert len(place.messages) == 9
    place.messages.release(place.messages.get("chat.ada", ADA))
    await place.messages.publish("orders.50", "x")
    await place.messages.publish("chat.bob", "x", BOB)
    assert {"chat.bob", "orders.50"} <= names(place)
    assert "chat.ada" not in names(place), "of another client, and empty"


async def test_what_a_client_named_is_the_gateways_once_it_publishes_there() -> None:
    place = Place(size=100_000, channels=3)
    place.messages.release(place.messages.get("orders.1", ADA))
    await place.messages.publish("orders.1", "by a webhook")
    for number in range(10):
        await place.messages.publish(f"chat.{number}", "x", ADA)
        await place.messages.publish(f"talk.{number}", "x", BOB)
    assert "orders.1" in names(place)


async def test_a_client_holds_no_more_channels_than_it_may() -> None:
    place = Place(size=100_000, channels=100)
    held = [place.messages.get(f"chat.{number}", ADA) for number in range(3)]
    with pytest.raises(ClientError, match="already follow 3 channels") as refused:
        place.messages.get("chat.3", ADA)
    assert (refused.value.status, refused.value.code) == (429, "too_many_channels")
    await place.messages.publish("chat.4", "x", ADA)
    with pytest.raises(ClientError, match="already follow"):
        place.messages.get("chat.4", ADA)
    others = place.messages.get("chat.0", BOB)
    assert place.messages.get("chat.4", BOB) is place.messages.get("chat.4", ADA), "another was there first"
    place.messages.release(held[1])
    place.messages.get("chat.3", ADA)
    place.messages.release(held[0])
    place.messages.release(others)
    place.messages.get("chat.5", ADA)
    crowd = Owner("192.0.2.1", crowd=True)
    for number in range(4):
        place.messages.get(f"talk.{number}", crowd)
    with pytest.raises(ClientError, match="already follow 4"):
        place.messages.get("talk.4", crowd)


async def test_a_channel_that_found_no_room_for_its_first_message_can_make_room() -> None:
    place = Place(size=100, channels=2)
    await place.messages.publish("a", "x" * 200, ADA)
    place.messages.get("a", ADA)
    with pytest.raises(ClientError, match="as many messages"):
        await place.messages.publish("b", 1, ADA)
    place.messages.get("c", ADA)
    assert names(place) == {"a", "c"}


async def test_signs_of_life_go_to_streams_that_have_them_and_not_to_others() -> None:
    place = Place(MessageSettings(pattern="*", heartbeat=10))
    channel, beat, quiet = place.messages.get("a", ADA), ManualWriter(), ManualWriter()
    for writer, heartbeat in ((beat, b"*"), (quiet, b"")):
        encoding = Encoding(encode=lambda event: b"event", kind="body", heartbeat=heartbeat)
        channel.subscribe(encoding, "items", "lines", writer, lambda disconnect: None).start(None)
    for seconds, said in ((9, b""), (1, b"*"), (9, b""), (1, b"*")):
        place.clock.advance(seconds)
        place.messages.sweep()
        assert (beat.take(), quiet.take()) == (said, b"")


async def test_all_who_follow_are_sent_away() -> None:
    place, told = Place(), list[Disconnect]()
    for name in ("a", "b"):
        place.messages.get(name, ADA).ends.add(told.append)
    place.messages.end(RESTART)
    assert told == [RESTART, RESTART]


def test_whose_account_it_is() -> None:
    assert owner_of({"client": ("192.0.2.1", 1)}) == Owner("192.0.2.1", crowd=True)
    assert owner_of({"client": ("192.0.2.1", 1), IDENTITY: Identity(subject="ada")}) == ADA


async def test_other_settings_end_the_channels_that_were_made_with_these() -> None:
    kept, other = MessageSettings(pattern="chat.*"), MessageSettings(pattern="news.*")
    place = Place(kept, other, channels=3)
    chat, news = place.messages.get("chat.a", ADA), place.messages.get("news.a", ADA)
    await place.messages.publish("news.b", 1)
    assert place.messages.renew((other, kept)) == [], "their order makes no difference where it makes none"
    changed = MessageSettings(pattern="news.*", slow="skip")
    retired = place.messages.renew((kept, changed))
    assert [channel.name for channel in retired] == ["news.a", "news.b"]
    assert place.messages.get("chat.a", ADA) is chat
    again = place.messages.get("news.a", ADA)
    assert (again is not news, again.settings.slow) == (True, "skip")
    place.messages.release(news)
    assert place.messages._held[ADA] == 2, "who left is not who holds the new one"
    for channel in (chat, chat, again):
        place.messages.release(channel)
    assert (place.stats.routes["news.*"].channels, place.stats.routes["chat.*"].channels) == (1, 1)
    assert repr(place.messages) == "<Messages channels=2 bytes=0>"
    assert not place.messages._held


async def test_a_pattern_that_comes_first_takes_the_channels_that_fit_it() -> None:
    place = Place(MessageSettings(pattern="chat.*"))
    await place.messages.publish("chat.a", 1)
    await place.messages.publish("chat.b", 1)
    retired = place.messages.renew((MessageSettings(pattern="chat.a"), MessageSettings(pattern="chat.*")))
    assert [channel.name for channel in retired] == ["chat.a"]
