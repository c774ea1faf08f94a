from __future__ import annotations

import copy
import json

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.diff import MAX_DEPTH, diff, escape, rebase
from gateway.core.equal import same
from gateway.core.event import Json
from gateway.core.patch import apply_patch

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | st.sampled_from("abc")
NAMES = st.sampled_from(["a", "b", "", "a/b", "~", "~1", "0", "-"])
DOCUMENTS: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=25
)


def nested(depth: int, core: Json) -> Json:
    for _ in range(depth):
        core = {"a": core}
    return core


@given(DOCUMENTS, DOCUMENTS)
def test_the_patch_leads_from_old_to_new(old: Json, new: Json) -> None:
    before = copy.deepcopy(old)
    patch = diff(old, new)
    assert same(old, before)
    assert same(apply_patch(old, patch), new)
    assert bool(patch) == (not same(old, new))
    assert same(jsonpatch.JsonPatch.from_string(json.dumps(patch)).apply(copy.deepcopy(old)), new)


@given(DOCUMENTS)
def test_no_difference_is_no_operation(document: Json) -> None:
    assert diff(document, json.loads(json.dumps(document))) == []


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1}, {"a": 2}, [{"op": "replace", "path": "/a", "value": 2}]),
        ({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}]),
        ({"a": 1}, {}, [{"op": "remove", "path": "/a"}]),
        ({}, {"a": None}, [{"op": "add", "path": "/a", "value": None}]),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}, [{"op": "replace", "path": "/a/b/0", "value": 2}]),
        ({"a": []}, {"a": {}}, [{"op": "replace", "path": "/a", "value": {}}]),
        ({"x/y~z": 1}, {"x/y~z": 2}, [{"op": "replace", "path": "/x~1y~0z", "value": 2}]),
        ({"": 1}, {"": 2}, [{"op": "replace", "path": "/", "value": 2}]),
        (1, 2, [{"op": "replace", "path": "", "value": 2}]),
        ([1, 2, 3], [0, 1, 2, 3], [{"op": "add", "path": "/0", "value": 0}]),
        ([1, 2, 3], [1, 2, 3, 4], [{"op": "add", "path": "/3", "value": 4}]),
        ([1, 2, 3], [1, 3], [{"op": "remove", "path": "/1"}]),
        ([1, 2, 3], [1, 5, 3], [{"op": "replace", "path": "/1", "value": 5}]),
        ([1, 2, 3], [], [{"op": "remove", "path": f"/{index}"} for index in (2, 1, 0)]),
        ([1, 2, 3], [0, 1, 2], [{"op": "remove", "path": "/2"}, {"op": "add", "path": "/0", "value": 0}]),
        ([7, 7], [7, 7, 7], [{"op": "add", "path": "/2", "value": 7}]),
        ([{"a": 1, "b": 2}], [{"a": 1, "b": 3}], [{"op": "replace", "path": "/0/b", "value": 3}]),
    ],
)
def test_says_it_briefly(old: Json, new: Json, patch: list[Json]) -> None:
    assert diff(old, new) == patch


def test_what_is_new_at_the_head_of_a_page_is_one_addition() -> None:
    page: list[Json] = [{"id": number, "text": "a message"} for number in range(20)]
    newer: list[Json] = [{"id": 99, "text": "a message"}, *page[:-1]]
    assert [operation["op"] for operation in diff(page, newer) if isinstance(operation, dict)] == ["remove", "add"]


def test_a_patch_can_be_moved_into_another_document() -> None:
    old: Json = {"a": 1, "b": [1]}
    operations = rebase(diff(old, {"b": [2]}), "/list/3")
    assert operations == [{"op": "remove", "path": "/list/3/a"}, {"op": "replace", "path": "/list/3/b/0", "value": 2}]
    assert rebase(diff(1, 2), "/0") == [{"op": "replace", "path": "/0", "value": 2}]


def test_what_differs_too_deep_is_replaced_whole() -> None:
    (operation,) = diff(nested(MAX_DEPTH + 5, 1), nested(MAX_DEPTH + 5, 2))
    assert operation == {"op": "replace", "path": "/a" * MAX_DEPTH, "value": nested(5, 2)}


def test_any_depth_is_survived() -> None:
    old, new = nested(20_000, 1), nested(20_000, 2)
    (operation,) = diff([old, 0], [new, 0])
    assert isinstance(operation, dict)
    assert operation["path"] == "/0" + "/a" * (MAX_DEPTH - 1)
    assert len(diff([old, 0, 1], [0, new, 1])) > 0


def test_numbers_beyond_64_bits_in_arrays() -> None:
    old: Json = [10**30, 1, 2]
    new: Json = [1, 10**31, 2]
    assert same(apply_patch(old, diff(old, new)), new)


def test_very_long_arrays_are_compared_by_position() -> None:
    old: list[Json] = [[number] for number in range(20_002)]
    new: list[Json] = [[number + 1] for number in range(20_002)]
    assert len(diff(old, new)) == 20_002


@given(st.text())
def test_escape_is_undone_by_the_pointer(name: str) -> None:
    assert jsonpatch.JsonPointer("/" + escape(name)).parts == [name]
