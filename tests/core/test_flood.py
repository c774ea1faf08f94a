from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import flood
from gateway.core.flood import (
    ANSWERED,
    FORGIVEN,
    GREETING,
    KNOWN,
    LONGEST,
    MOST,
    PAUSE,
    POINTS,
    RESET,
    SENT,
    TOLD,
    Allowance,
    Floods,
)
from gateway.core.trust import Trusted

ALL = int(POINTS.burst)


def test_what_is_spent_comes_back() -> None:
    one = Allowance(0)
    assert one.spend(ALL, 0)
    assert one.spend(int(POINTS.per_second), 1)
    assert not one.spend(1, 1)
    assert one.spend(ALL, 1000)
    assert not one.spend(1, 1000)


def test_a_page_that_is_left_and_the_next_one() -> None:
    assert Allowance(0).spend(200 * RESET, 0)


def test_a_program_that_cancels_every_other_request() -> None:
    one = Allowance(0)
    for _ in range(10_000):
        one.earn(ANSWERED)
        assert one.spend(RESET, 0)


def test_a_download_earns_window_updates() -> None:
    one = Allowance(0)
    for _ in range(100_000):
        one.earn(SENT)
        assert one.spend(8, 0)


def test_an_office_that_begins_at_once() -> None:
    one = Allowance(0)
    for _ in range(1000):
        one.greet()
        assert one.spend(GREETING, 0)


def test_what_is_earned_is_bounded() -> None:
    one = Allowance(0)
    for _ in range(10_000):
        one.earn(SENT)
    assert one.spend(MOST, 0)
    assert not one.spend(1, 0)


def test_what_was_earned_stays() -> None:
    one = Allowance(0)
    one.earn(1000)
    assert one.spend(ALL + 1000, 60)


def test_who_floods_has_to_wait() -> None:
    one = Allowance(0)
    assert not one.early(0)
    assert not one.spend(ALL + 1, 5)
    assert one.early(5)
    assert one.early(5 + PAUSE - 0.01)
    assert not one.early(5 + PAUSE)


def test_who_is_told_and_comes_nevertheless() -> None:
    one = Allowance(0)
    for begin in (0.0, 1000.0):  # anew for each flood
        one.pause(begin)
        for _ in range(TOLD):
            assert not one.deaf(begin)
            assert one.early(begin)
        assert one.deaf(begin + PAUSE - 0.01)
        assert not one.deaf(begin + PAUSE)


def test_more_of_a_flood_is_no_other_flood_but_insistence() -> None:
    one = Allowance(0)
    assert not one.spend(ALL + 1, 0)
    for _ in range(TOLD):
        assert not one.deaf(1)
        assert not one.spend(ALL + 1, 1)
    assert one.deaf(1)
    assert one.until == PAUSE


def test_pauses_grow_and_are_forgiven() -> None:
    one, now, pauses = Allowance(0), 0.0, []
    for _ in range(7):
        one.pause(now)
        pauses.append(one.until - now)
        now = one.until
    assert pauses == [2, 4, 8, 16, 32, LONGEST, LONGEST]
    one.pause(now + FORGIVEN - 0.01)
    assert one.until == now + FORGIVEN - 0.01 + LONGEST
    now = one.until + FORGIVEN
    one.pause(now)
    assert one.until == now + PAUSE


def test_connections_of_one_address_share() -> None:
    floods = Floods(Trusted(["10.0.0.0/8"]))
    assert floods.of("192.0.2.1", 0) is floods.of("::ffff:192.0.2.1", 0)
    assert floods.of("2001:db8::1", 0) is floods.of("2001:db8::2", 0)
    assert floods.of("192.0.2.1", 0) is not floods.of("192.0.2.2", 0)
    floods.of("192.0.2.1", 0).pause(0)
    assert [floods.early(one, 1) for one in ("192.0.2.1", "192.0.2.2", "192.0.2.3", None)] == [True] + [False] * 3
    for _ in range(TOLD):
        floods.early("192.0.2.1", 1)
    assert [floods.deaf(one, 1) for one in ("192.0.2.1", "192.0.2.2", None)] == [True, False, False]
    assert [floods.until(one, 1) for one in ("192.0.2.1", "192.0.2.3")] == [PAUSE, 1]


@pytest.mark.parametrize("address", ["10.0.0.1", None])
def test_who_stands_for_many_has_one_for_each_connection(address: str | None) -> None:
    floods = Floods(Trusted(["10.0.0.0/8"]))
    one = floods.of(address, 0)
    one.pause(0)
    assert floods.of(address, 0) is not one
    assert not floods.early(address, 0)
    assert len(floods) == 0


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KNOWN == 10_000
    monkeypatch.setattr(flood, "KNOWN", 3)
    floods = Floods(Trusted([]))
    for last in (1, 2, 3, 1, 4):
        floods.of(f"192.0.2.{last}", 0).pause(0)
    assert len(floods) == 3
    assert [floods.early(f"192.0.2.{last}", 0) for last in (1, 2, 3, 4)] == [True, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 0.5), st.integers(0, 20))))
def test_no_more_is_spent_than_there_was(steps: list[tuple[int, float, int]]) -> None:
    one, now = Allowance(0), 0.0
    spent = earned = 0
    for points, seconds, more in steps:
        now += seconds
        one.earn(more)
        earned += more
        if not one.spend(points, now):
            assert one.early(now)
            return
        spent += points
    assert spent <= POINTS.burst + POINTS.per_second * now + earned + 1e-6
