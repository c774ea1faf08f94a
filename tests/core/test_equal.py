from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.equal import same
from gateway.core.event import Json

BIG = 10**30

SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([-1.0, 0.0, 1.0, 0.5]) | st.sampled_from("ab")
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)


def nested(depth: int, core: Json) -> Json:
    for _ in range(depth):
        core = [core]
    return core


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (None, None),
        (1, 1),
        (0.0, -0.0),
        ("a", "a"),
        ({"a": 1, "b": [True]}, {"b": [True], "a": 1}),
        ({"a": BIG, "b": 1}, {"b": 1, "a": BIG}),
        (["\ud800"], ["\ud800"]),
        (nested(100_000, 1), nested(100_000, 1)),
    ],
    ids=range(8),
)
def test_the_same(left: Json, right: Json) -> None:
    assert same(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (0, False),
        (1, 1.0),
        (None, False),
        ([1], [True]),
        ({"a": {"b": 1}}, {"a": {"b": 1.0}}),
        ([BIG, 1], [BIG, True]),
        ([BIG], [BIG + 1]),
        ([1], [1, 1]),
        ({"a": 1}, {"b": 1}),
        ([], {}),
        ({"a": 1, "b": [True]}, {"b": [1], "a": 1}),
        (nested(100_000, 1), nested(100_000, True)),
    ],
    ids=range(13),
)
def test_not_the_same(left: Json, right: Json) -> None:
    assert not same(left, right)


@given(VALUES, VALUES)
def test_agrees_with_sorted_text(left: Json, right: Json) -> None:
    assert same(left, right) == (json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True))
    assert same(left, json.loads(json.dumps(left)))
