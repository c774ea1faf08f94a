from __future__ import annotations

import copy
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.change import change_between, first_state
from gateway.core.equal import same
from gateway.core.event import Json
from gateway.core.keyed import key_of
from gateway.core.normal import normalised
from gateway.core.settings import Items, LiveSettings, Normal, PluginUse
from gateway.testing.fold import Fold

EVERYWHERE = Normal(places=(("", 1),), unordered=("",))


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (1.234, 2, 1.23),
        (2.675, 2, 2.67),  # the double is a little less than that
        (2.999, 2, 3),
        (3.0, 2, 3),
        (3, 2, 3),
        (-0.001, 2, 0),
        (1e300, 2, 1e300),
        (12345.678, 0, 12346),
        ("1.234", 2, "1.234"),
        (True, 2, True),
        (None, 2, None),
        ([1.26, {"a": 1.24}], 1, [1.3, {"a": 1.2}]),
    ],
)
def test_rounding(value: Json, places: int, expected: Json) -> None:
    assert same(normalised(value, Normal(places=(("", places),))), expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", {"a": 1, "b": [{"c": 1.26, "d": 1.26}, 1.26]}),
        ("b", {"a": 1.26, "b": [{"c": 1, "d": 1}, 1]}),
        ("b.*.c", {"a": 1.26, "b": [{"c": 1, "d": 1.26}, 1.26]}),
        ("b.1", {"a": 1.26, "b": [{"c": 1.26, "d": 1.26}, 1]}),
        ("*", {"a": 1, "b": [{"c": 1, "d": 1}, 1]}),
        ("b.7", {"a": 1.26, "b": [{"c": 1.26, "d": 1.26}, 1.26]}),
        ("b.c", {"a": 1.26, "b": [{"c": 1.26, "d": 1.26}, 1.26]}),
        ("a.x", {"a": 1.26, "b": [{"c": 1.26, "d": 1.26}, 1.26]}),
    ],
)
def test_rounding_at_a_path(path: str, expected: Json) -> None:
    document: Json = {"a": 1.26, "b": [{"c": 1.26, "d": 1.26}, 1.26]}
    kept = copy.deepcopy(document)
    assert same(normalised(document, Normal(places=((path, 0),))), expected)
    assert same(document, kept)


def test_of_several_roundings_the_fewest_decimals_count() -> None:
    normal = Normal(places=(("a", 2), ("*", 1), ("a", 3)))
    assert normalised({"a": 1.234}, normal) == {"a": 1.2}


def test_arrays_stand_in_the_order_of_their_contents() -> None:
    value: Json = ["b", 10, "a", 9, None, True, [2], {"id": 1}, 9.5]
    assert normalised(value, Normal(unordered=("",))) == [9, 9.5, 10, "a", "b", [2], None, True, {"id": 1}]


@pytest.mark.parametrize("value", [["b", "a!", 'a"', "a"], [10, 9, -1], [True, 1, 0], ["1", 1], [1, 0.5]])
def test_arrays_of_one_kind_and_of_many(value: list[Json]) -> None:
    in_order = normalised(value, Normal(unordered=("",)))
    assert in_order == normalised(value[::-1], Normal(unordered=("",)))
    if len(set(map(type, value))) == 1:
        assert in_order == sorted(value)  # type: ignore[type-var]  # of one type


def test_only_named_arrays_are_put_in_order() -> None:
    value: Json = {"tags": ["b", "a"], "lines": [{"codes": [2, 1]}, {"codes": [1, 0]}], "path": [2, 1], "n": 1}
    normal = Normal(unordered=("lines.*.codes", "lines", "tags", "n", "no.where"))
    assert normalised(value, normal) == {
        "tags": ["a", "b"],
        "lines": [{"codes": [0, 1]}, {"codes": [1, 2]}],
        "path": [2, 1],
        "n": 1,
    }


VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1, 1.0, True, 2**70, "\ud800", -0.0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=20,
)
PATHS = st.sampled_from(["", "a", "b", "a.*", "*", "*.a", "0", "*.*.b"])
NORMALS = st.builds(
    lambda places, unordered: Normal(
        places=tuple(places), unordered=tuple(sorted(unordered, key=lambda path: path.count("."), reverse=True))
    ),
    st.lists(st.tuples(PATHS, st.integers(0, 15)), max_size=3),
    st.lists(PATHS.filter(bool), max_size=3) | st.just([""]),
)


@given(VALUES, NORMALS)
def test_the_form_of_a_form_is_that_form(value: Json, normal: Normal) -> None:
    kept = copy.deepcopy(value)
    form = normalised(value, normal)
    assert same(normalised(form, normal), form)
    assert same(value, kept)


def shuffled(value: Json, chance: random.Random) -> Json:
    """The same, all arrays in any order, and objects too."""
    if isinstance(value, list):
        return chance.sample([shuffled(element, chance) for element in value], len(value))
    if isinstance(value, dict):
        return {name: shuffled(value[name], chance) for name in chance.sample(list(value), len(value))}
    return value


@given(VALUES, st.randoms(use_true_random=False))
def test_any_order_has_one_form(value: Json, chance: random.Random) -> None:
    form = normalised(value, Normal(unordered=("",)))
    assert json.dumps(normalised(shuffled(value, chance), Normal(unordered=("",))), sort_keys=True) == json.dumps(
        form, sort_keys=True
    )


ITEMS: st.SearchStrategy[list[Json]] = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(1, 4)},
        optional={
            "price": st.floats(0, 3) | st.integers(0, 3),
            "tags": st.lists(st.sampled_from(["a", "b", 1, 1.04, 0.99]), max_size=3),
            "seen": st.integers(0, 2),
        },
    ),
    max_size=4,
    unique_by=lambda item: str(key_of(item, ("id",))),
)


@given(st.lists(ITEMS, min_size=1, max_size=6), st.booleans())
def test_no_client_drifts_from_the_snapshot(answers: list[list[Json]], ignoring: bool) -> None:
    """Whoever applies patches, whoever applies item events and whoever comes late hold the same, to the last digit:
    the form of what the backend said."""
    items = Items(normal=EVERYWHERE, ignore=("seen",) if ignoring else (), max_delete_ratio=1.0)
    live = LiveSettings(source=PluginUse(name="", options=None), items=items)
    by_patch, by_item = Fold(), Fold()
    first = first_state(answers[0], live).change
    assert first is not None
    document = first.document
    for fold in (by_patch, by_item):
        fold.one({"type": "snapshot", "data": document})
    for answer in answers[1:]:
        form = [normalised(item, EVERYWHERE) for item in answer]
        change = change_between(document, answer, live).change
        if change is None:
            assert ignoring or same(document, form)
            continue
        document = change.document
        assert ignoring or same(document, form)
        snapshot: dict[str, Json] = {"type": "snapshot", "data": document}
        by_patch.one(snapshot if change.patch is None else {"type": "patch", "data": change.patch})
        by_item.all([{"type": one.type, "data": dict(one.data)} for one in change.items] or [snapshot])
        assert same(by_patch.state, document)
        assert same(keyed(by_item.state), keyed(document))


def keyed(state: Json) -> Json:
    assert isinstance(state, list)
    return {str(item["id"]): item for item in state if isinstance(item, dict)}


def sendable(value: Json) -> bool:
    """Decoders let no lone surrogate through."""
    return "ud800" not in json.dumps(value)


@given(VALUES.filter(sendable), VALUES.filter(sendable))
def test_a_document_without_items_has_its_form_too(old: Json, new: Json) -> None:
    live = LiveSettings(source=PluginUse(name="", options=None), normal=EVERYWHERE)
    first = first_state(old, live).change
    assert first is not None
    assert same(first.document, normalised(old, EVERYWHERE))
    change = change_between(first.document, new, live).change
    now = first.document if change is None else change.document
    assert same(now, normalised(new, EVERYWHERE))


def test_what_differs_by_less_is_no_change() -> None:
    live = LiveSettings(source=PluginUse(name="", options=None), items=Items(normal=EVERYWHERE))
    old = first_state([{"id": 1, "sum": 0.30000000000000004, "tags": ["a", "b"]}], live).change
    assert old is not None
    assert change_between(old.document, [{"id": 1, "sum": 0.3, "tags": ["b", "a"]}], live).change is None
    step = change_between(old.document, [{"id": 1, "sum": 0.36, "tags": ["b", "a"]}], live)
    assert step.change is not None
    assert [item.data["changed"] for item in step.change.items] == [["sum"]]
