from __future__ import annotations

import pytest

from gateway.core.event import Json
from gateway.core.keyed import Anonymous, Comparison, compare, identify, irregular, key_of, patch
from gateway.core.patch import apply_patch
from gateway.core.settings import Items

ID = ("id",)


def between(old: list[Json], new: list[Json], items: Items = Items()) -> Comparison | None:  # noqa: B008 - a value
    return compare(identify(old, items.key), identify(new, items.key), items)


def events(old: list[Json], new: list[Json], items: Items = Items()) -> list[tuple[str, Json]]:  # noqa: B008
    comparison = between(old, new, items)
    assert comparison is not None
    return [(change.type, change.data) for change in comparison.changes]


def shirt(id_: Json, **fields: Json) -> dict[str, Json]:
    return {"id": id_, "name": "shirt", **fields}


def test_created_updated_deleted() -> None:
    old: list[Json] = [shirt(1), shirt(2), shirt(3)]
    new: list[Json] = [shirt(4), shirt(1), shirt(3, stock=0)]
    assert events(old, new) == [
        ("deleted", {"key": 2}),
        ("created", {"key": 4, "item": shirt(4)}),
        (
            "updated",
            {
                "key": 3,
                "item": shirt(3, stock=0),
                "changed": ["stock"],
                "patch": [{"op": "add", "path": "/stock", "value": 0}],
            },
        ),
    ]


def test_nothing_happened() -> None:
    assert between([shirt(1)], [{"name": "shirt", "id": 1}]) is None
    assert between([], []) is None


def test_another_order_is_no_event_but_not_nothing() -> None:
    comparison = between([shirt(1), shirt(2)], [shirt(2), shirt(1)])
    assert comparison == Comparison({2: shirt(2), 1: shirt(1)}, {}, (), False)


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0, False), (10**30, 10**30 + 1)])
def test_equal_for_python_is_not_equal_for_json(before: Json, after: Json) -> None:
    ((kind, data),) = events([shirt(1, n=before), shirt(2)], [shirt(1, n=after), shirt(2)])
    assert kind == "updated"
    assert isinstance(data, dict)
    assert repr(data["item"]) == repr(shirt(1, n=after))


@pytest.mark.parametrize(
    ("key", "item", "value"),
    [
        (ID, {"id": 7}, 7),
        (ID, {"id": "7"}, "7"),
        (("meta.id",), {"meta": {"id": 7}}, 7),
        (("shop", "id"), {"id": 7, "shop": "x"}, ["x", 7]),
        (ID, {"id": [1, 2]}, [1, 2]),
        (ID, {"id": 1.5}, 1.5),
        (ID, {"id": False}, False),
    ],
)
def test_the_key_as_clients_read_it(key: tuple[str, ...], item: Json, value: Json) -> None:
    assert key_of(item, key) == value
    assert irregular(identify([item], key)) == 0
    assert events([item], [], Items(key=key)) == [("deleted", {"key": value})]


def test_keys_of_different_types_are_different_keys() -> None:
    values: list[Json] = [1, "1", True, 1.0, [1], ["1"], {"a": 1}, "[1]", "true"]
    items: list[Json] = [{"id": value} for value in values]
    identified = identify(items, ID)
    assert irregular(identified) == 0
    assert len(identified) == len(items)


@pytest.mark.parametrize(("old", "new"), [(True, 1), (1.0, 1), (1, "1")])
def test_a_key_of_another_type_is_another_item(old: Json, new: Json) -> None:
    assert [kind for kind, _ in events([{"id": old}], [{"id": new}])] == ["deleted", "created"]


def test_composite_keys_do_not_run_together() -> None:
    items: list[Json] = [{"a": "x", "b": "yz"}, {"a": "xy", "b": "z"}]
    assert len(identify(items, ("a", "b"))) == 2
    assert irregular(identify(items, ("a", "b"))) == 0


KEYLESS: list[Json] = [{}, {"id": None}, 5, None, "id", ["id"], {"id": {"x": "\ud800"}}]


@pytest.mark.parametrize("item", KEYLESS)
def test_items_without_a_key_are_anonymous(item: Json) -> None:
    identified = identify([shirt(1), item], ID)
    assert list(identified) == [1, Anonymous(0)]
    assert irregular(identified) == 1


def test_of_equal_keys_the_last_is_the_item() -> None:
    identified = identify([shirt(1, n=1), shirt(2), shirt(1, n=2), shirt(1, n=3)], ID)
    assert identified == {
        Anonymous(1): shirt(1, n=1),
        2: shirt(2),
        Anonymous(0): shirt(1, n=2),
        1: shirt(1, n=3),
    }


def test_anonymous_items_that_stay_do_not_hinder_events() -> None:
    old: list[Json] = [shirt(1), {}, shirt(1), shirt(2)]
    assert events(old, [*old[:3], shirt(3)]) == [
        ("deleted", {"key": 2}),
        ("created", {"key": 3, "item": shirt(3)}),
    ]


@pytest.mark.parametrize("new", [[shirt(1), {"x": 1}], [shirt(1)], [shirt(1), {}, {}], [shirt(1), {}, shirt(1)]])
def test_a_change_that_no_event_tells_of(new: list[Json]) -> None:
    comparison = between([shirt(1), {}], new)
    assert comparison is not None
    assert comparison.anonymous
    assert comparison.changes == ()
    assert list(comparison.merged.values()) == new


@pytest.mark.parametrize(
    ("ignore", "after"),
    [
        (("seen",), shirt(1, seen=2)),
        (("seen",), shirt(1)),
        (("seen", "meta.at"), shirt(1, seen=1, meta={"at": 5})),
        (("seen", "meta"), shirt(1, meta=[])),
    ],
)
def test_ignored_fields_alone_are_no_change(ignore: tuple[str, ...], after: Json) -> None:
    before = shirt(1, seen=1, meta={}) if "meta" in repr(ignore) else shirt(1, seen=1)
    assert between([before], [after], Items(ignore=ignore)) is None


def test_an_ignored_field_comes_with_the_next_real_change() -> None:
    items = Items(ignore=("seen",))
    old: list[Json] = [shirt(1, seen=1), shirt(2, seen=1)]
    new: list[Json] = [shirt(1, seen=2), shirt(2, seen=2, stock=5)]
    comparison = between(old, new, items)
    assert comparison is not None
    assert list(comparison.merged.values()) == [shirt(1, seen=1), shirt(2, seen=2, stock=5)]
    assert [change.data["key"] for change in comparison.changes] == [2]


def test_ignoring_leaves_the_document_as_it_is() -> None:
    before, after = shirt(1, meta={"at": 1, "b": 1}), shirt(1, meta={"at": 2, "b": 2})
    between([before], [after], Items(ignore=("meta.at", "nothing.there", "name.x")))
    assert before == shirt(1, meta={"at": 1, "b": 1})
    assert after == shirt(1, meta={"at": 2, "b": 2})


def test_the_patch_is_aligned_by_key() -> None:
    old: list[Json] = [shirt(number) for number in range(10)]
    new: list[Json] = [shirt("new"), *old[:4], shirt(4, stock=1), *old[6:]]
    comparison = between(old, new)
    assert comparison is not None
    operations = patch(identify(old, ID), comparison)
    assert operations == [
        {"op": "add", "path": "/4/stock", "value": 1},
        {"op": "remove", "path": "/5"},
        {"op": "add", "path": "/0", "value": shirt("new")},
    ]
    assert apply_patch(old, operations) == new


def test_one_item_moved_is_one_removed_and_one_added() -> None:
    old: list[Json] = [shirt(number) for number in range(10)]
    new: list[Json] = [*old[1:], old[0]]
    comparison = between(old, new)
    assert comparison is not None
    operations = patch(identify(old, ID), comparison)
    assert operations == [{"op": "add", "path": "/10", "value": shirt(0)}, {"op": "remove", "path": "/0"}]
    assert apply_patch(old, operations) == new


def test_deep_items_are_survived() -> None:
    deep: Json = 1
    for _ in range(5_000):
        deep = [deep]
    assert between([shirt(1, deep=deep)], [shirt(1, deep=deep)]) is None
    assert events([shirt(1, deep=deep)], [shirt(1, deep=[deep])])[0][0] == "updated"
    assert irregular(identify([{"id": deep}], ID)) == 1


def test_changed_names_each_field_once_and_no_ignored_one() -> None:
    before = shirt(1, a={"x": 1, "y": 1}, seen=1, meta={"at": 1, "b": 1}, gone=1)
    after = shirt(1, a={"x": 2, "y": 2}, seen=2, meta={"at": 2, "b": 1}, **{"a/b": 1})
    ((_, data),) = events([before], [after], Items(ignore=("seen", "meta.at")))
    assert isinstance(data, dict)
    assert data["changed"] == ["gone", "a", "a/b"]


def test_order_is_told_by_what_an_item_comes_after() -> None:
    old: list[Json] = [shirt(1), shirt(2), shirt(3), shirt(4), shirt(5)]
    new: list[Json] = [shirt(6), shirt(1), shirt(3), shirt(4), shirt(2, stock=1), shirt(5), shirt(7)]
    assert [(kind, data["key"], data.get("after", "-")) for kind, data in events(old, new, Items(order=True))] == [  # type: ignore[index,union-attr,call-overload]
        ("created", 6, None),
        ("moved", 2, 4),
        ("updated", 2, "-"),
        ("created", 7, 5),
    ]


def test_a_list_that_is_sorted_anew_goes_out_whole() -> None:
    old: list[Json] = [shirt(number) for number in range(10)]
    comparison = between(old, old[::-1], Items(order=True))
    assert comparison is not None
    assert comparison.anonymous
    assert list(comparison.merged.values()) == old[::-1]


def test_a_place_after_an_item_without_a_key_cannot_be_told() -> None:
    comparison = between([shirt(1), {}], [shirt(1), {}, shirt(2)], Items(order=True))
    assert comparison is not None
    assert comparison.anonymous


def test_an_order_that_means_nothing() -> None:
    items = Items(order=False)
    assert between([shirt(1), shirt(2)], [shirt(2), shirt(1)], items) is None
    comparison = between([shirt(1), shirt(2), shirt(3)], [shirt(4), shirt(3), shirt(1)], items)
    assert comparison is not None
    assert list(comparison.merged) == [1, 3, 4]
