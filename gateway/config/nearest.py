"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name fewest edits away; empty when that is more than a slip of the fingers."""
    distance, best = min(((edits(name.lower(), other.lower()), other) for other in known), default=(0, ""))
    return best if distance <= 1 + min(len(name), len(best)) // 4 else ""


def did_you_mean(near: str) -> str:
    """`, did you mean 'x'?`, or nothing when no name is near."""
    return f", did you mean {near!r}?" if near else ""


def edits(one: str, other: str) -> int:
    """How many letters to insert, remove, replace or swap with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
