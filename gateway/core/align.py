"""Which elements of one list are still there, in the same order, in another.

Knows nothing of what the elements are: they come as unique, hashable identities, or as sizes only. What is
paired are indexes, one of the old list and one of the new; both grow from pair to pair.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

Pairs = list[tuple[int, int]]


class Gap(NamedTuple):
    """What lies between two pairs: old elements that went, new ones that came."""

    old: range
    new: range


def align(old: Sequence[Hashable], new: Sequence[Hashable]) -> Pairs:
    """Pairs of the same identity, as many as possible. What is not paired was removed, added or moved."""
    if old == new:
        return [(index, index) for index in range(len(old))]
    where = {identity: index for index, identity in enumerate(old)}
    pairs = [(where[identity], index) for index, identity in enumerate(new) if identity in where]
    places = [before for before, _ in pairs]
    if all(map(int.__lt__, places, places[1:])):
        return pairs
    return [pairs[index] for index in _longest_growing(places)]


def gaps(pairs: Pairs, old: int, new: int) -> Iterator[Gap]:
    """What `pairs` leave out of lists of these sizes, from the first gap to the last."""
    old_start = new_start = 0
    if len(pairs) == old == new:
        return
    for i, j in (*pairs, (old, new)):
        if i > old_start or j > new_start:
            yield Gap(range(old_start, i), range(new_start, j))
        old_start, new_start = i + 1, j + 1


def neighbours(pairs: Pairs, old: int, new: int) -> Pairs:
    """More pairs for what `pairs` leave out: what went with what came in the same place."""
    return [pair for gap in gaps(pairs, old, new) for pair in zip(gap.old, gap.new, strict=False)]


def _longest_growing(numbers: Sequence[int]) -> list[int]:
    """The indexes of a longest strictly growing subsequence (patience sorting, n log n)."""
    tails: list[int] = []  # tails[n]: the smallest number that ends a growing run of n + 1
    ends: list[int] = []  # and its index
    before: list[int] = []
    for index, number in enumerate(numbers):
        place = bisect_left(tails, number)
        before.append(ends[place - 1] if place else -1)
        tails[place : place + 1] = [number]
        ends[place : place + 1] = [index]
    run: list[int] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(index)
        index = before[index]
    return run[::-1]
