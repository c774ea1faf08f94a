from __future__ import annotations

import json

import pytest

from gateway.core.event import Change, Event, Json
from gateway.core.position import Position
from gateway.core.settings import LiveSettings, PluginUse
from gateway.core.stats import RouteStats
from gateway.live.channel import Channel
from gateway.plugin import Encoding, Refused, Status
from gateway.testing.clock import ManualClock
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter


def encode(event: Event) -> bytes:
    return json.dumps(event.envelope()).encode() + b"\n"


LINES = Encoding(encode=encode, kind="body")


def channel() -> Channel:
    settings = LiveSettings(source=PluginUse(name="x", options=None))
    made = Channel("name", "route", settings, RouteStats(), ManualClock())
    made.begin(Position("e", 0))
    return made


def join(to: Channel) -> ManualWriter:
    writer = ManualWriter(high=100_000)
    to.subscribe(LINES, "patch", "lines", writer, lambda disconnect: None).start(None)
    return writer


def publish(to: Channel, document: Json) -> None:
    offset = to.log.head.offset + 1
    patch: list[Json] | None = [document] if to.log.has_state else None
    to.deliver(Position("e", offset), Change(document=document, patch=patch))


async def test_many_events_of_one_turn_share_one_write() -> None:
    made, writes = channel(), []
    publish(made, 0)
    writer = join(made)
    writer.take()

    def count(data: bytes) -> None:
        writes.append(data)
        ManualWriter.write(writer, data)

    writer.write = count  # type: ignore[method-assign]
    for number in range(32):
        publish(made, number)
    assert writes == []
    await turn()
    assert len(writes) == 1
    assert len(writer.take().splitlines()) == 32


async def test_many_who_came_with_a_position_are_answered_by_the_first_state() -> None:
    made = channel()
    made.tell(Status(state="error", reason="down"))
    writers = [ManualWriter(high=100_000) for _ in range(1000)]
    for writer in writers:
        to = made.subscribe(LINES, "patch", "lines", writer, lambda disconnect: None)
        to.start(Position("lost", 3))
        writer.take()
    publish(made, 0)
    await turn()
    assert all(json.loads(writer.take())["reset"] for writer in writers)


async def test_a_status_goes_out_after_the_events_before_it() -> None:
    made = channel()
    publish(made, 0)
    writer = join(made)
    publish(made, 1)
    made.tell(Status(state="stale", code="upstream_status", reason="slow", upstream_status=503, retry_in=2.5))
    made.tell(Status(state="stale", reason="still"))
    await turn()
    events = [json.loads(line) for line in writer.take().splitlines()]
    assert [event["type"] for event in events] == ["snapshot", "patch", "status"]
    assert events[2]["data"] == {
        "state": "stale",
        "since": "2023-11-14T22:13:20+00:00",
        "code": "upstream_status",
        "reason": "slow",
        "upstream_status": 503,
        "retry_at": "2023-11-14T22:13:22.500+00:00",
    }


async def test_who_becomes_too_slow_just_before_a_status_is_told_of_it_later() -> None:
    made = channel()
    publish(made, 0)
    writer = ManualWriter(high=100)
    subscription = made.subscribe(LINES, "patch", "lines", writer, lambda disconnect: None)
    writer.on_flow(subscription.full, subscription.drained)
    subscription.start(None)
    writer.take()
    publish(made, "x" * 100)
    made.tell(Status(state="stale"))
    types = []
    while data := writer.take():
        types += [json.loads(line)["type"] for line in data.splitlines()]
    assert types == ["patch", "status"]


async def test_good_news_is_no_news_until_there_was_bad() -> None:
    made = channel()
    publish(made, 0)
    writer = join(made)
    made.tell(Status(state="ok"))
    assert len(writer.take().splitlines()) == 1


async def test_it_is_ready_with_a_state_a_status_or_a_refusal() -> None:
    with_state, with_status, refused = channel(), channel(), channel()
    publish(with_state, 1)
    with_status.tell(Status(state="error"))
    refused.refuse(Refused(404))
    assert with_state.ready.is_set()
    assert with_status.ready.is_set()
    assert refused.ready.is_set()
    assert refused.refused is not None
    assert repr(with_state) == f"<Channel users=0 {with_state.log!r}>"
    await turn()


async def test_failing_channels_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    one, two = channel(), channel()
    two.stats = one.stats
    for made in (one, two):
        made.tell(Status(state="error", reason="down"))
        made.tell(Status(state="stale", reason="still down"))
    assert one.stats.failing == 2
    assert caplog.messages == ["route route: the source fails: down; subscribers keep their data"]
    one.tell(Status(state="ok"))
    assert len(caplog.messages) == 1
    two.stats.channels += 1
    two.forget()
    assert (one.stats.failing, one.stats.channels) == (0, 0)
    one.tell(Status(state="error", reason="down"))
    one.tell(Status(state="ok"))
    assert caplog.messages[-1] == "route route: the source is well again"
