"""What Prometheus reads: the plain numbers of `gateway.core.stats` as metric families.

Labels hold names from the configuration and words of ours alone, never paths, users or channels: the number
of series is known when the configuration is. Collecting only reads, so it may run in a thread beside the
event loop: a mapping is copied before it is walked, and a scrape may miss what happens during it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from gateway import __version__
from gateway.core.stats import METHODS, OTHER, Histogram, RouteStats, Stats, StreamStats, TlsStats, UpstreamStats

Labels = tuple[str, ...]
Row = tuple[Labels, float]
Numbers = Mapping[str, int] | Mapping[int, int] | Mapping[str, float]
S = TypeVar("S")
V = TypeVar("V")

ROUTE = ("route",)
STREAM = ("transport", "route")
UPSTREAM = ("upstream",)
LISTEN = ("listen",)


def registry(stats: Stats, config_hash: str, lost_lines: Callable[[], int]) -> CollectorRegistry:
    """Everything that a scrape shows: this process, its build and configuration, and its stats."""
    collectors = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=collectors)
    collectors.register(StatsCollector(stats, config_hash, lost_lines))
    return collectors


class StatsCollector(Collector):
    """Metric families made from `stats` at each scrape; `lost_lines` counts what the access log dropped."""

    def __init__(self, stats: Stats, config_hash: str, lost_lines: Callable[[], int]) -> None:
        self._stats = stats
        self._hash = config_hash
        self._lost_lines = lost_lines

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "tidegate_build",
            "Version of the gateway and of Python.",
            {"version": __version__, "python": platform.python_version()},
        )
        yield InfoMetricFamily("tidegate_config", "Hash of the configuration in force.", {"hash": self._hash})
        yield CounterMetricFamily(
            "tidegate_access_log_dropped_lines",
            "Lines of the access log that could not be written.",
            self._lost_lines(),
        )
        yield from _clients(self._stats)
        yield from _tls({(address,): tls for address, tls in dict(self._stats.tls).items()})
        routes: dict[Labels, RouteStats] = {(name,): route for name, route in dict(self._stats.routes).items()}
        yield from _requests(routes)
        yield from _streams(_by_transport(routes))
        yield from _sessions({labels: route for labels, route in routes.items() if "session" in route.streams})
        yield from _webhooks({labels: route for labels, route in routes.items() if route.webhook.deliveries})
        yield from _sources({labels: route for labels, route in routes.items() if route.polls})
        yield from _channels(
            {labels: route for labels, route in routes.items() if route.polls or route.events or route.channels}
        )
        yield from _upstreams({(name,): upstream for name, upstream in dict(self._stats.upstreams).items()})


def _clients(stats: Stats) -> Iterator[Metric]:
    yield GaugeMetricFamily("tidegate_connections", "Client sockets that are open.", stats.connections)
    yield CounterMetricFamily("tidegate_connections_accepted", "Client sockets accepted.", stats.accepted)
    yield _counter(
        "tidegate_refused",
        "Requests and handshakes that the gateway refused, by reason.",
        ("reason",),
        _each({(): stats}, lambda all_: all_.refused),
    )
    yield _counter(
        "tidegate_auth_requests",
        "Requests and handshakes that an authenticator was asked about, by its result.",
        ("authenticator", "result"),
        _each({(name,): counts for name, counts in dict(stats.auth).items()}, lambda counts: counts),
    )


def _tls(listeners: dict[Labels, TlsStats]) -> Iterator[Metric]:
    yield _counter(
        "tidegate_tls_handshakes", "TLS handshakes completed.", LISTEN, _one(listeners, lambda it: it.handshakes)
    )
    yield _counter(
        "tidegate_tls_handshake_failures",
        "TLS handshakes that failed, by reason.",
        (*LISTEN, "reason"),
        _each(listeners, lambda it: it.failures),
    )
    yield _gauge(
        "tidegate_tls_cert_not_after_seconds",
        "When a certificate ends to be valid, in seconds since 1970.",
        (*LISTEN, "cert"),
        _each(listeners, lambda it: it.not_after),
    )
    yield _counter(
        "tidegate_tls_cert_reloads",
        "Changed certificate files that were taken (ok) or not (failed).",
        (*LISTEN, "result"),
        _each(listeners, lambda it: it.reloads),
    )


def _requests(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield _counter(
        "tidegate_http_requests",
        "HTTP requests answered; streams are not among them.",
        ("route", "method", "status"),
        _by_method(routes),
    )
    yield _gauge(
        "tidegate_http_requests_in_flight",
        "HTTP requests being answered.",
        ROUTE,
        _one(routes, lambda route: route.in_flight),
    )
    yield _histogram(
        "tidegate_http_request_duration_seconds",
        "From a request's head to the last byte of its answer; streams are not among them.",
        ROUTE,
        _one(routes, lambda route: route.seconds),
    )


def _by_method(routes: dict[Labels, RouteStats]) -> Iterator[Row]:
    """Requests with methods of the client's invention folded into one."""
    counts: dict[Labels, int] = {}
    for labels, route in routes.items():
        for (method, status), count in dict(route.requests).items():
            key = (*labels, method if method in METHODS else OTHER, str(status))
            counts[key] = counts.get(key, 0) + count
    yield from counts.items()


def _by_transport(routes: dict[Labels, RouteStats]) -> dict[Labels, StreamStats]:
    return {
        (transport, *labels): stream
        for labels, route in routes.items()
        for transport, stream in dict(route.streams).items()
    }


def _streams(streams: dict[Labels, StreamStats]) -> Iterator[Metric]:
    yield _gauge("tidegate_streams", "Streams that are open.", STREAM, _one(streams, lambda it: it.open))
    yield _gauge(
        "tidegate_streams_behind",
        "Streams whose client has not read all that there is for it.",
        STREAM,
        _one(streams, lambda it: it.behind),
    )
    yield _counter("tidegate_streams_opened", "Streams begun.", STREAM, _one(streams, lambda it: it.opened))
    yield _counter(
        "tidegate_streams_closed",
        "Streams ended, by reason.",
        (*STREAM, "reason"),
        _each(streams, lambda it: it.closed),
    )
    yield _histogram(
        "tidegate_stream_duration_seconds",
        "How long streams lasted that have ended.",
        STREAM,
        _one(streams, lambda it: it.seconds),
    )
    yield _counter(
        "tidegate_messages",
        "Messages to (out) and from (in) the clients of streams.",
        (*STREAM, "direction"),
        _each(streams, lambda it: {"out": it.messages, "in": it.received}),
    )
    yield _counter(
        "tidegate_message_bytes",
        "Bytes of messages to (out) the clients of streams.",
        (*STREAM, "direction"),
        _each(streams, lambda it: {"out": it.bytes}),
    )
    yield _counter(
        "tidegate_stream_skips",
        "Times that a slow stream fell out of its channel's log.",
        STREAM,
        _one(streams, lambda it: it.skipped),
    )
    yield _counter(
        "tidegate_stream_resets",
        "Snapshots sent because a client's position could not be continued.",
        STREAM,
        _one(streams, lambda it: it.resets),
    )


def _sessions(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield _gauge(
        "tidegate_session_subscriptions",
        "Subscriptions that sessions hold.",
        ROUTE,
        _one(routes, lambda route: route.session.subscriptions),
    )
    yield _counter(
        "tidegate_session_operations",
        "What the clients of sessions asked for, by result: ok, or the error's code.",
        ("route", "op", "result"),
        (
            ((*labels, *key), count)
            for labels, route in routes.items()
            for key, count in dict(route.session.operations).items()
        ),
    )


def _webhooks(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield _counter(
        "tidegate_webhook_requests",
        "Deliveries to webhooks, by what has become of them.",
        ("route", "result"),
        _each(routes, lambda route: route.webhook.deliveries),
    )
    yield _counter(
        "tidegate_webhook_secrets",
        "Genuine deliveries, by the place of their secret among those of the route, from 1.",
        ("route", "secret"),
        _each(routes, lambda route: route.webhook.secrets),
    )
    yield _counter(
        "tidegate_webhook_faults",
        "What a route asks for and a delivery did not have, by what it was for: nothing was done there.",
        ("route", "fault"),
        _each(routes, lambda route: route.webhook.faults),
    )


def _sources(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield _counter(
        "tidegate_source_polls",
        "Looks at the backend, by result.",
        ("route", "result"),
        _each(routes, lambda route: route.polls),
    )
    yield _histogram(
        "tidegate_source_poll_duration_seconds",
        "How long a look at the backend took.",
        ROUTE,
        _one(routes, lambda route: route.poll_seconds),
    )
    yield _histogram(
        "tidegate_source_poll_pause_seconds",
        "The pause after a good look at the backend: the interval in force, less what the look took.",
        ROUTE,
        _one(routes, lambda route: route.pause_seconds),
    )
    yield _histogram(
        "tidegate_source_backoff_seconds",
        "The pause after a look at the backend that failed.",
        ROUTE,
        _one(routes, lambda route: route.backoff_seconds),
    )
    yield _histogram(
        "tidegate_source_batch_resources",
        "How many resources one request of a batch asked for.",
        ROUTE,
        _one(routes, lambda route: route.batches),
    )
    yield _counter(
        "tidegate_source_incidents",
        "What an operator should know of a backend, by what it was.",
        ("route", "incident"),
        _each(routes, lambda route: route.incidents),
    )
    yield _gauge(
        "tidegate_source_staleness_seconds",
        "Since when the backend has not confirmed a state, for the channel where that is longest.",
        ROUTE,
        _one(routes, lambda route: route.staleness),
    )
    yield _counter(
        "tidegate_source_refreshes",
        "Resources that a write or a webhook may have changed: looked at at once (asked), or followed by nobody.",
        ("route", "result"),
        _each(routes, lambda route: route.refreshes),
    )
    yield _counter(
        "tidegate_source_reconciled_events",
        "Looks that found a change which no webhook had announced, on routes that webhooks refresh.",
        ROUTE,
        _one(routes, lambda route: route.reconciled),
    )
    yield _gauge(
        "tidegate_source_hints_overdue",
        "1 while the webhooks that should tell of a route are silent (hints), and it is looked at more often.",
        ROUTE,
        _one(routes, lambda route: route.hints_overdue),
    )
    yield _counter(
        "tidegate_source_doubted_answers",
        "Answers that lacked most of a list and were not believed until repeated.",
        ROUTE,
        _one(routes, lambda route: route.doubted),
    )
    yield _counter(
        "tidegate_source_irregular_items",
        "Items without a key of their own, counted in every state that was compared.",
        ROUTE,
        _one(routes, lambda route: route.irregular),
    )


def _channels(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield _counter(
        "tidegate_events",
        "Events on channels, by type; each is counted once, whatever the number of its receivers.",
        ("route", "type"),
        _each(routes, lambda route: route.events),
    )
    yield _counter(
        "tidegate_events_conflated",
        "Events that were not sent because a later one took their place (conflate).",
        ROUTE,
        _one(routes, lambda route: route.conflated),
    )
    yield _gauge(
        "tidegate_channels",
        "Channels that are being followed.",
        ROUTE,
        _one(routes, lambda route: route.channels),
    )
    yield _gauge(
        "tidegate_channels_failing",
        "Channels whose source fails; their subscribers keep the last state.",
        ROUTE,
        _one(routes, lambda route: route.failing),
    )


def _upstreams(upstreams: dict[Labels, UpstreamStats]) -> Iterator[Metric]:
    yield _counter(
        "tidegate_upstream_requests",
        "Answers of an upstream, by status.",
        ("upstream", "status"),
        _each(upstreams, lambda it: it.answers),
    )
    yield _counter(
        "tidegate_upstream_failures",
        "Requests to an upstream without a whole answer, by reason.",
        ("upstream", "reason"),
        _each(upstreams, lambda it: it.failures),
    )
    yield _counter(
        "tidegate_upstream_retries",
        "Requests sent to an upstream once more.",
        UPSTREAM,
        _one(upstreams, lambda it: it.retries),
    )
    yield _histogram(
        "tidegate_upstream_request_duration_seconds",
        "From a request to an upstream to the head of its answer.",
        UPSTREAM,
        _one(upstreams, lambda it: it.seconds),
    )
    yield _gauge(
        "tidegate_upstream_connections",
        "Open connections to an upstream, in use (active) or kept for the next request (idle).",
        ("upstream", "state"),
        _each(upstreams, lambda it: {"active": it.connections - it.idle, "idle": it.idle}),
    )


def _one(counted: dict[Labels, S], value: Callable[[S], V]) -> Iterator[tuple[Labels, V]]:
    return ((labels, value(it)) for labels, it in counted.items())


def _each(
    counted: dict[Labels, S], values: Callable[[S], Mapping[str, int] | Mapping[int, int] | Mapping[str, float]]
) -> Iterator[Row]:
    return (((*labels, str(key)), count) for labels, it in counted.items() for key, count in dict(values(it)).items())


def _counter(name: str, text: str, labels: Labels, rows: Iterable[Row]) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=labels), rows)


def _gauge(name: str, text: str, labels: Labels, rows: Iterable[Row]) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), rows)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, rows: Iterable[Row]) -> Metric:
    for labelled, value in rows:
        family.add_metric(labelled, value)
    return family


def _histogram(name: str, text: str, labels: Labels, rows: Iterable[tuple[Labels, Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for labelled, histogram in rows:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        counts = accumulate(histogram.counts[:])
        family.add_metric(labelled, list(zip(bounds, counts, strict=True)), histogram.total)
    return family
