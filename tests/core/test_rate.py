from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate import Rate


@pytest.mark.parametrize(
    ("left", "seconds", "refilled"), [(0, 0, 0), (0, 0.25, 2.5), (5, 1, 15), (5, 60, 20), (-3, 0.1, -2)]
)
def test_time_gives_back_what_was_spent_up_to_a_burst(left: float, seconds: float, refilled: float) -> None:
    assert Rate(per_second=10, burst=20).refilled(left, seconds) == refilled


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 50)), max_size=50))
def test_no_way_of_asking_gives_more_than_burst_and_rate(asked: list[tuple[float, int]]) -> None:
    rate, left, spent, time = Rate(per_second=10, burst=20), 20.0, 0, 0.0
    for seconds, cost in asked:
        time += seconds
        left = rate.refilled(left, seconds)
        if cost <= left:
            left -= cost
            spent += cost
    assert spent <= 20 + 10 * time + 1e-6
