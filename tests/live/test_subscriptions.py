from __future__ import annotations

import json

from gateway.core.codes import TOO_SLOW, Disconnect
from gateway.core.event import Change, Event, ItemChange, Json
from gateway.core.log import Audience, Log
from gateway.core.position import Position
from gateway.core.settings import LogLimits, SlowPolicy
from gateway.core.stats import StreamStats
from gateway.live.subscriptions import Feed, Group, Subscription
from gateway.testing.clock import ManualClock
from gateway.testing.writer import ManualWriter


class Scene:
    """A feed with one group of item readers."""

    def __init__(self, keep: int = 1000, slow: SlowPolicy = "snapshot") -> None:
        self.made = 0
        self.stats = StreamStats()
        self.log = Log(LogLimits(events=keep), Position("e", 0))
        self.clock = ManualClock()
        self.feed = Feed(self.log, slow, self.clock)
        self.group = Group(Audience("items", self.render), b"", self.log.head, self.stats)
        self.gone: list[Disconnect] = []

    def render(self, event: Event) -> bytes:
        self.made += 1
        return json.dumps(event.envelope()).encode() + b"\n"

    def publish(self, count: int = 1) -> None:
        for _ in range(count):
            offset = self.log.head.offset + 1
            change = Change(document=offset, patch=[offset], items=(ItemChange("updated", {"key": 1}),))
            self.log.append(Position("e", offset), change, now=0.0)

    def tell(self, state: str) -> None:
        self.feed.freshness.change(state, {}, now=self.clock.monotonic(), today=self.clock.time())

    def begin(self) -> None:
        self.log.append(Position("e", 1), Change(document=1), now=0.0)

    def join(self, since: Position | None = None, high: int = 10_000) -> tuple[Subscription, ManualWriter]:
        writer = ManualWriter(high=high, low=0)
        subscription = Subscription(self.feed, self.group, writer, self.gone.append)
        writer.on_flow(subscription.full, subscription.drained)
        subscription.start(since)
        return subscription, writer


def heard(writer: ManualWriter) -> list[Json]:
    return [event.get("id") or event["type"] for event in map(json.loads, writer.take().splitlines())]


def test_members_are_written_the_same_bytes_made_once() -> None:
    scene = Scene()
    scene.begin()
    writers = [scene.join()[1] for _ in range(3)]
    for writer in writers:
        assert heard(writer) == ["e.1"]
    scene.publish(2)
    scene.group.flush(scene.log)
    assert [heard(writer) for writer in writers] == [["e.2", "e.3"]] * 3
    assert scene.made == 3
    assert scene.stats.messages == 9


def test_a_newcomer_between_publish_and_flush_misses_nothing_and_gets_nothing_twice() -> None:
    scene = Scene()
    scene.begin()
    _, early = scene.join()
    scene.publish()
    _, late = scene.join()
    scene.publish()
    scene.group.flush(scene.log)
    assert heard(early) == ["e.1", "e.2", "e.3"]
    assert heard(late) == ["e.2", "e.3"]


def test_a_full_client_is_left_behind_and_catches_up_from_the_log() -> None:
    scene = Scene()
    scene.begin()
    _, fast = scene.join()
    _, slow = scene.join(high=150)
    scene.publish()
    scene.group.flush(scene.log)
    scene.publish()
    scene.group.flush(scene.log)
    assert slow.full
    assert scene.stats.behind == 1
    waiting = slow.buffered
    for _ in range(50):
        scene.publish()
        scene.group.flush(scene.log)
    assert slow.buffered == waiting, "a slow client must cost no memory"
    ids: list[Json] = []
    while slow.buffered:
        ids += heard(slow)
    assert ids == heard(fast) == [f"e.{n}" for n in range(1, 54)]
    assert scene.stats.behind == 0


def test_beyond_the_log_the_policy_decides() -> None:
    for policy, expected in (("snapshot", ["e.53"]), ("skip", ["gap", "e.52", "e.53"])):
        scene = Scene(keep=2, slow=policy)  # type: ignore[arg-type]
        scene.begin()
        _, slow = scene.join(high=1)
        for _ in range(52):
            scene.publish()
            scene.group.flush(scene.log)
        assert heard(slow) == ["e.1"]
        ids: list[Json] = []
        while slow.buffered:
            ids += heard(slow)
        assert ids == expected
        assert scene.stats.skipped == 1
        assert not scene.gone


def test_beyond_the_log_a_client_may_be_sent_away() -> None:
    scene = Scene(keep=2, slow="disconnect")
    scene.begin()
    _, slow = scene.join(high=1)
    scene.publish(10)
    heard(slow)
    assert scene.gone == [TOO_SLOW]


def test_whoever_stops_is_written_nothing_more_and_keeps_its_counts() -> None:
    scene = Scene()
    scene.begin()
    subscription, writer = scene.join()
    scene.publish()
    scene.group.flush(scene.log)
    subscription.stop()
    scene.publish()
    scene.group.flush(scene.log)
    size = len(writer.take())
    assert subscription.sent == (2, size)
    subscription.stop()


def test_a_status_told_meanwhile_reaches_those_who_were_behind() -> None:
    scene = Scene()
    scene.begin()
    _, slow = scene.join(high=1)
    scene.publish()
    scene.tell("stale")
    assert heard(slow) == ["e.1"]
    ids: list[Json] = []
    while slow.buffered:
        ids += heard(slow)
    assert ids == ["e.2", "status"]


def test_a_newcomer_hears_bad_news_and_not_old_good_news() -> None:
    scene = Scene()
    scene.begin()
    scene.tell("stale")
    assert heard(scene.join()[1]) == ["e.1", "status"]
    scene.tell("ok")
    assert heard(scene.join()[1]) == ["e.1"]


def said(writer: ManualWriter) -> list[Json]:
    return [event["data"] for event in map(json.loads, writer.take().splitlines()) if event["type"] == "status"]


def test_who_is_given_a_state_that_is_not_new_is_told_its_age() -> None:
    scene = Scene()
    scene.begin()
    scene.feed.freshness.confirm(scene.clock.monotonic())
    scene.clock.advance(0.5)
    assert said(scene.join()[1]) == []
    scene.clock.advance(11.72)
    _, early = scene.join()
    assert said(early) == [{"state": "ok", "age": 12.2}]
    assert said(scene.join(Position("x", 2))[1]) == [{"state": "ok", "age": 12.2}], "with a snapshot in place of more"
    assert said(scene.join(Position("e", 1))[1]) == [], "who continues is given no state"
    scene.clock.advance(10)
    scene.publish()
    scene.group.flush(scene.log)
    assert said(early) == [], "whoever is there hears of changes alone"
    assert scene.made == 2 + 2 + 1, "snapshot and reset once, each age, and what was published"


def test_the_age_of_bad_news_is_that_of_the_moment() -> None:
    scene = Scene()
    scene.begin()
    scene.feed.freshness.confirm(scene.clock.monotonic())
    scene.clock.advance(5)
    scene.tell("stale")
    scene.clock.advance(5)
    assert [data["age"] for data in said(scene.join()[1])] == [10]  # type: ignore[call-overload,index]
    assert [data["age"] for data in said(scene.join(Position("e", 1))[1])] == [10]  # type: ignore[call-overload,index]


def test_an_age_waits_until_a_large_state_has_been_read() -> None:
    scene = Scene()
    scene.begin()
    scene.feed.freshness.confirm(scene.clock.monotonic())
    scene.clock.advance(5)
    scene.publish()
    _, slow = scene.join(high=1)
    assert heard(slow) == ["e.2", "status"]


def test_resuming_counts_as_reset_only_when_it_is_one() -> None:
    scene = Scene()
    scene.begin()
    scene.publish(3)
    assert heard(scene.join(Position("e", 2))[1]) == ["e.3", "e.4"]
    assert scene.stats.resets == 0
    assert heard(scene.join(Position("x", 2))[1]) == ["e.4"]
    assert scene.stats.resets == 1


def test_whoever_leaves_while_it_is_behind_is_not_counted_for_ever() -> None:
    scene = Scene()
    scene.begin()
    subscription, _ = scene.join(high=1)
    assert scene.stats.behind == 1
    subscription.stop()
    subscription.stop()
    assert scene.stats.behind == 0


def test_the_offsets_of_another_epoch_are_not_taken_for_those_of_this_one() -> None:
    for offset in (4, 5):  # as far as they are in the old stream, and right after it
        scene = Scene()
        scene.begin()
        _, fast = scene.join()
        _, slow = scene.join(high=1)
        scene.publish(3)
        scene.group.flush(scene.log)
        change = Change(document="new", patch=["new"], items=(ItemChange("updated", {"key": 1}),))
        scene.log.append(Position("f", offset), change, now=0.0)
        scene.group.flush(scene.log)
        assert heard(fast) == ["e.1", "e.2", "e.3", "e.4", f"f.{offset}"]
        assert json.loads(fast.taken.splitlines()[-1])["reset"]
        ids: list[Json] = []
        while slow.buffered:
            ids += heard(slow)
        assert ids == ["e.1", f"f.{offset}"]


def test_who_came_with_a_position_before_there_was_a_state_is_told_that_it_is_not_continued() -> None:
    scene = Scene()
    _, new = scene.join()
    _, back = scene.join(Position("old", 7))
    gone, left = scene.join(Position("old", 7))
    gone.stop()
    scene.begin()
    scene.publish()
    scene.group.flush(scene.log)
    assert heard(new) == heard(back) == ["e.2"]
    assert "reset" not in json.loads(new.taken)
    assert json.loads(back.taken)["reset"]
    assert left.take() == b""
    scene.publish()
    scene.group.flush(scene.log)
    assert heard(new) == heard(back) == ["e.3"]
