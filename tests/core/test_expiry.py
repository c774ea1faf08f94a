from __future__ import annotations

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.expiry import Expiries, word_at


def test_things_end_once_and_at_most_a_second_late() -> None:
    expiries: Expiries[str] = Expiries(100.0)
    expiries.add(105.5, "a")
    expiries.add(105.9, "b")
    expiries.add(50.0, "past")
    assert expiries.due(100.5) == []
    assert expiries.due(101.0) == ["past"]
    assert expiries.due(105.9) == []
    assert sorted(expiries.due(106.0)) == ["a", "b"]
    assert expiries.due(1000.0) == []


def test_what_is_discarded_never_ends_and_leaves_nothing() -> None:
    expiries: Expiries[str] = Expiries(100.0)
    expiries.add(200.0, "a")
    expiries.add(90.0, "late")
    expiries.discard(200.0, "a")
    expiries.discard(90.0, "late")
    expiries.discard(90.0, "never there")
    assert len(expiries) == 0
    assert expiries._seconds == {}
    assert expiries.due(300.0) == []


def test_a_machine_that_slept_for_a_year() -> None:
    expiries: Expiries[str] = Expiries(0.0)
    expiries.add(31e6, "a")
    expiries.add(5.0, "b")
    assert expiries.due(3e7) == ["b"]
    assert expiries.due(4e7) == ["a"]


def test_a_clock_that_goes_back_ends_nothing_twice() -> None:
    expiries: Expiries[str] = Expiries(100.0)
    expiries.add(101.0, "a")
    assert expiries.due(102.0) == ["a"]
    assert expiries.due(50.0) == []
    expiries.add(60.0, "b")
    assert expiries.due(103.0) == ["b"]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.floats(0, 5))))
def test_against_a_list(steps: list[tuple[float, bool, float]]) -> None:
    expiries: Expiries[int] = Expiries(0.0)
    waiting: dict[int, float] = {}
    now = 0.0
    for number, (at, gone, pause) in enumerate(steps):
        expiries.add(at, number)
        waiting[number] = max(at, now)
        if gone:
            expiries.discard(at, number)
            del waiting[number]
        now += pause
        for ended in expiries.due(now):
            assert waiting.pop(ended) <= now
        assert all(floor(end) >= floor(now) for end in waiting.values())
        assert len(expiries) == len(waiting)


@pytest.mark.parametrize(
    ("lasts", "before"), [(86_400, 60), (3600, 60), (600, 60), (300, 30), (10, 5), (1, 5), (-5, 5)]
)
def test_word_comes_a_minute_before_the_end_or_a_tenth_of_the_time(lasts: float, before: float) -> None:
    assert word_at(1000.0, 1000.0 + lasts) == 1000.0 + lasts - before
