from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.pace import backoff, jittered, parse_retry_after, rest

CHANCE = st.floats(0, 1, exclude_max=True)
NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 9.0), (0.5, 10.0), (0.75, 10.5)])
def test_jitter_is_around_the_interval(random: float, seconds: float) -> None:
    assert jittered(10.0, 0.1, random) == pytest.approx(seconds)


def test_no_jitter_is_the_interval() -> None:
    assert jittered(10.0, 0.0, 0.9) == 10.0


@pytest.mark.parametrize(("elapsed", "pause"), [(0.0, 10.0), (4.0, 6.0), (9.5, 1.0), (10.0, 1.0), (60.0, 1.0)])
def test_starts_are_an_interval_apart_and_a_late_poll_delays(elapsed: float, pause: float) -> None:
    assert rest(10.0, elapsed) == pause


@pytest.mark.parametrize(("attempt", "most"), [(0, 2.0), (1, 4.0), (2, 8.0), (5, 60.0), (10_000, 60.0)])
def test_backoff_doubles_to_its_cap(attempt: int, most: float) -> None:
    assert backoff(attempt, 1.0, 60.0, 0.0) == 1.0
    assert backoff(attempt, 1.0, 60.0, 0.999999) == pytest.approx(most, rel=1e-3)


@given(attempt=st.integers(0, 100_000), first=st.floats(0.1, 3600), most=st.floats(0.1, 3600), random=CHANCE)
def test_backoff_is_never_below_first_nor_above_both(attempt: int, first: float, most: float, random: float) -> None:
    assert first <= backoff(attempt, first, most, random) <= max(first, most)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"120", 120.0),
        (b" 7 ", 7.0),
        (b"Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        (b"Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        (b"Tue Nov 14 22:14:20 2023", 60.0),
        (b"Tue, 14 Nov 1994 22:14:20 GMT", 0.0),
        (b"9" * 60, 1e60),
    ],
)
def test_retry_after(value: bytes, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"soon",
        b"-5",
        b"1.5",
        b"1e9",
        b"\xb2",
        "٣".encode(),
        b"Tue, 99 Nov 2023 22:14:20 GMT",
        b"Tue, 14 Nov 99999999 22:14:20 GMT",
        b"9" * 65,
        b"\x00\xff",
    ],
)
def test_retry_after_that_makes_no_sense(value: bytes) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.binary(max_size=64))
def test_retry_after_survives_anything(value: bytes) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0
