from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.change import change_between
from gateway.core.conflate import Conflation, Released
from gateway.core.equal import same
from gateway.core.event import Change, Json
from gateway.core.merge import apply_merge
from gateway.core.patch import apply_patch
from gateway.core.settings import Items, LiveSettings, Mode, PluginUse
from gateway.testing.fold import Fold

EVERY = 0.2
TEXT = "a text that is long enough to make a patch worth it " * 3


def live(items: Items | None, *modes: Mode, ignore: tuple[str, ...] = ()) -> LiveSettings:
    return LiveSettings(source=PluginUse(name="", options=None), items=items, modes=modes, ignore=ignore)


class Channel:
    """What is sent of a channel's states: `sent` are the changes, `state` is what everyone has."""

    def __init__(self, settings: LiveSettings, state: Json, every: float = EVERY) -> None:
        self.settings = settings
        self.conflation = Conflation(settings, every)
        self.state = state
        self.sent: list[Change] = []
        self.made: list[Change] = []
        self.spared = 0

    def becomes(self, document: Json, now: float) -> None:
        """As the source says it: held, and released when it may."""
        change = change_between(self.conflation.latest(self.state), document, self.settings).change
        if change is not None:
            self.made.append(change)
            self.conflation.hold(self.state, change)
        self.tick(now)

    def tick(self, now: float) -> None:
        if self.conflation.holds and now >= self.conflation.due:
            change, spared = self.conflation.release(self.state, now)
            self.spared += spared
            if change is not None:
                self.sent.append(change)
                self.state = change.document

    def end(self) -> None:
        self.tick(self.conflation.due)


def rows(**stock: int) -> list[Json]:
    return [{"id": id_, "stock": number, "name": TEXT} for id_, number in stock.items()]


def told(changes: Iterable[Change]) -> list[list[tuple[str, Json]]]:
    return [[(item.type, item.data["key"]) for item in change.items] for change in changes]


@pytest.fixture
def shirts() -> Channel:
    return Channel(live(Items()), rows(a=1, b=1))


def test_the_first_change_goes_out_at_once_and_the_last_of_an_interval_at_its_end(shirts: Channel) -> None:
    for stock, now in ((2, 0.0), (3, 0.05), (4, 0.1), (5, 0.15)):
        shirts.becomes(rows(a=stock, b=1), now)
    assert told(shirts.sent) == [[("updated", "a")]]
    shirts.tick(0.19)
    assert len(shirts.sent) == 1
    shirts.tick(0.2)
    assert [change.items[0].data["item"] for change in shirts.sent] == [rows(a=2)[0], rows(a=5)[0]]
    assert shirts.spared == 2
    shirts.becomes(rows(a=6, b=1), 0.39)
    assert len(shirts.sent) == 2
    shirts.becomes(rows(a=7, b=1), 5.0)
    assert len(shirts.sent) == 3


def test_each_item_is_told_of_once_as_it_is_now(shirts: Channel) -> None:
    shirts.becomes(rows(a=2, b=1), 0.0)
    shirts.becomes(rows(a=2, b=2), 0.01)
    shirts.becomes(rows(a=3, b=2), 0.02)
    shirts.becomes(rows(a=3, b=3), 0.03)
    shirts.end()
    assert told(shirts.sent[1:]) == [[("updated", "a"), ("updated", "b")]]
    assert shirts.sent[1].document == rows(a=3, b=3)
    assert apply_patch(rows(a=2, b=1), shirts.sent[1].patch or []) == rows(a=3, b=3)
    assert shirts.spared == 1


def test_what_came_and_went_is_never_told_of(shirts: Channel) -> None:
    shirts.becomes(rows(a=2, b=1), 0.0)
    shirts.becomes(rows(a=2, b=1, c=1), 0.01)
    shirts.becomes(rows(a=2, b=1), 0.02)
    shirts.end()
    assert told(shirts.sent) == [[("updated", "a")]]
    assert shirts.spared == 2
    shirts.becomes(rows(a=3, b=1), 0.21)
    assert len(shirts.sent) == 2, "nothing was sent, so nothing has to wait for it"


def test_what_was_created_and_updated_is_created_as_it_is_now(shirts: Channel) -> None:
    shirts.becomes(rows(a=2, b=1), 0.0)
    shirts.becomes(rows(a=2, b=1, c=1), 0.01)
    shirts.becomes(rows(a=2, b=1, c=9), 0.02)
    shirts.end()
    assert told(shirts.sent[1:]) == [[("created", "c")]]
    assert shirts.sent[1].items[0].data["item"] == rows(c=9)[0]


def test_what_was_deleted_and_came_back_is_updated_and_what_was_updated_and_deleted_is_deleted(
    shirts: Channel,
) -> None:
    shirts.becomes(rows(a=2, b=1), 0.0)
    shirts.becomes(rows(b=2), 0.01)
    shirts.becomes(rows(b=2, a=5), 0.02)
    shirts.becomes(rows(a=5), 0.03)
    shirts.end()
    assert told(shirts.sent[1:]) == [[("deleted", "b"), ("updated", "a")]]


def test_deletions_that_were_believed_one_by_one_are_not_doubted_together() -> None:
    many = Channel(live(Items(delete_after=1)), rows(**{f"i{number}": 1 for number in range(20)}))
    many.becomes(rows(**{f"i{number}": 1 for number in range(19)}), 0.0)
    for count in range(18, 0, -1):
        many.becomes(rows(**{f"i{number}": 1 for number in range(count)}), 0.01)
    many.end()
    assert [len(change.items) for change in many.sent] == [1, 18]
    assert many.state == rows(i0=1)


def test_a_single_change_goes_out_as_it_came(shirts: Channel) -> None:
    shirts.becomes(rows(a=2, b=1), 0.0)
    shirts.becomes(rows(a=3, b=1), 0.01)
    shirts.end()
    assert shirts.sent[1] is shirts.made[1]


def test_it_is_made_anew_for_those_who_have_another_state(shirts: Channel) -> None:
    conflation = shirts.conflation
    (change,) = [change_between(rows(a=1), rows(a=2), shirts.settings).change]
    assert change is not None
    conflation.hold(rows(a=1), change)
    assert conflation.release(rows(a=2), 0.0) == Released(None, 1)
    assert repr(conflation) == "<Conflation events=0 due=-inf>"


def test_a_document_without_items_is_conflated_as_a_whole() -> None:
    document = Channel(live(None, "patch", "merge"), {"text": TEXT, "a": 1})
    for number in range(2, 6):
        document.becomes({"text": TEXT, "a": number}, 0.01 * number)
    document.end()
    assert [change.patch for change in document.sent] == [
        [{"op": "replace", "path": "/a", "value": value}] for value in (2, 5)
    ]
    assert [change.merge for change in document.sent] == [{"a": 2}, {"a": 5}]
    assert document.spared == 2


def test_a_list_that_is_none_any_more_is_a_snapshot() -> None:
    conflation = Conflation(live(Items()), EVERY)
    conflation.hold(None, Change(document=rows(a=1)))
    assert conflation.release("another", 0.0).change == Change(document=rows(a=1))


class Step(NamedTuple):
    document: Json
    after: float


IDS = st.permutations(range(6)).flatmap(lambda ids: st.integers(0, 6).map(lambda size: ids[:size]))
ITEM = st.fixed_dictionaries({"stock": st.integers(0, 2), "seen": st.integers(0, 2)})
LISTS = IDS.flatmap(
    lambda ids: st.lists(ITEM, min_size=len(ids), max_size=len(ids)).map(
        lambda items: [{"id": id_, **item} for id_, item in zip(ids, items, strict=True)]
    )
)
ODD_LISTS = st.lists(st.fixed_dictionaries({"id": st.one_of(st.none(), st.integers(0, 2)), "a": st.integers(0, 2)}))
OBJECTS = st.dictionaries(st.sampled_from("abc"), st.recursive(st.integers(0, 2), lambda inner: st.lists(inner)))
PAUSES = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3])


def steps(documents: st.SearchStrategy[object]) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.builds(Step, documents, PAUSES), min_size=1, max_size=8)


def play(settings: LiveSettings, script: list[Step], every: float) -> Channel:
    channel, now = Channel(settings, script[0].document, every), 0.0
    for document, after in script[1:]:
        channel.becomes(document, now)
        channel.tick(now + after)
        now += after
    channel.end()
    return channel


def client(mode: Mode, first: Json, changes: list[Change]) -> Json:
    """What a client makes of it, as it is told it in its mode."""
    fold = Fold()
    fold.one({"type": "snapshot", "data": first})
    for change in changes:
        if mode == "merge" and change.merge is not None:
            fold.state = apply_merge(fold.state, change.merge)
        elif mode == "patch" and change.patch is not None:
            fold.one({"type": "patch", "data": change.patch})
        elif mode == "items" and change.items:
            fold.all({"type": item.type, "data": item.data} for item in change.items)
        else:
            fold.one({"type": "snapshot", "data": change.document})
    return fold.state


def by_id(document: Json) -> dict[str, Json]:
    assert isinstance(document, list)
    return {json.dumps(item["id"]): item for item in document if isinstance(item, dict)}


@pytest.mark.parametrize("order", [None, True])
@given(script=steps(LISTS))
def test_a_clients_list_ends_as_the_unconflated_one(order: bool | None, script: list[Step]) -> None:
    settings = live(Items(order=order, max_delete_ratio=1.0))
    first, plain, conflated = script[0].document, play(settings, script, 0.0), play(settings, script, EVERY)
    assert same(conflated.state, plain.state)
    for mode in ("snapshot", "patch"):
        assert same(client(mode, first, conflated.sent), client(mode, first, plain.sent))
    assert same(by_id(client("items", first, conflated.sent)), by_id(client("items", first, plain.sent)))
    assert len(conflated.sent) <= len(plain.sent)
    for change in conflated.sent:
        keys = [json.dumps(item.data["key"]) for item in change.items if item.type != "moved"]
        assert len(keys) == len(set(keys)), "the latest of each key, once"


@given(script=steps(ODD_LISTS))
def test_lists_with_items_that_have_no_key_end_the_same_too(script: list[Step]) -> None:
    settings = live(Items(max_delete_ratio=1.0))
    first, plain, conflated = script[0].document, play(settings, script, 0.0), play(settings, script, EVERY)
    assert same(client("patch", first, conflated.sent), plain.state)


@given(script=steps(OBJECTS))
def test_a_clients_document_ends_as_the_unconflated_one(script: list[Step]) -> None:
    settings = live(None, "patch", "merge", "snapshot")
    first, plain, conflated = script[0].document, play(settings, script, 0.0), play(settings, script, EVERY)
    for mode in ("snapshot", "patch", "merge"):
        assert same(client(mode, first, conflated.sent), plain.state)


@given(script=steps(LISTS))
def test_what_does_not_count_as_change_is_all_that_may_differ(script: list[Step]) -> None:
    settings = live(Items(ignore=("seen",), order=False, max_delete_ratio=1.0))
    first, plain, conflated = script[0].document, play(settings, script, 0.0), play(settings, script, EVERY)
    for mode in ("snapshot", "patch", "items"):
        ends = [by_id(client(mode, first, channel.sent)) for channel in (conflated, plain)]
        counted = [{id_: item["stock"] for id_, item in end.items() if isinstance(item, dict)} for end in ends]
        assert counted[0] == counted[1]
