from __future__ import annotations

import pytest

from gateway.core.depth import MAX_DEPTH, too_deep
from gateway.core.event import Json


def nested(depth: int) -> Json:
    value: Json = 1
    for level in range(depth):
        value = [0, value] if level % 2 else {"a": value, "b": "text"}
    return value


@pytest.mark.parametrize(("depth", "limit"), [(0, 0), (1, 1), (3, 3), (2, 3), (MAX_DEPTH, MAX_DEPTH)])
def test_within_the_limit(depth: int, limit: int) -> None:
    assert not too_deep(nested(depth), limit)


@pytest.mark.parametrize(("depth", "limit"), [(1, 0), (2, 1), (4, 3), (MAX_DEPTH + 1, MAX_DEPTH), (100_000, MAX_DEPTH)])
def test_beyond_the_limit(depth: int, limit: int) -> None:
    assert too_deep(nested(depth), limit)


def test_width_is_not_depth() -> None:
    assert not too_deep([[[]]] * 10_000, 3)
