from __future__ import annotations

import gc
import json

from gateway.core.codes import Disconnect
from gateway.core.event import Change, Event, ItemChange, Json
from gateway.core.position import Position
from gateway.core.settings import LiveSettings, LogLimits, Mode, PluginUse, SlowPolicy
from gateway.core.stats import RouteStats
from gateway.live.channel import Channel
from gateway.live.subscriptions import Subscription
from gateway.plugin import Encoding, Status
from gateway.testing.clock import ManualClock
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter


class Scene:
    """A channel with a state, and what it costs to make bytes for it."""

    def __init__(self, keep: int = 1000, slow: SlowPolicy = "snapshot") -> None:
        self.clock = ManualClock()
        settings = LiveSettings(source=PluginUse(name="x", options=None), log=LogLimits(events=keep), slow=slow)
        self.channel = Channel("name", "route", settings, RouteStats(), self.clock)
        self.channel.begin(Position("e", 0))
        self.lines = Encoding(encode=self._encode, kind="body", heartbeat=b":\n")
        self.made = 0
        self.gone: list[Disconnect] = []
        self.channel.deliver(Position("e", 1), Change(document=1))

    def _encode(self, event: Event) -> bytes:
        self.made += 1
        return json.dumps(event.envelope()).encode() + b"\n"

    def join(
        self, interval: float, mode: Mode = "items", since: Position | None = None, high: int = 10_000
    ) -> tuple[Subscription, ManualWriter]:
        writer = ManualWriter(high=high, low=0)
        subscription = self.channel.subscribe(self.lines, mode, "lines", writer, self.gone.append, interval)
        writer.on_flow(subscription.full, subscription.drained)
        subscription.start(since)
        return subscription, writer

    async def publish(self) -> None:
        offset = self.channel.log.head.offset + 1
        change = Change(document=offset, patch=[offset], items=(ItemChange("updated", {"key": 1}),))
        self.channel.deliver(Position("e", offset), change)
        await turn()

    def second(self, seconds: float = 1.0, *, heartbeat: bool = False) -> None:
        self.clock.advance(seconds)
        self.channel.sweep(heartbeat=heartbeat)


def heard(writer: ManualWriter) -> list[Json]:
    lines = [line for line in writer.take().splitlines() if line.startswith(b"{")]
    return [event.get("id") or event["type"] for event in map(json.loads, lines)]


async def test_changes_come_together_once_an_interval_and_the_others_at_once() -> None:
    scene = Scene()
    _, slow = scene.join(10)
    _, quick = scene.join(0)
    assert heard(slow) == heard(quick) == ["e.1"]
    await scene.publish()
    assert heard(slow) == ["e.2"], "after a quiet time nothing waits"
    for _ in range(2):
        await scene.publish()
        scene.second(4.5)
    assert heard(quick) == ["e.2", "e.3", "e.4"]
    assert heard(slow) == []
    scene.second()
    assert heard(slow) == ["e.3", "e.4"]
    scene.second(30)
    await scene.publish()
    assert heard(slow) == ["e.5"]


async def test_of_states_only_the_latest_comes() -> None:
    scene = Scene()
    clients = [scene.join(5, mode)[1] for mode in ("snapshot", "notify")]
    await scene.publish()
    assert [heard(client) for client in clients] == [["e.1", "e.2"]] * 2
    for _ in range(3):
        await scene.publish()
    scene.second(5)
    assert [heard(client) for client in clients] == [["e.5"]] * 2


async def test_bytes_are_made_once_whatever_the_interval() -> None:
    scene = Scene()
    clients = [scene.join(interval)[1] for interval in (0, 2, 3, 3)]
    scene.made = 0
    await scene.publish()
    scene.second(60)
    assert all(heard(client) == ["e.1", "e.2"] for client in clients)
    assert scene.made == 1


async def test_who_comes_does_not_hurry_the_others_and_joins_them_in_time() -> None:
    scene = Scene()
    _, first = scene.join(10)
    await scene.publish()
    await scene.publish()
    later, second = scene.join(10)
    _, third = scene.join(10, since=Position("e", 2))
    assert (heard(first), heard(second), heard(third)) == (["e.1", "e.2"], ["e.3"], ["e.3"])
    await scene.publish()
    assert (heard(second), heard(third)) == ([], [])
    scene.second(10)
    assert (heard(first), heard(second), heard(third)) == (["e.3", "e.4"], ["e.4"], ["e.4"])
    assert later.position == scene.channel.log.head
    scene.second(10)
    await scene.publish()
    assert (heard(first), heard(second), heard(third)) == (["e.5"],) * 3
    assert later.sent[0] == 3


async def test_a_thousand_who_wait_for_their_group_are_let_in() -> None:
    scene = Scene()
    scene.join(10)
    await scene.publish()
    await scene.publish()
    clients = [scene.join(10)[1] for _ in range(1000)]
    await scene.publish()
    scene.second(10)
    assert all(heard(client) == ["e.3", "e.4"] for client in clients)


async def test_who_leaves_while_it_waits_hears_nothing_more() -> None:
    scene = Scene()
    scene.join(10)
    await scene.publish()
    await scene.publish()
    later, writer = scene.join(10)
    later.stop()
    heard(writer)
    await scene.publish()
    scene.second(10)
    assert heard(writer) == []


async def test_a_line_shows_that_it_is_alive_also_while_its_client_waits() -> None:
    scene = Scene()
    _, member = scene.join(60)
    await scene.publish()
    await scene.publish()
    _, newcomer = scene.join(60)
    _ = member.take(), newcomer.take()
    scene.second(heartbeat=True)
    assert (member.take(), newcomer.take()) == (b":\n", b":\n")


async def test_a_status_comes_at_once_and_after_what_was_before_it() -> None:
    scene = Scene()
    _, member = scene.join(60)
    await scene.publish()
    await scene.publish()
    _, newcomer = scene.join(60)
    await scene.publish()
    scene.channel.tell(Status(state="stale", reason="slow"))
    assert heard(member) == ["e.1", "e.2", "e.3", "e.4", "status"]
    assert heard(newcomer) == ["e.3", "e.4", "status"]


async def test_who_is_kept_back_is_not_too_slow() -> None:
    scene = Scene(keep=3, slow="disconnect")
    _, member = scene.join(60)
    shared, drained = scene.join(60)
    late, drained_late = scene.join(60)
    await scene.publish()
    await scene.publish()
    _, newcomer = scene.join(60)
    clients = (member, newcomer, drained, drained_late)
    for client in clients:
        client.take()
    for _ in range(5):
        await scene.publish()
    shared.full()  # by what another channel wrote to the same line
    shared.drained()
    late.full()
    scene.clock.advance(60)
    late.drained()
    scene.second(0)
    assert [heard(client) for client in clients] == [["e.8"]] * 4
    assert scene.gone == []


async def test_a_slow_client_catches_up_and_keeps_the_interval() -> None:
    scene = Scene()
    _, writer = scene.join(10, high=150)
    await scene.publish()
    assert not writer.full
    for _ in range(3):
        await scene.publish()
    scene.second(10)
    assert writer.full
    await scene.publish()
    assert heard(writer) == ["e.1", "e.2", "e.3", "e.4", "e.5"]
    scene.second(9)
    assert heard(writer) == []
    scene.second()
    assert heard(writer) == ["e.6"]


async def test_a_group_ends_with_its_last_subscriber() -> None:
    scene = Scene()
    kept = [scene.join(2.0 + number) for number in range(5)]
    assert len(scene.channel._paces()) == 5
    while len(kept) > 1:
        kept.pop()[0].stop()
    gc.collect()
    assert [group.interval for group in scene.channel._paces()] == [2.0]
