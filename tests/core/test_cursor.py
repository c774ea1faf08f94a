"""The cursor, by example and against a naive model: every reader sees each offset once, in order, or is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.codes import TOO_SLOW, Disconnect
from gateway.core.cursor import catch_up, flush, join
from gateway.core.event import Change, ItemChange, Json, message
from gateway.core.log import Audience, Batch, Log
from gateway.core.position import Position, parse_position
from gateway.core.settings import LogLimits, Mode, SlowPolicy

MODES: tuple[Mode, ...] = ("items", "patch", "snapshot", "notify")


def audience(mode: Mode) -> Audience:
    return Audience(mode, lambda event: json.dumps(event.envelope()).encode() + b"\n")


def events(batch: Batch | Disconnect) -> list[dict[str, Json]]:
    assert isinstance(batch, Batch)
    return [json.loads(line) for line in batch.data.splitlines()]


def filled(count: int, keep: int = 1000) -> Log:
    log = Log(LogLimits(events=keep), Position("e", 0))
    for offset in range(1, count + 1):
        item = ItemChange("updated", {"key": offset})
        change = Change(document=offset, patch=[{"op": "replace", "path": "", "value": offset}], items=(item,))
        log.append(Position("e", offset), change, now=0.0)
    return log


def test_nothing_is_sent_before_there_is_a_state() -> None:
    assert join(filled(0), audience("items"), None) == (b"", 0, 0, False)
    assert join(filled(0), audience("items"), Position("old", 7)) == (b"", 0, 0, False)


def test_a_newcomer_gets_the_state() -> None:
    assert events(join(filled(3), audience("items"), None)) == [{"id": "e.3", "type": "snapshot", "data": 3}]


def test_a_position_in_the_log_is_continued() -> None:
    assert [event["id"] for event in events(join(filled(3), audience("items"), Position("e", 1)))] == ["e.2", "e.3"]
    assert events(join(filled(3), audience("items"), Position("e", 3))) == []


@pytest.mark.parametrize("since", [Position("f", 3), Position("e", 1), Position("e", 99)])
def test_a_position_outside_the_log_is_reset(since: Position) -> None:
    first = events(join(filled(5, keep=2), audience("items"), since))
    assert first == [{"id": "e.5", "type": "snapshot", "data": 5, "reset": True}]


def messages(count: int, keep: int = 1000) -> Log:
    log = Log(LogLimits(events=keep), Position("e", 0))
    log.messages = True
    for offset in range(1, count + 1):
        log.append(Position("e", offset), message(offset), now=0.0)
    return log


def test_messages_have_no_state() -> None:
    reader = audience("items")
    assert join(messages(3), reader, None) == (b"", 0, 3, False)
    assert events(join(messages(3), reader, Position("e", 2))) == [{"id": "e.3", "type": "message", "data": 3}]
    assert join(messages(0), reader, Position("e", 0)) == (b"", 0, 0, False)


@pytest.mark.parametrize(("since", "missed"), [(("e", 1), 2), (("old", 1), None), (("e", 99), None)])
def test_messages_that_are_gone_are_a_gap(since: tuple[str, int], missed: int | None) -> None:
    log, reader = messages(5, keep=2), audience("items")
    first = join(log, reader, Position(*since))
    assert events(first) == [{"type": "gap", "data": {"missed": missed}}]
    assert [event["id"] for event in events(catch_up(log, reader, first.offset, "disconnect"))] == ["e.4", "e.5"]


def test_slow_readers_of_messages_go_or_are_told_what_they_missed() -> None:
    log, reader = messages(5, keep=2), audience("items")
    assert catch_up(log, reader, 1, "disconnect") is TOO_SLOW
    for batch in (catch_up(log, reader, 1, "skip"), flush(log, reader, 1)):
        assert events(batch) == [{"type": "gap", "data": {"missed": 2}}]
        assert isinstance(batch, Batch)
        assert batch.offset == 3
    assert [event["id"] for event in events(flush(log, reader, 3))] == ["e.4", "e.5"]
    assert events(flush(filled(5, keep=2), reader, 1))[0]["reset"]


def test_slow_readers_are_treated_by_policy() -> None:
    log = filled(9, keep=3)
    assert catch_up(log, audience("items"), 2, "disconnect") is TOO_SLOW
    assert events(catch_up(log, audience("items"), 2, "snapshot"))[0]["reset"] is True
    assert events(catch_up(log, audience("items"), 2, "skip")) == [{"type": "gap", "data": {"missed": 4}}]
    gap, state = events(catch_up(log, audience("patch"), 2, "skip"))
    assert (gap["type"], state["type"]) == ("gap", "snapshot")


def test_who_has_no_state_yet_is_given_it_whatever_the_policy() -> None:
    policies: tuple[SlowPolicy, ...] = ("snapshot", "skip", "disconnect")
    for policy in policies:
        first = events(catch_up(filled(9, keep=3), audience("items"), 0, policy))
        assert first == [{"id": "e.9", "type": "snapshot", "data": 9}], "and it is no reset: it had no position"
    assert "reset" not in events(flush(filled(9, keep=3), audience("items"), 0))[0]


class Reader:
    """A naive client: keeps what it is told, and checks that it was told everything."""

    def __init__(self, mode: Mode, policy: SlowPolicy, silent: set[Position]) -> None:
        self.silent = silent  # positions of changes that hold no item events
        self.audience = audience(mode)
        self.policy = policy
        self.offset: int | None = None
        self.seen: Position | None = None
        self.state: Json = None

    def take(self, batch: Batch | Disconnect, cut_after: int | None = None) -> None:
        """Hear a batch; `cut_after` some of its events the line breaks."""
        if isinstance(batch, Disconnect):
            assert self.policy == "disconnect"
            self.offset = None
            return
        for event in events(batch)[:cut_after]:
            self.hear(event)
        self.offset = batch.offset if cut_after is None else None

    def hear(self, event: dict[str, Json]) -> None:
        kind, data = event["type"], event["data"]
        if kind == "gap":
            assert self.seen is not None
            assert isinstance(data, dict)
            missed = data["missed"]
            assert isinstance(missed, int)
            assert self.offset is not None
            self.seen = Position(self.seen.epoch, self.offset + missed)
            return
        position = parse_position(str(event["id"]))
        if kind in ("snapshot", "notify"):
            self.state = data
        elif kind == "patch":
            assert isinstance(data, list)
            operation = data[0]
            assert isinstance(operation, dict)
            self.state = operation["value"]
        else:
            assert self.seen is not None
            due = Position(self.seen.epoch, self.seen.offset + 1)
            while due in self.silent:
                due = Position(due.epoch, due.offset + 1)
            assert position == due, "an offset was lost or repeated"
        self.seen = position


class ChannelLog(RuleBasedStateMachine):
    """Publish, join, stall, catch up, resume, trim and epoch change, in any order."""

    @initialize(keep=st.integers(1, 6))
    def begin(self, keep: int) -> None:
        self.log = Log(LogLimits(events=keep), Position("e1", 0))
        self.epoch = 1
        self.silent: set[Position] = set()
        self.readers: list[Reader] = []
        self.now = 0.0

    @rule(value=st.integers(0, 9), items=st.integers(0, 3), whole=st.booleans())
    def publish(self, value: int, items: int, *, whole: bool) -> None:
        if not self.log.has_state:
            whole, items = True, 0
        patch: list[Json] | None = None if whole else [{"op": "replace", "path": "", "value": value}]
        change = Change(document=value, patch=patch, items=tuple(ItemChange("updated", {}) for _ in range(items)))
        offset = self.log.head.offset + change.span
        if not items:
            self.silent.add(Position(f"e{self.epoch}", offset))
        self.log.append(Position(f"e{self.epoch}", offset), change, self.now)

    @rule(mode=st.sampled_from(MODES), policy=st.sampled_from(["snapshot", "disconnect", "skip"]))
    def subscribe(self, mode: Mode, policy: SlowPolicy) -> None:
        reader = Reader(mode, policy, self.silent)
        reader.take(join(self.log, reader.audience, None))
        self.readers.append(reader)

    @rule(data=st.data())
    def catch_up(self, data: st.DataObject) -> None:
        connected = [reader for reader in self.readers if reader.offset is not None]
        if connected:
            self.follow(data.draw(st.sampled_from(connected)))

    @rule(data=st.data(), heard=st.integers(0, 3))
    def cut(self, data: st.DataObject, heard: int) -> None:
        behind = [r for r in self.readers if r.offset is not None and r.offset != self.log.head.offset]
        if behind:
            reader = data.draw(st.sampled_from(behind))
            assert reader.offset is not None
            reader.take(catch_up(self.log, reader.audience, reader.offset, reader.policy), cut_after=heard)

    @rule(data=st.data())
    def reconnect(self, data: st.DataObject) -> None:
        if self.readers:
            reader = data.draw(st.sampled_from(self.readers))
            reader.take(join(self.log, reader.audience, reader.seen))
            self.follow(reader)

    def follow(self, reader: Reader) -> None:
        while reader.offset not in (None, self.log.head.offset):
            reader.take(catch_up(self.log, reader.audience, reader.offset or 0, reader.policy))
        if reader.offset is not None and reader.audience.mode in ("patch", "snapshot") and self.log.has_state:
            assert reader.state == self.log.document

    @rule()
    def new_epoch(self) -> None:
        """The stream is lost and begins again: on this node every subscriber joins anew."""
        self.epoch += 1
        self.log = Log(LogLimits(events=3), Position(f"e{self.epoch}", 0))
        self.publish(0, 0, whole=True)
        for reader in self.readers:
            reader.offset = None

    @rule()
    def grow_old(self) -> None:
        self.now += 1000.0
        self.log.trim(self.now)

    @invariant()
    def newest_stays(self) -> None:
        if hasattr(self, "log") and self.log.has_state:
            assert self.log.tail < self.log.head.offset


ChannelLog.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestChannelLog = ChannelLog.TestCase
