from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.stats import METHODS, OTHER, SECONDS, Histogram, Requests, Stats


def test_an_observation_counts_below_its_bound_the_bound_included() -> None:
    histogram = Histogram((1, 2))
    for value in (0, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 7.5


@given(st.lists(st.floats(0, 20)))
def test_every_observation_is_counted_once(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.counts[-1] == sum(value > SECONDS[-1] for value in values)


def test_invented_methods_cost_a_bounded_table_and_no_count_is_lost() -> None:
    requests = Requests()
    for number in range(10_000):
        requests["GET", 200] += 1
        requests[f"X{number}", 405] += 1
        assert len(requests) <= Requests.FRESH + 2 + 1
    assert requests["GET", 200] == 10_000
    assert sum(requests.values()) == 20_000
    assert requests[OTHER, 405] > 9_000


@given(st.lists(st.tuples(st.sampled_from([*METHODS, OTHER, "FOO", "get"]), st.integers(100, 999)), max_size=400))
def test_counts_of_known_methods_are_exact(keys: list[tuple[str, int]]) -> None:
    requests = Requests()
    for key in keys:
        requests[key] += 1
    assert sum(requests.values()) == len(keys)
    for key in set(keys):
        if key[0] in METHODS:
            assert requests[key] == keys.count(key)


def test_routes_upstreams_and_streams_begin_at_zero_when_first_named() -> None:
    stats = Stats()
    stats.routes["/a"].streams["sse"].messages += 2
    stats.upstreams["shop"].answers[200] += 1
    stats.refused["origin"] += 1
    assert stats.routes["/a"].streams["sse"].opened == 0
    assert stats.routes["/b"].requests["GET", 200] == 0
    assert stats.upstreams["shop"].failures["upstream_timeout"] == 0


def test_a_route_is_forgotten_once_nothing_of_it_goes_on() -> None:
    stats = Stats()
    route = stats.routes["a"]
    route.in_flight, route.channels, route.streams["sse"].open = 1, 1, 1
    for part in ("in_flight", "channels"):
        assert not stats.forget("a")
        setattr(route, part, 0)
    assert not stats.forget("a")
    route.streams["sse"].open = 0
    assert stats.forget("a")
    assert stats.forget("b")
    assert not stats.routes


def test_a_configuration_is_counted_as_it_is_taken() -> None:
    config = Stats().config
    assert dict(config.reloads) == {"ok": 0, "failed": 0}
    config.successful = False
    config.took("abc", 5.0)
    assert (config.hash, config.since, config.successful) == ("abc", 5.0, True)
