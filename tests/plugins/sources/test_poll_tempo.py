from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_plugins.sources.poll_hints import NONE, Hints
from gateway_plugins.sources.poll_tempo import Pace, Tempo

ADAPTIVE = Pace(base=8.0, shortest=1.0, longest=64.0, adapt=True, jitter=0.0, tolerate=2, max_backoff=60.0)
FIXED = Pace(base=8.0, shortest=8.0, longest=8.0, adapt=False, jitter=0.0, tolerate=2, max_backoff=60.0)


def tempo(pace: Pace, phase: float = 1.0) -> Tempo:
    """After its first poll."""
    made = Tempo(pace, phase)
    made.succeeded(changed=True, took=0.0, hints=NONE, random=0.5)
    return made


def pauses(made: Tempo, *changes: bool, took: float = 0.0) -> list[float]:
    return [made.succeeded(changed=change, took=took, hints=NONE, random=0.5) for change in changes]


@pytest.mark.parametrize("hints", [Hints(slowest=30.0, exhausted=30.0), Hints(slowest=9e9, exhausted=9e9)])
def test_nothing_brings_a_poll_before_the_reset(hints: Hints) -> None:
    made = Tempo(replace(FIXED, jitter=0.5), 0.01)
    least = min(hints.exhausted or 0.0, FIXED.max_wait)
    for took in (0.0, 1.0):  # the first is spread, the second varies
        assert made.succeeded(changed=False, took=took, hints=hints, random=0.0) == least


def test_changes_make_it_quicker_down_to_the_shortest() -> None:
    assert pauses(tempo(ADAPTIVE), True, True, True, True) == [4.0, 2.0, 1.0, 1.0]


def test_quiet_makes_it_slower_up_to_the_longest() -> None:
    assert pauses(tempo(ADAPTIVE), *[False] * 24)[1::3] == [12.0, 18.0, 27.0, 40.5, 60.75, 64.0, 64.0, 64.0]


def test_a_fixed_interval_is_fixed() -> None:
    assert set(pauses(tempo(FIXED), True, True, False, False, False, False)) == {8.0}
    assert tempo(FIXED).succeeded(changed=False, took=0.0, hints=Hints(fresh_for=60.0), random=0.5) == 8.0


def test_a_wish_makes_it_quicker_within_the_range_and_while_it_lasts() -> None:
    wishes = [5.0]
    made = Tempo(ADAPTIVE, 1.0, lambda: min(wishes))
    assert pauses(made, False) == [5.0]
    assert made.soonest == 5.0
    wishes.append(0.1)
    assert pauses(made, False) == [1.0]
    wishes[:] = [30.0]
    assert pauses(made, False) == [12.0], "one that is longer changes nothing"
    fixed = Tempo(FIXED, 1.0, lambda: 1.0)
    assert pauses(fixed, False, False) == [8.0, 8.0]


def test_what_the_backend_tells_goes_before_a_wish() -> None:
    made = Tempo(ADAPTIVE, 1.0, lambda: 2.0)
    assert made.soonest == inf, "nothing is known yet"
    assert made.succeeded(changed=False, took=0.0, hints=Hints(slowest=20.0), random=0.5) == 20.0
    assert made.soonest == 20.0
    made.succeeded(changed=False, took=0.0, hints=Hints(exhausted=50.0), random=0.5)
    assert made.soonest == 50.0
    pauses(made, False, took=9.0)
    assert made.interval == 4.0, "a slow backend is spared"
    made.failed(took=0.0, retry_after=None, random=0.5)
    assert made.soonest == inf


def test_a_slow_backend_is_asked_less_often_until_it_has_time() -> None:
    made = tempo(ADAPTIVE)
    pauses(made, False, took=9.0)
    assert made.interval == 16.0, "over the whole interval"
    pauses(made, True, took=9.0)
    assert made.interval == 10.0, "over the half of it: twice as quick for the change, a quarter slower for the load"
    pauses(made, *[True] * 30, took=0.1)
    assert made.interval == 1.0


def test_the_first_answer_is_no_change_and_its_pause_is_the_channels_own() -> None:
    first = Tempo(ADAPTIVE, 0.25)
    assert first.succeeded(changed=True, took=0.0, hints=NONE, random=0.5) == 2.0


def test_what_answers_say_counts_within_the_range() -> None:
    made = tempo(ADAPTIVE)
    assert made.succeeded(changed=False, took=0.0, hints=Hints(fresh_for=3.0), random=0.5) == 8.0
    assert made.succeeded(changed=False, took=0.0, hints=Hints(fresh_for=30.0), random=0.5) == 30.0
    assert tempo(ADAPTIVE).succeeded(changed=False, took=0.0, hints=Hints(fresh_for=9e9), random=0.5) == 64.0


def test_what_the_backend_wants_counts_for_a_fixed_interval_too_but_not_for_ever() -> None:
    made = tempo(FIXED)
    assert made.succeeded(changed=False, took=0.0, hints=Hints(slowest=30.0), random=0.5) == 30.0
    assert made.succeeded(changed=False, took=0.0, hints=Hints(slowest=9e9), random=0.5) == 60.0


def test_a_backend_that_was_slow_for_long_is_soon_forgiven() -> None:
    made = tempo(ADAPTIVE)
    pauses(made, *[True] * 100, took=100.0)
    assert pauses(made, *[True] * 20)[-1] == 1.0


def test_failures_keep_the_pace_then_back_off_and_end_with_a_success() -> None:
    made = tempo(FIXED)
    assert [made.failed(took=0.0, retry_after=None, random=0.5) for _ in range(5)] == [8.0, 8.0, 12.0, 20.0, 34.0]
    assert pauses(made, False) == [8.0]
    assert made.failures == 0


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.floats(0, 1e4), st.floats(0, 1e12), st.floats(0, 0.999)),
        max_size=50,
    ),
    st.floats(0.1, 100),
    st.floats(1, 100),
    st.floats(1, 100),
)
def test_no_pause_is_out_of_bounds(
    steps: list[tuple[bool, bool, float, float, float]], shortest: float, base: float, longest: float
) -> None:
    pace = Pace(
        base=shortest * base,
        shortest=shortest,
        longest=shortest * base * longest,
        adapt=True,
        jitter=0.1,
        tolerate=2,
        max_backoff=60.0,
    )
    made = Tempo(pace, 0.5)
    for good, changed, took, asked, random in steps:
        if good:
            hints = Hints(fresh_for=asked, slowest=asked)
            pause = made.succeeded(changed=changed, took=took, hints=hints, random=random)
        else:
            pause = made.failed(took=took, retry_after=asked, random=random)
        most = max(pace.longest, pace.max_backoff) * 1.1
        assert shortest * 0.9 / 10 - 1e-9 <= pause <= most + 1e-6  # a tenth of an interval that jitter made shorter
        assert shortest <= made.interval <= pace.longest + 1e-6


@pytest.mark.parametrize("pace", [ADAPTIVE, FIXED])
def test_it_shows_its_state(pace: Pace) -> None:
    assert repr(Tempo(pace, 1.0)) == "<Tempo every 8 s, 0 failures>"


def test_while_hints_stay_away_the_operators_fallback_is_the_longest() -> None:
    fallback = [inf]
    made = Tempo(FIXED, 1.0, fallback=lambda: fallback[-1])
    assert pauses(made, False, False) == [8.0, 8.0]
    fallback.append(0.5)
    assert made.soonest == 0.5
    assert pauses(made, False, True) == [0.5, 0.5]
    assert made.succeeded(changed=False, took=0.0, hints=Hints(slowest=3.0), random=0.5) == 3.0, (
        "the backend goes first"
    )
    held = Hints(fresh_for=3.0)
    assert made.succeeded(changed=False, took=0.0, hints=held, random=0.5) == 0.5, "max-age is for ranges"
    fallback.append(60.0)
    assert pauses(made, False) == [8.0], "one that is longer changes nothing"
    fallback.append(inf)
    assert pauses(made, False) == [8.0]
