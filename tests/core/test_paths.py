from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event import Json
from gateway.core.paths import covers, parse_path, without


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("seen_at", ("seen_at",)),
        ("meta.seen_at", ("meta", "seen_at")),
        ("prices.*.at", ("prices", "*", "at")),
        ("/meta/seen.at", ("meta", "seen.at")),
        ("/a~1b/c~0d/~01", ("a/b", "c~d", "~1")),
    ],
)
def test_paths(text: str, path: tuple[str, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", "/", ".", "a.", ".a", "a..b", "//", "/a/"])
def test_empty_steps(text: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        parse_path(text)


DOCUMENT: Json = {"a": {"b": 1, "c": 2}, "list": [{"b": 1, "d": [1, 2]}, {"b": 2}, 3], "n": None}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.b", {**DOCUMENT, "a": {"c": 2}}),  # type: ignore[dict-item]
        ("a.*", {**DOCUMENT, "a": {}}),  # type: ignore[dict-item]
        ("list.*.b", {**DOCUMENT, "list": [{"d": [1, 2]}, {}, 3]}),  # type: ignore[dict-item]
        ("list.0.d.1", {**DOCUMENT, "list": [{"b": 1, "d": [1]}, {"b": 2}, 3]}),  # type: ignore[dict-item]
        ("list.1", {**DOCUMENT, "list": [{"b": 1, "d": [1, 2]}, 3]}),  # type: ignore[dict-item]
        ("list.*", {**DOCUMENT, "list": []}),  # type: ignore[dict-item]
        ("*.b", {**DOCUMENT, "a": {"c": 2}}),  # type: ignore[dict-item]
        ("*", {}),
    ],
)
def test_without(path: str, expected: Json) -> None:
    before = copy.deepcopy(DOCUMENT)
    assert without(DOCUMENT, parse_path(path)) == expected
    assert before == DOCUMENT


@pytest.mark.parametrize(
    "path", ["x", "a.x", "a.b.c", "n.x", "list.9", "list.x", "list.-1", "list.²", "list." + "9" * 99]
)
def test_what_is_not_there_is_left_alone(path: str) -> None:
    assert without(DOCUMENT, parse_path(path)) == DOCUMENT


def test_covers() -> None:
    assert covers(("a", "*"), ("a", "x", "y"))
    assert covers(("a",), ("a",))
    assert not covers(("a", "b"), ("a",))
    assert not covers(("a",), ("b",))


STEPS = st.lists(st.sampled_from(["a", "b", "*", "0"]), min_size=1, max_size=3).map(tuple)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.integers(0, 2), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner)
)


@given(VALUES, STEPS)
def test_once_is_enough_where_no_index_moves(value: Json, path: tuple[str, ...]) -> None:
    kept = copy.deepcopy(value)
    once = without(value, path)
    assert value == kept
    if "0" not in path:
        assert without(once, path) == once
