from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_plugins.sources.poll_hints import NONE, USUAL, Hints, Rates, hints_of, retry_after, unshared

NOW = 1_700_000_000.0

Pairs = tuple[tuple[bytes, bytes], ...]


def pairs(**headers: str) -> Pairs:
    return tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())


@pytest.mark.parametrize(
    ("headers", "hints"),
    [
        ({}, NONE),
        ({"Content_Type": "x"}, NONE),
        ({"Cache_Control": "public, Max-Age=30, must-revalidate"}, Hints(fresh_for=30.0)),
        ({"Cache_Control": "s-maxage=30"}, NONE),
        ({"Cache_Control": "max-age=soon"}, NONE),
        ({"X_Poll_Interval": "60"}, Hints(slowest=60.0)),
        ({"X_Poll_Interval": "-1"}, NONE),
        ({"RateLimit_Remaining": "0", "RateLimit_Reset": "30"}, Hints(slowest=30.0, exhausted=30.0)),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1700000030"}, Hints(slowest=30.0, exhausted=30.0)),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1500000000"}, Hints(slowest=0.0, exhausted=0.0)),
        ({"RateLimit_Limit": "100", "RateLimit_Remaining": "50", "RateLimit_Reset": "30"}, NONE),
        ({"RateLimit_Limit": "100", "RateLimit_Remaining": "5", "RateLimit_Reset": "30"}, Hints(slowest=6.0)),
        ({"RateLimit": '"default";r=0;t=12'}, Hints(slowest=12.0, exhausted=12.0)),
        ({"RateLimit_Remaining": "0"}, NONE),
        ({"X_Poll_Interval": "20", "RateLimit": '"a";r=0;t=12'}, Hints(slowest=20.0, exhausted=12.0)),
    ],
)
def test_what_headers_ask_for(headers: dict[str, str], hints: Hints) -> None:
    assert hints_of(pairs(**headers), NOW) == hints


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "30"}, 30.0),
        ({"Retry_After": "soon"}, None),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1700000030"}, 30.0),
        ({"Retry_After": "5", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1700000030"}, 5.0),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(pairs(**headers), NOW) == seconds


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        ("30;w=60", 30.0),
        ("1700000030", 30.0),
        ("1700000030.5", 30.5),
        ("1700000030500", 30.5),
        ("1500000000000", 0.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("17ms", 0.017),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("2023-11-14T22:13:50Z", 30.0),
        ("2023-11-14T23:13:50.5+01:00", 30.5),
        ("2023-11-14 22:13:50", 30.0),
        ("2023-11-14Tx", None),
        ("soon", None),
        ("", None),
        ("5x", None),
        ("-5", None),
    ],
)
def test_ways_to_write_a_reset(reset: str, seconds: float | None) -> None:
    headers = pairs(X_RateLimit_Remaining="0", X_RateLimit_Reset=reset)
    assert hints_of(headers, NOW).exhausted == pytest.approx(seconds)
    assert retry_after(headers, NOW) == pytest.approx(seconds)


OWN = Rates(remaining=(b"x-left",), reset=(b"x-reset",), limit=(b"x-max",), combined=b"")


@pytest.mark.parametrize(
    ("headers", "rates", "hints"),
    [
        ({"X_Left": "0", "X_Reset": "30"}, USUAL, NONE),
        ({"X_Left": "0", "X_Reset": "30"}, OWN, Hints(slowest=30.0, exhausted=30.0)),
        ({"X_Left": "0", "X_Reset": "1700000030"}, OWN, Hints(slowest=30.0, exhausted=30.0)),
        ({"X_Left": "5", "X_Reset": "30", "X_Max": "100"}, OWN, Hints(slowest=6.0)),
        ({"RateLimit_Remaining": "0", "RateLimit_Reset": "30", "RateLimit": "a;r=0;t=30"}, OWN, NONE),
        ({"X_Left": "0", "X_Reset": "30", "Cache_Control": "max-age=5"}, OWN, Hints(5.0, 30.0, 30.0)),
    ],
)
def test_headers_of_the_backends_own(headers: dict[str, str], rates: Rates, hints: Hints) -> None:
    assert hints_of(pairs(**headers), NOW, rates) == hints
    assert retry_after(pairs(**headers), NOW, rates) == hints.exhausted


@pytest.mark.parametrize(
    ("left", "limit", "rates", "hints"),
    [
        ("31", "100", USUAL._replace(share=0.2), NONE),
        ("30", "100", USUAL._replace(share=0.2), Hints(slowest=3.0)),  # ten for polls are spread
        ("20", "100", USUAL._replace(share=0.2), Hints(slowest=30.0, exhausted=30.0)),
        ("19", "100", USUAL._replace(share=0.2), Hints(slowest=30.0, exhausted=30.0)),
        ("1", None, USUAL._replace(share=0.2), NONE),
        ("51", None, USUAL._replace(kept=50), NONE),
        ("50", None, USUAL._replace(kept=50), Hints(slowest=30.0, exhausted=30.0)),
    ],
)
def test_a_part_of_the_limit_is_left_to_others(left: str, limit: str | None, rates: Rates, hints: Hints) -> None:
    limits = {"X_RateLimit_Limit": limit} if limit is not None else {}
    headers = pairs(X_RateLimit_Remaining=left, X_RateLimit_Reset="30", **limits)
    assert hints_of(headers, NOW, rates) == hints
    assert retry_after(headers, NOW, rates) == hints.exhausted


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Cache_Control": "max-age=0, Private, must-revalidate"}, "Cache-Control: private"),
        ({"Cache_Control": "no-store"}, "Cache-Control: no-store"),
        ({"Cache_Control": 'private="x-a"'}, "Cache-Control: private"),
        ({"Cache_Control": "public"}, ""),
        ({"Cache_Control": "x-private"}, ""),
        ({"Vary": "Accept-Encoding, Origin"}, ""),
        ({"Vary": "Accept, AUTHORIZATION"}, "Vary: authorization"),
        ({"Vary": "*"}, "Vary: *"),
        ({}, ""),
    ],
)
def test_answers_that_are_not_for_everyone(headers: dict[str, str], why: str) -> None:
    assert unshared(pairs(**headers), frozenset([b"authorization", b"cookie"])) == why


NAMES = st.sampled_from(
    [b"Retry-After", b"RateLimit", b"X-RateLimit-Reset", b"x-ratelimit-remaining", b"Cache-Control", b"X-Poll-Interval"]
)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=80)), max_size=6), st.floats(0, 1e11))
def test_nothing_that_a_backend_sends_does_harm(headers: list[tuple[bytes, bytes]], now: float) -> None:
    for value in hints_of(tuple(headers), now):
        assert value is None or value >= 0
    unshared(tuple(headers), frozenset([b"cookie"]))
    asked = retry_after(tuple(headers), now)
    assert asked is None or asked >= 0
