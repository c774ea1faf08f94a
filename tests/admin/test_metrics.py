from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from gateway import __version__
from gateway.admin.metrics import registry
from gateway.core.stats import Stats

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

# The library's own parser has no types.
parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(stats: Stats, lost: int = 0) -> Samples:
    stats.config.hash = "0123abcd"
    text = generate_latest(registry(stats, lambda: lost)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_classic(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def busy() -> Stats:
    """Every number different, so that none can be taken for another."""
    stats = Stats(connections=3, accepted=5)
    stats.refused["origin"] = 7
    route = stats.routes["/api/shirts"]
    route.requests["GET", 200] = 11
    route.requests["BREW", 418] = 13
    route.requests["FOO", 418] = 17
    route.in_flight = 19
    for seconds in (0.0005, 0.002, 20.0):
        route.seconds.observe(seconds)
    stream = route.streams["sse"]
    stream.open, stream.opened, stream.messages, stream.bytes = 23, 29, 31, 37
    stream.received, stream.skipped, stream.resets = 41, 43, 47
    stream.closed["too_slow"] = 53
    stream.seconds.observe(90)
    route.polls["changed"] = 59
    route.poll_seconds.observe(0.3)
    route.refreshes["asked"] = 113
    route.doubted, route.irregular, route.conflated = 107, 109, 131
    route.events["created"] = 61
    route.channels = 67
    upstream = stats.upstreams["shop"]
    upstream.answers[304] = 71
    upstream.failures["upstream_timeout"] = 73
    upstream.retries = 79
    upstream.seconds.observe(0.02)
    upstream.connections, upstream.idle = 97, 8
    tls = stats.tls["0.0.0.0:443"]
    tls.handshakes, tls.failures["timeout"], tls.reloads["failed"] = 101, 103, 107
    tls.not_after["cert.pem"] = 1.8e9
    return stats


def test_every_number_is_shown_where_it_belongs() -> None:
    seen = scraped(busy(), lost=83)
    route, upstream = {"route": "/api/shirts"}, {"upstream": "shop"}
    stream = {**route, "transport": "sse"}
    expected = [
        ("connections", {}, 3),
        ("connections_accepted_total", {}, 5),
        ("refused_total", {"reason": "origin"}, 7),
        ("http_requests_total", {**route, "method": "GET", "status": "200"}, 11),
        ("http_requests_total", {**route, "method": "other", "status": "418"}, 30),
        ("http_requests_in_flight", route, 19),
        ("streams", stream, 23),
        ("streams_opened_total", stream, 29),
        ("messages_total", {**stream, "direction": "out"}, 31),
        ("message_bytes_total", {**stream, "direction": "out"}, 37),
        ("messages_total", {**stream, "direction": "in"}, 41),
        ("stream_skips_total", stream, 43),
        ("stream_resets_total", stream, 47),
        ("streams_closed_total", {**stream, "reason": "too_slow"}, 53),
        ("source_polls_total", {**route, "result": "changed"}, 59),
        ("source_refreshes_total", {**route, "result": "asked"}, 113),
        ("source_doubted_answers_total", route, 107),
        ("source_irregular_items_total", route, 109),
        ("events_total", {**route, "type": "created"}, 61),
        ("events_conflated_total", route, 131),
        ("channels", route, 67),
        ("upstream_requests_total", {**upstream, "status": "304"}, 71),
        ("upstream_failures_total", {**upstream, "reason": "upstream_timeout"}, 73),
        ("upstream_retries_total", upstream, 79),
        ("upstream_connections", {**upstream, "state": "idle"}, 8),
        ("upstream_connections", {**upstream, "state": "active"}, 89),
        ("tls_handshakes_total", {"listen": "0.0.0.0:443"}, 101),
        ("tls_handshake_failures_total", {"listen": "0.0.0.0:443", "reason": "timeout"}, 103),
        ("tls_cert_reloads_total", {"listen": "0.0.0.0:443", "result": "failed"}, 107),
        ("tls_cert_not_after_seconds", {"listen": "0.0.0.0:443", "cert": "cert.pem"}, 1.8e9),
        ("access_log_dropped_lines_total", {}, 83),
        ("build_info", {"version": __version__, "python": platform.python_version()}, 1),
        ("config_info", {"hash": "0123abcd"}, 1),
    ]
    for name, labels, number in expected:
        assert value(seen, f"tidegate_{name}", **labels) == number, name


@pytest.mark.parametrize(
    ("name", "labels", "le", "count", "total"),
    [
        ("http_request_duration_seconds", {"route": "/api/shirts"}, {"0.001": 1, "0.0025": 2, "10.0": 2}, 3, 20.0025),
        ("stream_duration_seconds", {"route": "/api/shirts", "transport": "sse"}, {"60.0": 0, "300.0": 1}, 1, 90),
        ("source_poll_duration_seconds", {"route": "/api/shirts"}, {"0.25": 0, "0.5": 1}, 1, 0.3),
        ("upstream_request_duration_seconds", {"upstream": "shop"}, {"0.01": 0, "0.025": 1}, 1, 0.02),
    ],
)
def test_histograms_are_cumulative(
    name: str, labels: dict[str, str], le: dict[str, int], count: int, total: float
) -> None:
    seen = scraped(busy())
    for bound, below in {**le, "+Inf": count}.items():
        assert value(seen, f"tidegate_{name}_bucket", **labels, le=bound) == below
    assert value(seen, f"tidegate_{name}_count", **labels) == count
    assert value(seen, f"tidegate_{name}_sum", **labels) == pytest.approx(total)


def test_a_route_that_is_not_live_has_no_series_of_live_things() -> None:
    stats = Stats()
    stats.routes["/**"].requests["GET", 200] += 1
    names = {name for name, labels in scraped(stats) if ("route", "/**") in labels}
    assert {name.removeprefix("tidegate_http_request") for name in names} == {
        "s_total",
        "s_in_flight",
        "_duration_seconds_bucket",
        "_duration_seconds_count",
        "_duration_seconds_sum",
    }


def test_this_process_is_shown() -> None:
    seen = scraped(Stats())
    assert value(seen, "process_resident_memory_bytes") > 0
    assert value(seen, "process_open_fds") > 0
    assert value(seen, "process_start_time_seconds") > 1e9


def test_a_scrape_changes_nothing() -> None:
    stats = busy()
    assert scraped(stats).keys() == scraped(stats).keys()
    assert "unknown" not in stats.routes
    assert dict(stats.routes["/api/shirts"].requests) == dict(busy().routes["/api/shirts"].requests)


async def test_both_formats_can_be_read_and_say_the_same(client: httpx.AsyncClient) -> None:
    classic = await client.get("/metrics")
    open_ = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    ours = [
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("tidegate_")
        }
        for families in (list(parse_classic(classic.text)), list(parse_openmetrics(open_.text)))
    ]
    assert ours[0] == ours[1]
    assert open_.text.endswith("# EOF\n")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
@pytest.mark.parametrize("stats_of", [Stats, busy])
def test_promtool_finds_nothing_to_say(stats_of: type[Stats]) -> None:
    text = generate_latest(registry(stats_of(), lambda: 0))
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")


def test_the_documentation_lists_exactly_these_metrics() -> None:
    text = generate_latest(registry(busy(), lambda: 0)).decode()
    exposed = set(re.findall(r"^# TYPE (tidegate_\w+)", text, re.MULTILINE))
    documented = set(re.findall(r"^\| `(tidegate_\w+)", OPERATIONS.read_text(), re.MULTILINE))
    assert documented == exposed


def test_a_scrape_in_a_thread_is_not_disturbed_by_new_series() -> None:
    stats = busy()
    requests, refused = stats.routes["/api/shirts"].requests, stats.refused
    for number in range(5000):
        refused[f"r{number}"] = requests["GET", number] = 1
    collectors = registry(stats, lambda: 0)
    with ThreadPoolExecutor(1) as executor:
        scrapes = [executor.submit(generate_latest, collectors) for _ in range(5)]
        added = 0
        while not scrapes[-1].done():
            key = f"new{added % 100}"
            for mapping in (stats.routes, stats.upstreams, refused):
                if added % 200 < 100:
                    mapping[key]
                else:
                    del mapping[key]
            if added % 200 < 100:
                requests[key, 200] = 1
            else:
                del requests[key, 200]
            added += 1
        assert all(scrape.result().endswith(b"\n") for scrape in scrapes)
