from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.change import PATCH_SHARE, change_between
from gateway.core.equal import same
from gateway.core.event import Change, Json
from gateway.core.patch import apply_patch
from gateway.core.settings import Items

ROW: dict[str, Json] = {"name": "a shirt with a name that is long enough to be worth a patch", "price": 9.5}


def rows(*ids: Json, **more: Json) -> list[Json]:
    return [{"id": id_, **ROW, **more} for id_ in ids]


def test_the_first_state_is_a_snapshot() -> None:
    assert change_between(None, [1], None, first=True) == Change(document=[1])
    assert change_between(None, rows(1), Items(), first=True) == Change(document=rows(1))
    assert change_between(None, None, None, first=True) == Change(document=None)


def test_nothing_changed() -> None:
    assert change_between({"a": 1}, {"a": 1}, None) is None
    assert change_between(None, None, None) is None
    assert change_between(rows(1, 2), rows(1, 2), Items()) is None


def test_a_document_changes_by_its_patch() -> None:
    change = change_between({**ROW, "stock": 1}, {**ROW, "stock": 2}, None)
    assert change == Change(document={**ROW, "stock": 2}, patch=[{"op": "replace", "path": "/stock", "value": 2}])


def test_a_patch_that_is_hardly_smaller_than_the_document_is_left_out() -> None:
    assert change_between({"a": 1}, {"a": 2}, None) == Change(document={"a": 2})
    assert change_between([1], {"a": 2}, None) == Change(document={"a": 2})


def test_a_long_list_is_weighed_by_a_sample() -> None:
    old, new = rows(*range(1000)), rows(*range(1000))
    for index in range(0, 1000, 50):
        new[index] = {"id": index, **ROW, "price": 0}
    change = change_between(old, new, None)
    assert change is not None
    assert change.patch is not None
    assert change_between(old, rows(*range(1000), price=0), None) is not None
    assert change_between(old, rows(*range(1000), name="x" * 500), None) == Change(
        document=rows(*range(1000), name="x" * 500)
    )


def test_items() -> None:
    change = change_between(rows(1, 2, 3, 4), rows(5, 1, 2, 3, 4), Items())
    assert change is not None
    assert change.patch == [{"op": "add", "path": "/0", "value": rows(5)[0]}]
    assert [(item.type, item.data["key"]) for item in change.items] == [("created", 5)]
    assert change.span == 1


def test_another_order_alone_has_a_patch_and_no_items() -> None:
    change = change_between(rows(*range(9)), rows(*range(1, 9), 0), Items())
    assert change is not None
    assert change.items == ()
    assert change.patch is not None
    assert apply_patch(rows(*range(9)), change.patch) == rows(*range(1, 9), 0)


def test_changes_of_items_without_a_key_are_a_snapshot_for_everyone() -> None:
    old, new = [*rows(1, 2, 3, 4), "x"], [*rows(1, 2, 3, 5), "y"]
    assert change_between(old, new, Items()) == Change(document=new)


@pytest.mark.parametrize("document", [None, {}, {"SECRET": 1}, "SECRET", 5])
@pytest.mark.parametrize("at", [None, "data"])
@pytest.mark.parametrize("first", [True, False])
def test_items_that_are_no_list(document: Json, at: str | None, first: bool) -> None:
    with pytest.raises(ValueError, match="list") as caught:
        change_between([], document, Items(at=at), first=first)
    assert "SECRET" not in str(caught.value)


def test_a_state_from_before_there_were_items_is_none() -> None:
    assert change_between({"a": 1}, rows(1), Items()) == Change(document=rows(1))


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
    change = change_between(old, new, items)
    assert same(old, kept)
    if change is None:
        assert same(without(old, "seen"), without(new, "seen")) if ignoring else same(old, new)
        return
    if ignoring:
        assert same(without(change.document, "seen"), without(new, "seen"))
    else:
        assert same(change.document, new)
    if change.patch is not None:
        assert same(apply_patch(old, change.patch), change.document)
    if change.patch is not None or change.items:
        check_items(old, change)


def check_items(old: list[Json], change: Change) -> None:
    held = by_key(old)
    for item in change.items:
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
    assert same(held_now, {**by_key(change.document)})


def test_the_share_that_a_patch_may_cost() -> None:
    old: dict[str, Json] = {"pad": "x" * 200, "v": ""}
    at_most = int(PATCH_SHARE * 1000)
    for length, kept in ((at_most, False), (100, True)):
        change = change_between(old, {**old, "v": "y" * length}, None)
        assert change is not None
        assert (change.patch is not None) is kept
