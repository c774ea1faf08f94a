"""The name that was probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.nearest import did_you_mean, edits, nearest

KNOWN = ["upstream", "path", "live", "methods", "name", "host"]


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("upstrem", "upstream"),
        ("Upstream", "upstream"),
        ("upstraem", "upstream"),
        ("pth", "path"),
        ("method", "methods"),
        ("webhook", ""),
        ("workers", ""),
        ("x", ""),
        ("", ""),
    ],
)
def test_nearest(name: str, best: str) -> None:
    assert nearest(name, KNOWN) == best


def test_nothing_is_near_nothing() -> None:
    assert nearest("a", []) == ""
    assert did_you_mean("") == ""
    assert did_you_mean("path") == ", did you mean 'path'?"


@pytest.mark.parametrize(
    ("one", "other", "count"), [("", "", 0), ("abc", "", 3), ("abc", "acb", 1), ("abc", "abd", 1), ("ca", "abc", 3)]
)
def test_edits(one: str, other: str, count: int) -> None:
    assert edits(one, other) == count


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edits_are_a_distance(one: str, other: str) -> None:
    assert edits(one, other) == edits(other, one)
    assert (edits(one, other) == 0) == (one == other)
    assert abs(len(one) - len(other)) <= edits(one, other) <= max(len(one), len(other))
