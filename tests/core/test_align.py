from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.align import Gap, align, gaps, neighbours

UNIQUE = st.lists(st.integers(0, 9), unique=True, max_size=6)


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ("", "", []),
        ("abc", "abc", [(0, 0), (1, 1), (2, 2)]),
        ("abc", "xabc", [(0, 1), (1, 2), (2, 3)]),
        ("abc", "ac", [(0, 0), (2, 1)]),
        ("abc", "xyz", []),
        ("abcd", "dabc", [(0, 1), (1, 2), (2, 3)]),
        ("abc", "cba", [(0, 2)]),
    ],
)
def test_keeps_what_stays_in_order(old: str, new: str, pairs: list[tuple[int, int]]) -> None:
    found = align(old, new)
    assert len(found) == len(pairs)
    if old != new[::-1]:
        assert found == pairs


@given(UNIQUE, UNIQUE)
def test_pairs_grow_are_alike_and_are_the_most(old: list[int], new: list[int]) -> None:
    pairs = align(old, new)
    assert all(old[i] == new[j] for i, j in pairs)
    assert all(a < b and c < d for (a, c), (b, d) in pairwise(pairs))
    longest = max(size for size in range(len(old) + 1) for part in combinations(old, size) if _runs_through(part, new))
    assert len(pairs) == longest


def _runs_through(part: tuple[int, ...], whole: list[int]) -> bool:
    rest = iter(whole)
    return all(number in rest for number in part)


def test_gaps_are_what_pairs_leave_out() -> None:
    assert list(gaps([(1, 0), (2, 3)], 5, 4)) == [
        Gap(range(0, 1), range(0, 0)),
        Gap(range(2, 2), range(1, 3)),
        Gap(range(3, 5), range(4, 4)),
    ]
    assert list(gaps([(0, 0), (1, 1)], 2, 2)) == []
    assert list(gaps([], 0, 0)) == []


def test_neighbours_pair_what_went_with_what_came() -> None:
    assert neighbours([(2, 2)], 5, 4) == [(0, 0), (1, 1), (3, 3)]
    assert neighbours([], 2, 0) == []
