from __future__ import annotations

import json

from gateway.core.event import Change, Event, ItemChange, Json
from gateway.core.log import Audience, Log
from gateway.core.position import Position
from gateway.core.settings import LogLimits, Mode


def audience(mode: Mode) -> Audience:
    return Audience(mode, lambda event: json.dumps(event.envelope()).encode() + b"\n")


def read(log: Log, offset: int, to: Audience) -> list[dict[str, Json]] | None:
    batch = log.read(offset, to)
    return None if batch is None else [json.loads(line) for line in batch.data.splitlines()]


def log_of(**limits: int) -> Log:
    return Log(LogLimits(**limits), Position("e", 0))


def change(document: Json, *, items: int = 0, patch: bool = True) -> Change:
    changes = tuple(ItemChange("updated", {"key": n}) for n in range(items))
    return Change(document=document, patch=[{"op": "replace"}] if patch else None, items=changes)


def fill(log: Log, count: int, *, items: int = 1) -> None:
    for _ in range(count):
        offset = log.head.offset + max(1, items)
        log.append(Position(log.head.epoch, offset), change({"now": offset}, items=items), now=0.0)


def test_each_mode_reads_a_change_its_own_way() -> None:
    log = log_of()
    fill(log, 1)
    log.append(Position("e", 3), change([1], items=2), now=0.0)
    assert read(log, 1, audience("items")) == [
        {"id": "e.2", "type": "updated", "data": {"key": 0}},
        {"id": "e.3", "type": "updated", "data": {"key": 1}},
    ]
    assert read(log, 1, audience("patch")) == [{"id": "e.3", "type": "patch", "data": [{"op": "replace"}]}]
    assert read(log, 1, audience("snapshot")) == [{"id": "e.3", "type": "snapshot", "data": [1]}]
    assert read(log, 1, audience("notify")) == [{"id": "e.3", "type": "notify", "data": None}]


def test_merge_patches_and_the_state_where_there_is_none() -> None:
    log = log_of()
    log.append(Position("e", 1), Change(document={"a": 1}, patch=[], merge={"a": 1}), now=0.0)
    assert read(log, 0, audience("merge")) == [{"id": "e.1", "type": "merge", "data": {"a": 1}}]
    log.append(Position("e", 2), Change(document={"a": None}, patch=[]), now=0.0)
    assert read(log, 1, audience("merge")) == [{"id": "e.2", "type": "snapshot", "data": {"a": None}}]


def test_a_reader_inside_a_change_gets_the_rest_of_its_items_and_no_patch() -> None:
    log = log_of()
    fill(log, 1, items=3)
    rest = read(log, 1, audience("items"))
    assert rest is not None
    assert [event["id"] for event in rest] == ["e.2", "e.3"]
    assert log.read(1, audience("patch")) is None


def test_a_change_that_only_reorders_gives_item_readers_nothing_but_moves_them_on() -> None:
    log = log_of()
    fill(log, 1)
    log.append(Position("e", 2), change([2, 1], items=0), now=0.0)
    batch = log.read(1, audience("items"))
    assert batch is not None
    assert (batch.data, batch.messages, batch.offset) == (b"", 0, 2)


def test_a_change_without_a_patch_is_read_as_the_state() -> None:
    log = log_of()
    log.append(Position("e", 1), change([1], patch=False), now=0.0)
    for mode in ("items", "patch"):
        events = read(log, 0, audience(mode))
        assert events == [{"id": "e.1", "type": "snapshot", "data": [1]}]


def test_bytes_are_made_once_per_audience() -> None:
    made: list[Event] = []

    def render(event: Event) -> bytes:
        made.append(event)
        return b"x"

    log, same = log_of(), Audience("patch", render)
    fill(log, 2)
    for _ in range(5):
        log.read(0, same)
        log.read(1, same)
        log.snapshot(same)
    assert len(made) == 3


def test_unknown_offsets_cannot_be_continued() -> None:
    log = log_of(events=2)
    fill(log, 5)
    assert log.tail == 3
    assert log.read(2, audience("patch")) is None
    assert log.read(6, audience("patch")) is None
    assert log.read(5, audience("patch")) == (b"", 0, 5, False)


def test_limits_drop_the_oldest_and_keep_the_newest() -> None:
    log = Log(LogLimits(events=100, bytes=1, age=10), Position("e", 0))
    fill(log, 3)
    assert log.tail == 2
    log = Log(LogLimits(age=10), Position("e", 0))
    fill(log, 3)
    log.trim(now=10.0)
    assert log.tail == 0
    log.trim(now=10.1)
    assert log.tail == 2


def test_cached_encodings_count_towards_the_size_and_go_with_their_change() -> None:
    log = log_of()
    fill(log, 1)
    bare = log.size
    batch = log.read(0, audience("patch"))
    assert batch is not None
    assert log.size == bare + len(batch.data)
    log.append(Position("f", 1), change(1, items=1), now=0.0)
    assert log.size == bare


def test_a_new_epoch_empties_the_log() -> None:
    log = log_of()
    fill(log, 3)
    log.append(Position("f", 1), change("new"), now=0.0)
    assert (log.tail, str(log.head)) == (0, "f.1")


def test_a_long_way_behind_is_read_in_batches() -> None:
    log, to = log_of(), audience("items")
    fill(log, 50)
    offset, ids = 0, []
    while offset != log.head.offset:
        batch = log.read(offset, to, limit=200)
        assert batch is not None
        assert len(batch.data) < 300
        ids += [json.loads(line)["id"] for line in batch.data.splitlines()]
        offset = batch.offset
    assert ids == [f"e.{n}" for n in range(1, 51)]


def test_repr_states_the_state() -> None:
    log = log_of()
    fill(log, 2)
    assert repr(log) == f"<Log 0..e.2 entries=2 bytes={log.size}>"
