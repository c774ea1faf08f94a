from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.plugin import Json, Refused, RereadingWatch
from gateway_plugins.sources import poll_channel
from gateway_plugins.sources.poll_options import PollOptions, Since
from gateway_plugins.sources.poll_since import Position, Progress, position, written
from tests.plugins.sources.scripted import NOT_MODIFIED, answer, ok, run

NOW = 1_700_000_000.5
LATER = "2100-01-01T00:00:00Z"


def since(origin: str = "max:at", **keys: Any) -> Since:
    return Since.model_validate({"param": "since", "from": origin, **keys})


def found(this: Since, *documents: Json, **headers: str) -> Position | None:
    items = [item for document in documents if isinstance(document, list) for item in document]
    return position(this, documents, items, answer(200, b"", **headers).headers, NOW)


def asked(this: Since, *documents: Json, **headers: str) -> str | None:
    """The parameter after such an answer."""
    place = found(this, *documents, **headers)
    return None if place is None else written(this, place)


@pytest.mark.parametrize(
    ("keys", "values", "parameter"),
    [
        ({}, ["2020-01-01T00:00:30Z", "2020-01-02T02:00:30+02:00"], "2020-01-02T00:00:00Z"),
        ({"overlap": "0s"}, ["2020-01-01T00:00:00.1234567891Z"], "2020-01-01T00:00:00.123456Z"),
        ({"overlap": "1s"}, ["2020-01-01T00:00:00"], "2019-12-31T23:59:59Z"),
        ({"overlap": "0s"}, ["2020-01-01", "yesterday", None, True, [], LATER[:-1] * 9], "2020-01-01T00:00:00Z"),
        ({"format": "unix", "overlap": "2s"}, [1600000000.9, "1600000001.7"], "1599999999"),
        ({"format": "unix_ms", "overlap": "2s"}, [1600000000123, 3], "1599999998123"),
        ({"format": "unix"}, [5], "0"),
        ({"format": "unix"}, [1e300, "nan", 10**400], "1699999970"),
        ({"format": "raw"}, [9, 10, 8], "10"),
        ({"format": "raw"}, ["b", "c", "a", ""], "c"),
        ({"format": "raw"}, [10**400, "x" * 5000], None),
        ({}, [], None),
        ({}, ["soon"], None),
    ],
)
def test_the_greatest_of_the_items(keys: dict[str, Any], values: list[Json], parameter: str | None) -> None:
    rows: list[Json] = [{"at": value} for value in values]
    assert asked(since(**keys), rows[:1], rows[1:]) == parameter


def test_no_time_lies_in_the_future() -> None:
    rows: Json = [{"at": LATER}]
    assert asked(since(overlap="0s"), rows) == "2023-11-14T22:13:20.500000Z"
    backend = "Tue, 14 Nov 2023 20:00:00 GMT"
    assert asked(since(overlap="0s"), rows, Date=backend) == "2023-11-14T20:00:00Z"
    assert (
        asked(since("last:at", format="rfc3339", overlap="0s"), {"at": LATER}, Date=backend) == "2023-11-14T20:00:00Z"
    )
    assert asked(since(overlap="0s"), rows, Date="today") == "2023-11-14T22:13:20.500000Z"


def test_the_time_of_the_answer() -> None:
    this = since("last_success", format="unix")
    assert asked(this, []) == "1699999970"
    assert asked(this, [], Date="Tue, 14 Nov 2023 20:00:00 GMT") == "1699991970"


def test_a_mark_in_the_answer_or_its_headers() -> None:
    assert asked(since("last:meta.mark"), {"meta": {"mark": "5-g1"}}, {"meta": {"mark": "6"}}) == "5-g1"
    assert asked(since("last:mark"), {"more": 1}, {"mark": 17}) == "17"
    assert asked(since("last:mark"), {"mark": None}) is None
    assert asked(since("header:ETag"), [], ETag='"17"') == '"17"'
    assert asked(since("header:ETag"), []) is None


@pytest.mark.parametrize(
    "keys",
    [
        {"from": "max:"},
        {"from": "max:[["},
        {"from": "maximum:at"},
        {"from": "header:a b"},
        {"from": "last_success", "format": "raw"},
        {"from": "last:x", "overlap": "1s"},
        {"from": "last:x", "initial": ""},
        {"from": "last:x", "param": "a b"},
        {"origin": "last:x"},
    ],
)
def test_mistakes(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Since.model_validate({"param": "since", **keys})


def test_positions_go_on_and_are_lost() -> None:
    progress = Progress(since("max:at", format="raw", full_every="1m", initial="0"))
    assert progress.whole(b"/a?b=1&since=x") == b"/a?b=1&since=0"
    assert progress.changes(b"/a", 0) is None
    assert progress.move(5, changes=False)
    progress.read_whole(0)
    assert progress.changes(b"/a?b=1&since=x", 59) == b"/a?b=1&since=5"
    assert progress.changes(b"/a", 60) is None
    assert progress.move(4, changes=True)
    assert progress.move(None, changes=True)
    assert progress.changes(b"/a", 0) == b"/a?since=5"
    assert progress.lose()
    assert not progress.lose()
    assert progress.changes(b"/a", 0) is None
    assert progress.move(4, changes=False)
    assert not progress.move(None, changes=False), "an empty list, say"
    assert "read whole" in repr(progress)


def test_marks_may_go_back() -> None:
    progress = Progress(since("last:mark"))
    progress.move("9", changes=False)
    progress.move("10", changes=True)
    assert progress.changes(b"/a", 0) == b"/a?since=10"


KEYS = {"param": "since", "from": "max:at", "format": "raw", "full_every": "25s"}
FIRST = ok(b'[{"id": 1, "at": 3}, {"id": 2, "at": 5}]')


async def test_after_a_whole_read_only_changes_are_asked_for() -> None:
    this = run(FIRST, ok(b'[{"id": 1, "at": 8}]'), ok(b"[]"), FIRST, jitter="0%", since=KEYS)
    await this.polls(4)
    assert [target for _, target, _ in this.backend.asked] == [
        b"/api?a=1",
        b"/api?a=1&since=5",
        b"/api?a=1&since=8",
        b"/api?a=1",  # full_every
    ]
    assert this.channel.changed == [[{"id": 1, "at": 8}], []]
    assert len(this.channel.documents) == 2
    assert this.channel.results == ["changed", "changed", "unchanged", "unchanged"]


async def test_the_whole_is_read_now_and_then() -> None:
    other = ok(b'[{"id": 1, "at": 9}]')
    this = run(FIRST, ok(b"[]"), ok(b"[]"), other, ok(b"[]"), jitter="0%", since=KEYS)
    await this.polls(8)
    asked = [b"since" in target for _, target, _ in this.backend.asked]
    assert asked == [False, True, True, False, True, True, False, False], "the last was empty: nothing to go on from"
    assert this.channel.documents[1] == [{"id": 1, "at": 9}]


async def test_pages_that_are_counted_keep_the_position() -> None:
    this = run(FIRST, ok(b"[]"), FIRST, ok(b"[]"), since=KEYS, pages={"page": "p"})
    await this.polls(2)
    assert this.backend.asked[-1][1] == b"/api?a=1&since=5&p=2"


async def test_changes_come_in_pages_too() -> None:
    page = ok(b'[{"id": 1, "at": 7}]', Next_Page="/api?a=1&since=5&token=x")
    pages = {"header": "Next-Page"}
    this = run(FIRST, page, ok(b'[{"id": 3, "at": 6}]'), ok(b"[]"), since=KEYS, pages=pages)
    await this.polls(3)
    assert [target for _, target, _ in this.backend.asked[1:]] == [
        b"/api?a=1&since=5",
        b"/api?a=1&since=5&token=x",
        b"/api?a=1&since=7",
    ]
    assert this.channel.changed == [[{"id": 1, "at": 7}, {"id": 3, "at": 6}], []]


async def test_many_items_are_looked_through_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    on_loop: list[bool] = []

    def watched(*arguments: Any) -> Position | None:
        on_loop.append(threading.current_thread() is threading.main_thread())
        return position(*arguments)

    monkeypatch.setattr(poll_channel, "position", watched)
    rows = json.dumps([{"id": number, "at": number} for number in range(1001)]).encode()
    this = run(ok(rows), ok(b'[{"id": 1, "at": 2000}]'), ok(b"[]"), since=KEYS)
    await this.polls(3)
    assert on_loop == [False, True, True]
    assert this.backend.asked[2][1] == b"/api?a=1&since=2000"


async def test_what_was_not_published_is_asked_for_again() -> None:
    this = run(FIRST, ok(b'[{"id": 1, "at": 8}]'), since=KEYS)
    async with this.started():
        this.channel.refuses = "no"
        await this.next()
        this.channel.refuses = ""
        await this.next()
    assert [target for _, target, _ in this.backend.asked[1:]] == [b"/api?a=1&since=5"] * 2
    assert this.channel.changed == [[{"id": 1, "at": 8}]]


async def test_an_incomplete_answer_is_no_place_to_go_on_from() -> None:
    part = answer(206, b'[{"id": 1, "at": 8}]', content_type="application/json")
    this = run(part, FIRST, part, ok(b"[]"), since=KEYS)
    await this.polls(4)
    assert [b"since" in target for _, target, _ in this.backend.asked] == [False, False, True, False]


@pytest.mark.parametrize(("status", "again"), [(410, b"/api?a=1"), (400, b"/api?a=1"), (500, b"/api?a=1&since=5")])
async def test_a_position_that_is_refused_is_given_up(status: int, again: bytes) -> None:
    this = run(FIRST, answer(status), ok(b"[]"), since=KEYS)
    await this.polls(3)
    assert this.backend.asked[2][1] == again
    assert this.channel.incidents.count("since_refused") == (status != 500)


async def test_a_position_that_is_gone_is_not_the_end_but_a_list_that_is_gone_is() -> None:
    this = run(FIRST, answer(410), since=KEYS, terminal=[404, 410])
    watch = this.watch()
    for _ in range(2):
        await watch.look()
    with pytest.raises(Refused):
        await watch.look()
    assert [b"since" in target for _, target, _ in this.backend.asked] == [False, True, False]


async def test_without_a_position_the_whole_is_read_and_it_is_counted() -> None:
    this = run(ok(b'[{"id": 1}]'), since=KEYS)
    await this.polls(2)
    assert [target for _, target, _ in this.backend.asked] == [b"/api?a=1"] * 2
    assert this.channel.incidents == ["since_missing"]


async def test_while_deletions_wait_the_whole_is_read() -> None:
    this = run(FIRST, FIRST, ok(b"[]"), since=KEYS)
    async with this.started():
        this.channel.unsettled = True
        await this.next()
        this.channel.unsettled = False
        await this.next()
    assert [b"since" in target for _, target, _ in this.backend.asked] == [False, False, True]
    assert this.channel.confirmed == 1


@pytest.mark.parametrize(("tombstones", "whole"), [(False, True), (True, False)])
async def test_after_a_deletion_the_whole_is_read_unless_items_say_that_they_are_gone(
    *, tombstones: bool, whole: bool
) -> None:
    this = run(FIRST, ok(b"[]"), FIRST, ok(b"[]"), since=KEYS)
    this.channel.tombstones = tombstones
    watch = this.watch()
    assert isinstance(watch, RereadingWatch)
    for _ in range(2):
        await watch.look()
    watch.reread()
    for _ in range(2):
        await watch.look()
    assert [b"since" not in target for _, target, _ in this.backend.asked] == [True, False, whole, False]


async def test_validators_are_those_of_one_url() -> None:
    first = ok(b'[{"id": 1, "at": 3}]', etag='"1"')
    changed = ok(b'[{"id": 1, "at": 4}]', etag='"2"')
    this = run(first, ok(b"[]", etag='"3"'), NOT_MODIFIED, changed, ok(b"[]"), since={**KEYS, "full_every": "1h"})
    await this.polls(5)
    assert this.backend.conditions() == [None, None, b'"3"', b'"3"', None]
    assert this.channel.confirmed == 0, "that nothing has changed confirms no absence"


def test_it_is_an_option() -> None:
    assert PollOptions.model_validate({"since": KEYS}).since == Since.model_validate(KEYS)
