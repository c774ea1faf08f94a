"""A channel driven at random beside a naive model: every client sees each offset once, in order, or is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.codes import TOO_SLOW, Disconnect
from gateway.core.event import Change, Event, ItemChange, Json, message
from gateway.core.position import Position, parse_position
from gateway.core.settings import LiveSettings, LogLimits, Mode, PluginUse, SlowPolicy
from gateway.core.stats import RouteStats
from gateway.live.channel import Channel
from gateway.live.subscriptions import Subscription
from gateway.plugin import Encoding, Status
from gateway.testing.clock import ManualClock
from gateway.testing.writer import ManualWriter

LINES = Encoding(encode=lambda event: json.dumps(event.envelope()).encode() + b"\n", kind="body")
MODES: tuple[Mode, ...] = ("items", "items", "patch", "merge", "snapshot", "notify")
KEPT, AGE = 6, 10.0
PACES = (2.0, 15.0)  # the log keeps what happens in the one, and not in the other
INTERVALS = st.sampled_from([0.0, 0.0, *PACES])


@dataclass(slots=True)
class Stream:
    """One epoch as the model knows it: each change by its first offset, and what a log must still have of them."""

    begin: int
    changes: list[tuple[int, Change, float]] = field(default_factory=list)
    kept: int = 0

    @property
    def tail(self) -> int:
        return self.changes[self.kept][0] - 1 if self.changes else self.begin

    def trim(self, now: float) -> None:
        head, changes = self.changes[-1][0] + self.changes[-1][1].span - 1, self.changes
        while self.kept < len(changes) - 1:
            first, _, time = changes[self.kept]
            if head - first + 1 <= KEPT and now - time <= AGE:
                break
            self.kept += 1

    def at(self, offset: int) -> tuple[int, Change]:
        """The change that holds `offset`, and where it begins."""
        return next((first, change) for first, change, _ in reversed(self.changes) if first <= offset)


@dataclass(eq=False)
class Client:
    """What one client was told, checked line by line; `at` is as far as it knows, None for nothing."""

    mode: Mode
    at: Position | None
    joined: str  # the epoch that it came in
    lost: bool = False  # whether the next event may be any that the log began with
    gap: bool = False  # whether the last event was one
    silent: int = 0  # how many silent changes before the gap it may have been past already
    foreign: bool = False  # whether its position may be one that the channel never had
    heard: int = 0
    news: int = 0  # the last status that it heard
    most: int | None = None  # what waits for it since it is full
    writer: ManualWriter = field(default_factory=lambda: ManualWriter(high=120, low=40))
    subscription: Subscription | None = None
    rest: bytes = b""
    gone: Disconnect | None = None


class ChannelMachine(RuleBasedStateMachine):
    """The model: every change by its place, and the state after it. The loop turns when a rule says so."""

    @initialize(policy=st.sampled_from(["snapshot", "skip", "disconnect"]), messages=st.booleans())
    def begin(self, policy: SlowPolicy, *, messages: bool) -> None:
        self.clock = ManualClock()
        limits = LogLimits(events=KEPT, age=AGE)
        use = PluginUse(name="x", options=None)
        self.policy, self.messages = policy, messages
        self.channel = Channel("c", "r", LiveSettings(source=use, log=limits, slow=policy), RouteStats(), self.clock)
        self.channel.log.messages = messages
        self.channel.begin(Position("e0", 0))
        self.head = Position("e0", 0)
        self.epochs = 0
        self.streams = {"e0": Stream(0)}
        self.states: dict[Position, Json] = {}
        self.news = [("ok", Position("e0", 0))]  # the states of the source, and where the channel was then
        self.ready: list[Callable[[], None]] = []
        self.clients: list[Client] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    # What happens to the channel.

    @rule(
        times=st.integers(1, 8),
        count=st.integers(1, 3),
        how=st.sampled_from(["whole", "patch", "items", "both", "merge"]),
    )
    def publish(self, times: int, count: int, how: str) -> None:
        for _ in range(times):
            self._publish(self.head.epoch, self.head.offset + 1, count, how if self.states else "whole")

    @rule(offset=st.integers(1, 12))
    def lose_the_stream(self, offset: int) -> None:
        self.epochs += 1
        self.streams[f"e{self.epochs}"] = Stream(offset - 1)
        self._publish(f"e{self.epochs}", offset, 1, "whole")

    def _publish(self, epoch: str, first: int, count: int, how: str) -> None:
        state = f"{epoch} {first}"
        change = Change(document=state)
        if self.messages:
            change = message(state)
        elif how != "whole":
            numbers = range(first, first + count) if how in ("items", "both") else ()
            items = tuple(ItemChange("updated", {"key": number}) for number in numbers)
            operations: list[Json] | None = None if how == "items" else [{"op": "replace", "path": "", "value": state}]
            merge: dict[str, Json] | None = {"state": state} if how == "merge" else None
            change = Change(document=state, patch=operations, merge=merge, items=items)
        self.head = Position(epoch, first + change.span - 1)
        self.streams[epoch].changes.append((first, change, self.clock.monotonic()))
        self.streams[epoch].trim(self.clock.monotonic())
        self.states[self.head] = state
        with patch.object(asyncio, "get_running_loop", return_value=self):
            self.channel.deliver(self.head, change)

    @rule()
    def turn(self) -> None:
        ready, self.ready = self.ready, []
        for callback in ready:
            callback()

    @rule(seconds=st.sampled_from([1.0, 6.0]))
    def trim(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.channel.sweep(heartbeat=False)
        if self.states:
            self.streams[self.head.epoch].trim(self.clock.monotonic())

    @rule(state=st.sampled_from(["ok", "stale", "error"]))
    def tell(self, state: str) -> None:
        if state != self.news[-1][0]:
            self.news.append((state, self.head))
        self.channel.tell(Status(state=state, reason=str(len(self.news) - 1)))  # type: ignore[arg-type]

    # What clients do.

    @rule(mode=st.sampled_from(MODES), interval=INTERVALS)
    def subscribe(self, mode: Mode, interval: float) -> None:
        self._join(mode, None, interval)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), size=st.integers(1, 200), mode=st.sampled_from([None, *MODES]), interval=INTERVALS)
    def come_back(self, data: st.DataObject, size: int, mode: Mode | None, interval: float) -> None:
        """A client's line breaks, and it resumes, perhaps in another mode."""
        client = data.draw(st.sampled_from(self.clients))
        self._read(client, size)
        if client.gone is None:
            self._leave(client)
        self._join(mode or client.mode, client.at, interval, foreign=client.foreign)

    @rule(mode=st.sampled_from(MODES), offset=st.integers(0, 30), epoch=st.integers(0, 5), interval=INTERVALS)
    def come_from_elsewhere(self, mode: Mode, offset: int, epoch: int, interval: float) -> None:
        self._join(mode, Position(f"e{epoch}", offset), interval, foreign=True)

    def _join(self, mode: Mode, at: Position | None, interval: float = 0.0, *, foreign: bool = False) -> None:
        def finish(disconnect: Disconnect) -> None:
            client.gone = disconnect
            subscription.stop()

        mode = "items" if self.messages else mode
        client = Client(mode, self.head if at is None and self.messages else at, self.head.epoch, foreign=foreign)
        subscription = self.channel.subscribe(LINES, mode, "lines", client.writer, finish, interval)
        client.subscription = subscription
        client.writer.on_flow(subscription.full, subscription.drained)
        self.clients.append(client)
        subscription.start(at)

    def _leave(self, client: Client) -> None:
        assert client.subscription is not None
        client.subscription.stop()
        self.clients.remove(client)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), size=st.integers(1, 300))
    def read(self, data: st.DataObject, size: int) -> None:
        self._read(data.draw(st.sampled_from(self.clients)), size)

    def _read(self, client: Client, size: int | None = None) -> None:
        client.most = None
        *lines, client.rest = (client.rest + client.writer.take(size)).split(b"\n")
        for line in lines:
            self._check(client, json.loads(line))
            client.heard += 1
        if client.gone is not None and not client.writer.buffered:
            assert (client.gone, self.policy) == (TOO_SLOW, "disconnect")
            assert client.at is not None
            assert client.lost or client.at.offset < self.streams[client.at.epoch].tail, (
                "the log had all that it missed"
            )
            self._leave(client)

    # What they must hear.

    def _check(self, client: Client, event: dict[str, Json]) -> None:
        kind, data = event["type"], event["data"]
        if kind == "status":
            assert isinstance(data, dict)
            good = data["state"] in ("ok", "recovered")
            later = [number for number in range(client.news + 1, len(self.news)) if self.news[number][0] == "ok"]
            assert later or not good, "a status is told once"
            self._check_news(client, later[0] if good else int(str(data["reason"])))
            return
        if kind == "gap":
            assert isinstance(data, dict)
            self._check_gap(client, data["missed"])
            return
        at = parse_position(str(event["id"]))
        if kind == "snapshot":
            assert client.mode != "notify"
            assert data == self.states[at]
            self._check_whole(client, at, reset="reset" in event)
        elif kind == "notify":
            assert client.mode == "notify"
            self._check_whole(client, at, reset="reset" in event)
        else:
            self._check_step(client, at, str(kind), data)
        client.at, client.lost, client.gap, client.silent, client.foreign = at, False, False, 0, False

    def _check_news(self, client: Client, number: int) -> None:
        _, then = self.news[number]
        assert number > client.news, "a status is told once"
        client.news = number
        if client.at is None or not self.states or client.lost or client.foreign:
            return
        if client.at.epoch == then.epoch and client.at.offset < then.offset:
            assert self._reaches(client, client.at, then.offset), "it comes after what was before it"

    def _check_gap(self, client: Client, missed: Json) -> None:
        assert self.messages or self.policy == "skip"
        assert client.at is not None
        client.gap = True
        if missed is None:
            assert client.foreign or client.at.epoch != self.head.epoch, "it could be known"
            client.lost = True
            return
        assert isinstance(missed, int)
        assert missed > 0
        if client.lost:
            return  # more of what nobody can count
        if client.mode == "items":
            client.silent += self._silence(Position(client.at.epoch, client.at.offset + client.silent))
        client.at = Position(client.at.epoch, client.at.offset + missed)
        assert client.at.offset <= self.streams[client.at.epoch].tail, "the log had some of what it is said to miss"

    def _check_whole(self, client: Client, at: Position, *, reset: bool) -> None:
        """A state is sent to whoever has none, instead of changes that can't be told, or as a reset."""
        before = client.at
        if before is None:
            assert not reset or at.epoch != client.joined
        elif reset:
            stream = self.streams.get(before.epoch)
            assert (
                before.epoch != at.epoch
                or client.foreign
                or client.gap
                or stream is None
                or before.offset < stream.tail
                or not self._between(before)
            ), "the log could continue"
        else:
            assert at.epoch == before.epoch
            assert at.offset > before.offset
            assert client.mode in ("snapshot", "notify") or self._untellable(client.mode, before, at)

    def _between(self, before: Position) -> bool:
        """Whether the position is one between two changes, where a patch may begin."""
        stream = self.streams[before.epoch]
        if before.offset <= stream.begin:
            return True
        first, change = stream.at(before.offset)
        return before.offset == first + change.span - 1

    def _untellable(self, mode: Mode, before: Position, at: Position) -> bool:
        for first, change, _ in self.streams[at.epoch].changes:
            said = {"items": bool(change.items) or change.patch is not None, "patch": change.patch is not None}
            if before.offset < first + change.span - 1 <= at.offset and not said.get(mode, change.merge is not None):
                return True
        return False

    def _check_step(self, client: Client, at: Position, kind: str, data: Json) -> None:
        assert client.at is not None
        stream = self.streams[at.epoch]
        first, change = stream.at(at.offset)
        if client.lost:
            assert at.offset - 1 <= stream.tail, "the log had more than it was given"
        else:
            assert at.epoch == client.at.epoch
            before = at.offset - 1 if kind in ("updated", "message") else first - 1
            assert self._reaches(client, client.at, before), "each offset once, in order"
        items = [item.data for item in change.items]
        if kind in ("updated", "message"):
            assert client.mode == "items"
            assert data == items[at.offset - first]
        else:
            assert kind == client.mode
            assert at.offset == first + change.span - 1
            assert data == (change.patch if kind == "patch" else change.merge)

    def _reaches(self, client: Client, at: Position, offset: int) -> bool:
        """Whether a client that was told all until `at` may be told next what comes after `offset`."""
        if client.mode != "items":
            return at.offset == offset
        places = range(at.offset, at.offset + client.silent + 1)
        return any(place <= offset <= place + self._silence(Position(at.epoch, place)) for place in places)

    def _silence(self, after: Position) -> int:
        """How many changes come next that hold no item events, of which clients that follow items are not told."""
        count = 0
        for first, change, _ in self.streams[after.epoch].changes:
            if first > after.offset:
                if change.items:
                    break
                count += 1
        return count

    @invariant()
    def nothing_piles_up(self) -> None:
        for client in self.clients:
            waits = client.writer.buffered
            assert client.most is None or waits <= client.most, "a client that reads nothing is written to"
            client.most = waits if client.writer.full else None

    @invariant()
    def what_is_kept(self) -> None:
        if self.states:
            assert self.channel.log.tail == self.streams[self.head.epoch].tail

    def teardown(self) -> None:
        if not hasattr(self, "channel"):
            return
        self.turn()
        self.trim(max(PACES))  # before the writers are read: what is too much for them follows
        for client in tuple(self.clients):
            while client in self.clients and client.writer.buffered:
                self._read(client)
            if client in self.clients:
                self._check_end(client)
        assert self.channel.stats.streams["lines"].behind == 0

    def _check_end(self, client: Client) -> None:
        assert client.subscription is not None
        assert client.subscription.sent[0] == client.heard
        assert client.subscription.position == self.head
        if client.lost:
            assert self.streams[self.head.epoch].tail == self.head.offset
        elif client.at is not None and self.states:
            assert client.at.epoch == self.head.epoch
            assert self._reaches(client, client.at, self.head.offset), "everyone ends at the head"
        else:
            assert not self.states
        state = self.news[-1][0]
        assert self.news[client.news][0] == state, "the last word about the source"
        assert state == "ok" or client.news == len(self.news) - 1


DEEP = settings().max_examples > 1000  # as the profile says
ChannelMachine.TestCase.settings = settings(max_examples=3000 if DEEP else 300, stateful_step_count=40)
TestChannelMachine = pytest.mark.timeout(0 if DEEP else 120)(ChannelMachine.TestCase)


def test_the_event_is_what_the_machine_reads() -> None:
    """A line is an envelope: so that the machine does not pass by reading nothing."""
    line = LINES.encode(Event(type="snapshot", data=1, position=Position("e", 1)))
    assert json.loads(line) == {"id": "e.1", "type": "snapshot", "data": 1}
