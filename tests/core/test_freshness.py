"""What is told of freshness, to those who are there and to those who come later."""

from __future__ import annotations

from gateway.core.event import Event, Json
from gateway.core.freshness import Freshness

TODAY = 1_700_000_000.0
SINCE = "2023-11-14T22:13:20+00:00"


def data(event: Event | None) -> Json:
    assert event is not None
    assert event.type == "status"
    return event.data


def test_nothing_is_told_of_what_was_never_wrong() -> None:
    fresh = Freshness()
    assert fresh.change("ok", {}, now=0, today=TODAY) is None
    assert (fresh.told, fresh.failing, fresh.age(5)) == (None, False, None)
    assert not fresh.worth_telling(5)


def test_what_goes_wrong_is_told_once_and_what_is_over_as_recovered() -> None:
    fresh = Freshness()
    fresh.confirm(10)
    told = fresh.change("stale", {"reason": "down"}, now=15, today=TODAY)
    assert data(told) == {"state": "stale", "since": SINCE, "reason": "down", "age": 5}
    assert fresh.failing
    assert fresh.change("stale", {"reason": "still down"}, now=20, today=TODAY + 5) is None
    assert fresh.told is told
    fresh.confirm(30)
    over = fresh.change("ok", {"reason": "none"}, now=30, today=TODAY + 15)
    assert data(over) == {"state": "recovered", "since": "2023-11-14T22:13:35+00:00", "age": 0}
    assert not fresh.failing
    assert fresh.change("ok", {}, now=31, today=TODAY) is None
    assert data(fresh.change("error", {}, now=32, today=TODAY)) == {"state": "error", "since": SINCE, "age": 2}


def test_one_trouble_after_another() -> None:
    fresh = Freshness()
    states = ["error", "stale", "suspect", "stale", "ok"]
    told = [data(fresh.change(state, {}, now=0, today=TODAY)) for state in states]
    assert told == [{"state": state, "since": SINCE} for state in [*states[:-1], "recovered"]]


def test_who_comes_later_is_told_how_it_is_then() -> None:
    fresh = Freshness()
    fresh.confirm(0)
    assert not fresh.worth_telling(0.9)
    assert fresh.worth_telling(1)
    assert data(fresh.present(12.34)) == {"state": "ok", "age": 12.3}
    fresh.change("stale", {"reason": "down", "retry_at": "soon"}, now=20, today=TODAY)
    fresh.change("stale", {"reason": "slow", "retry_at": "later"}, now=30, today=TODAY + 10)
    late = {"state": "stale", "since": SINCE, "reason": "slow", "retry_at": "later", "age": 40}
    assert data(fresh.present(40)) == late
    fresh.confirm(41)
    assert fresh.worth_telling(41)
    fresh.change("ok", {}, now=41, today=TODAY)
    assert data(fresh.present(41)) == {"state": "ok", "age": 0}
    assert not fresh.worth_telling(41)


def test_a_failure_that_nobody_hears_of_is_known_until_the_next_success() -> None:
    fresh = Freshness()
    fresh.failed = True
    fresh.confirm(1)
    assert not fresh.failed
    assert repr(fresh) == "<Freshness ok>"
