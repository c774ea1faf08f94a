from __future__ import annotations

import copy
import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.change import PATCH_SHARE, Step, change_between, first_state
from gateway.core.deletes import INSISTENT
from gateway.core.equal import same
from gateway.core.event import Change, Json
from gateway.core.merge import apply_merge
from gateway.core.patch import apply_patch
from gateway.core.settings import Items, LiveSettings, Mode, PluginUse

ROW: dict[str, Json] = {"name": "a shirt with a name that is long enough to be worth a patch", "price": 9.5}


def live(items: Items | None = None, *modes: Mode, ignore: tuple[str, ...] = ()) -> LiveSettings:
    return LiveSettings(source=PluginUse(name="", options=None), items=items, modes=modes, ignore=ignore)


def change(old: Json, new: Json, items: Items | None) -> Change | None:
    return change_between(old, new, live(items)).change


def rows(*ids: Json, **more: Json) -> list[Json]:
    return [{"id": id_, **ROW, **more} for id_ in ids]


def test_the_first_state_is_a_snapshot() -> None:
    assert first_state([1], live()) == Step(Change(document=[1]))
    assert first_state([*rows(1), {}], live(Items())) == Step(Change(document=[*rows(1), {}]), irregular=1)
    assert first_state(None, live()) == Step(Change(document=None))


def test_nothing_changed() -> None:
    assert change({"a": 1}, {"a": 1}, None) is None
    assert change(None, None, None) is None
    assert change(rows(1, 2), rows(1, 2), Items()) is None


def test_a_document_changes_by_its_patch() -> None:
    it = change({**ROW, "stock": 1}, {**ROW, "stock": 2}, None)
    assert it == Change(document={**ROW, "stock": 2}, patch=[{"op": "replace", "path": "/stock", "value": 2}])


def test_a_patch_that_is_hardly_smaller_than_the_document_is_left_out() -> None:
    assert change({"a": 1}, {"a": 2}, None) == Change(document={"a": 2})
    assert change([1], {"a": 2}, None) == Change(document={"a": 2})


def test_a_long_list_is_weighed_by_a_sample() -> None:
    old, new = rows(*range(1000)), rows(*range(1000))
    for index in range(0, 1000, 50):
        new[index] = {"id": index, **ROW, "price": 0}
    it = change(old, new, None)
    assert it is not None
    assert it.patch is not None
    assert change(old, rows(*range(1000), price=0), None) is not None
    assert change(old, rows(*range(1000), name="x" * 500), None) == Change(document=rows(*range(1000), name="x" * 500))


def test_items() -> None:
    it = change(rows(1, 2, 3, 4), rows(5, 1, 2, 3, 4), Items())
    assert it is not None
    assert it.patch == [{"op": "add", "path": "/0", "value": rows(5)[0]}]
    assert [(item.type, item.data["key"]) for item in it.items] == [("created", 5)]
    assert it.span == 1


def test_of_a_list_too_a_patch_that_costs_too_much_is_left_out() -> None:
    old = rows(*range(9))
    little = change(old, [*old[:8], *rows(8, name="new")], Items())
    much = change(old, rows(*range(9), name="x" * 500), Items())
    assert little is not None
    assert much is not None
    assert (little.patch is not None, much.patch, len(much.items)) == (True, None, 9)


def test_another_order_alone_has_a_patch_and_no_items() -> None:
    it = change(rows(*range(9)), rows(*range(1, 9), 0), Items())
    assert it is not None
    assert it.items == ()
    assert it.patch is not None
    assert apply_patch(rows(*range(9)), it.patch) == rows(*range(1, 9), 0)


def test_changes_of_items_without_a_key_are_a_snapshot_for_everyone() -> None:
    old, new = [*rows(1, 2, 3, 4), "x"], [*rows(1, 2, 3, 5), "y"]
    assert change(old, new, Items()) == Change(document=new)


@pytest.mark.parametrize("document", [None, {}, {"SECRET": 1}, "SECRET", 5])
@pytest.mark.parametrize("at", [None, "data"])
@pytest.mark.parametrize("first", [True, False])
def test_items_that_are_no_list(document: Json, at: str | None, first: bool) -> None:
    step = partial(first_state, document, live(Items(at=at))) if first else partial(change, [], document, Items(at=at))
    with pytest.raises(ValueError, match="list") as caught:
        step()
    assert "SECRET" not in str(caught.value)


def test_a_state_from_before_there_were_items_is_none() -> None:
    assert change({"a": 1}, rows(1), Items()) == Change(document=rows(1))


FIELDS: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from([1, 2, 3, "1", None, True]),
        "v": st.sampled_from([0, 1, True, 1.0]) | st.lists(st.integers(0, 2), max_size=3),
        "seen": st.integers(0, 3),
    },
)
LISTS: st.SearchStrategy[list[Json]] = st.lists(FIELDS | st.integers(0, 1), max_size=6)


def by_key(document: Json) -> dict[str, Json]:
    """What a client makes of a list: a map by key, in which the last of equal keys wins."""
    assert isinstance(document, list)
    return {json.dumps(item["id"]): item for item in document if isinstance(item, dict) and item.get("id") is not None}


def without(document: Json, field: str) -> Json:
    assert isinstance(document, list)
    return [
        {name: value for name, value in item.items() if name != field} if isinstance(item, dict) else item
        for item in document
    ]


@given(LISTS, LISTS, st.booleans())
def test_every_way_to_follow_a_list_leads_to_its_state(old: list[Json], new: list[Json], ignoring: bool) -> None:
    items = Items(ignore=("seen",) if ignoring else ())
    kept = copy.deepcopy(old)
    it = change(old, new, items)
    assert same(old, kept)
    if it is None:
        assert same(without(old, "seen"), without(new, "seen")) if ignoring else same(old, new)
        return
    if ignoring:
        assert same(without(it.document, "seen"), without(new, "seen"))
    else:
        assert same(it.document, new)
    if it.patch is not None:
        assert same(apply_patch(old, it.patch), it.document)
    if it.patch is not None or it.items:
        check_items(old, it)


def check_items(old: list[Json], it: Change) -> None:
    held = by_key(old)
    for item in it.items:
        key = json.dumps(item.data["key"])
        if item.type == "deleted":
            del held[key]
            continue
        assert (item.type == "created") == (key not in held)
        if item.type == "updated":
            operations = item.data["patch"]
            assert isinstance(operations, list)
            assert same(apply_patch(held[key], operations), item.data["item"])
        held[key] = item.data["item"]
    held_now: Json = {**held}
    assert same(held_now, {**by_key(it.document)})


def test_the_share_that_a_patch_may_cost() -> None:
    old: dict[str, Json] = {"pad": "x" * 200, "v": ""}
    at_most = int(PATCH_SHARE * 1000)
    for length, kept in ((at_most, False), (100, True)):
        it = change(old, {**old, "v": "y" * length}, None)
        assert it is not None
        assert (it.patch is not None) is kept


def test_ignored_paths_of_a_document() -> None:
    settings = live(ignore=("at", "rows.*.seen"))
    old: Json = {**ROW, "at": 1, "rows": [{"n": 1, "seen": 1}]}
    assert change_between(old, {**ROW, "at": 2, "rows": [{"n": 1}]}, settings).change is None
    new: Json = {**ROW, "at": 3, "rows": [{"n": 2, "seen": 1}]}
    step = change_between(old, new, settings)
    assert step.change is not None
    assert step.change.document == new


def test_a_merge_patch_where_the_route_offers_it() -> None:
    old: Json = {**ROW, "tags": ["a"], "note": "x"}
    new: Json = {**ROW, "tags": ["a", "b"]}
    it = change_between(old, new, live(None, "merge")).change
    assert it is not None
    assert it.merge == {"tags": ["a", "b"], "note": None}
    assert apply_merge(old, it.merge) == new
    assert change(old, new, None) == Change(document=new, patch=it.patch)


@pytest.mark.parametrize("new", [{**ROW, "a": None}, {"a": 1}, [1]])
def test_where_a_merge_patch_cannot_say_it_or_costs_too_much_there_is_none(new: Json) -> None:
    it = change_between({**ROW}, new, live(None, "merge")).change
    assert it is not None
    assert it.merge is None


def test_deletions_wait_until_they_are_believed() -> None:
    settings, old = live(Items()), rows(*range(20))
    step = change_between(old, [], settings)
    for _ in range(INSISTENT - 2):
        assert step.change is None
        assert "lacks 20 of 20" in step.doubt
        step = change_between(old, [], settings, step.absences)
    step = change_between(old, [], settings, step.absences)
    assert step.change is not None
    assert [item.type for item in step.change.items] == ["deleted"] * 20


def test_incomplete_answers_delete_nothing() -> None:
    step = change_between(rows(1, 2), rows(3), live(Items()), scope="part")
    assert step.change is not None
    assert [(item.type, item.data["key"]) for item in step.change.items] == [("created", 3)]
    assert step.change.document == rows(1, 2, 3)


@given(LISTS, LISTS)
def test_with_order_every_way_leads_to_the_same_list(old: list[Json], new: list[Json]) -> None:
    items = Items(order=True)
    it = change(old, new, items)
    if it is None:
        assert same(old, new)
        return
    assert same(it.document, new)
    if not it.items:
        return
    held: list[tuple[str, Json]] = [(json.dumps(item["id"]), item) for item in old if _has_key(item)]  # type: ignore[call-overload,index]
    for event in it.items:
        held = _followed(held, event.type, event.data)
    if all(_has_key(item) for item in (*old, *new)):
        assert same([item for _, item in held], [*by_key(new).values()]) or len(by_key(new)) < len(new)


def _has_key(item: Json) -> bool:
    return isinstance(item, dict) and item.get("id") is not None


def _followed(held: list[tuple[str, Json]], kind: str, data: dict[str, Json]) -> list[tuple[str, Json]]:
    """The list after an event, as a client keeps it that minds the order."""
    key = json.dumps(data["key"])
    if kind == "updated":
        return [(name, data["item"] if name == key else item) for name, item in held]
    rest = [(name, item) for name, item in held if name != key]
    if kind == "deleted":
        return rest
    item = data["item"] if kind == "created" else dict(held)[key]
    names = [name for name, _ in rest]
    place = 0 if data["after"] is None else names.index(json.dumps(data["after"])) + 1
    return [*rest[:place], (key, item), *rest[place:]]


@given(st.permutations(range(7)), st.permutations(range(7)), st.integers(0, 7), st.integers(0, 7))
def test_order_of_regular_lists(old: list[int], new: list[int], some: int, more: int) -> None:
    before, after = rows(*old[:some]), rows(*new[:more])
    it = change(before, after, Items(order=True))
    if it is None or not it.items:
        return
    held: list[tuple[str, Json]] = [(json.dumps(key), row) for key, row in zip(old[:some], before, strict=True)]
    for event in it.items:
        held = _followed(held, event.type, event.data)
    assert [item for _, item in held] == after


@given(LISTS, LISTS)
def test_without_order_the_state_keeps_its_own(old: list[Json], new: list[Json]) -> None:
    regular = [item for item in new if _has_key(item)]
    once = list(by_key(regular).values())
    before = list(by_key([item for item in old if _has_key(item)]).values())
    it = change(before, once, Items(order=False))
    document = before if it is None else it.document
    assert same({**by_key(document)}, {**by_key(once)})
    assert change(once, once[::-1], Items(order=False)) is None
