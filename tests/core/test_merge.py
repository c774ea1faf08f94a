from __future__ import annotations

import copy

import json_merge_patch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.diff import diff
from gateway.core.equal import same
from gateway.core.event import Json
from gateway.core.merge import apply_merge, merge_patch


def between(old: Json, new: Json) -> dict[str, Json] | None:
    return merge_patch(diff(old, new), new)


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1, "b": 1}, {"b": 1}, {"a": None}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 2, "y": 1}}, {"a": {"x": 2}}),
        ({"a": 1}, {"a": {"x": {}}}, {"a": {"x": {}}}),
        ({"a": {"x": 1}}, {"a": 1}, {"a": 1}),
        ({}, {"a": [None, {"x": None}]}, {"a": [None, {"x": None}]}),
        ({"a": [1, 2, 3]}, {"a": [1, 3, {"n": None}]}, {"a": [1, 3, {"n": None}]}),
        ({"l": [{"x": 1}, 2]}, {"l": [{"x": 2}, 2]}, {"l": [{"x": 2}, 2]}),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, {"a/b": {"~": 2}}),
        ({"a": None}, {}, {"a": None}),
    ],
)
def test_what_it_says(old: Json, new: Json, patch: Json) -> None:
    assert between(old, new) == patch
    assert apply_merge(old, patch) == new


@pytest.mark.parametrize(
    ("old", "new"),
    [({"a": 1}, {"a": None}), ({}, {"a": {"b": None}}), ([1], [2]), ({}, []), ([], {}), (1, {"a": 1})],
)
def test_what_it_cannot_say(old: Json, new: Json) -> None:
    assert between(old, new) is None


def test_beyond_the_depth_of_the_diff_there_is_none() -> None:
    old: Json = {"x": 1, "gone": 1}
    new: Json = {"x": 2}
    for _ in range(40):
        old, new = {"a": old}, {"a": new}
    assert between(old, new) is None


JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "~", "/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~1"]), inner),
    max_leaves=12,
)
OBJECTS: st.SearchStrategy[Json] = st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON).map(lambda it: it)


@given(OBJECTS | JSON, OBJECTS | JSON)
def test_applied_it_gives_the_new_document(old: Json, new: Json) -> None:
    kept = copy.deepcopy(old)
    patch = between(old, new)
    if patch is None:
        return
    assert same(apply_merge(old, patch), new)
    assert same(json_merge_patch.merge(copy.deepcopy(old), patch), new)
    assert same(old, kept)


@given(OBJECTS, JSON)
def test_applying_is_what_others_do(old: Json, patch: Json) -> None:
    """The other implementation has a quirk of its own: it does not drop nulls inside of what is new."""
    if isinstance(patch, dict) and isinstance(old, dict) and not _null_in_new(old, patch):
        assert same(apply_merge(old, patch), json_merge_patch.merge(copy.deepcopy(old), patch))


def _null_in_new(old: Json, patch: Json) -> bool:
    if not isinstance(patch, dict):
        return False
    known = old if isinstance(old, dict) else None
    return any(
        (value is None and known is None) or _null_in_new(known.get(name) if known else None, value)
        for name, value in patch.items()
    )


@given(OBJECTS, OBJECTS)
def test_without_nulls_there_always_is_one(old: Json, new: Json) -> None:
    if "None" not in repr(new):
        assert between(old, new) is not None
