"""What Prometheus reads: the plain numbers of `gateway.core.stats` as metric families.

Labels hold names from the configuration and words of ours alone, never paths, users or channels: the number
of series is known when the configuration is. Collecting only reads, so it may run in a thread beside the
event loop: a mapping is copied before it is walked, and a scrape may miss what happens during it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from gateway import __version__
from gateway.admin.configuration import configuration
from gateway.admin.families import Labels, Row, counter, each, gauge, histogram, one
from gateway.core.stats import METHODS, OTHER, RouteStats, Stats, StreamStats, TlsStats, UpstreamStats

ROUTE = ("route",)
STREAM = ("transport", "route")
UPSTREAM = ("upstream",)
LISTEN = ("listen",)


def registry(stats: Stats, lost_lines: Callable[[], int]) -> CollectorRegistry:
    """Everything that a scrape shows: this process, its build and configuration, and its stats."""
    collectors = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=collectors)
    collectors.register(StatsCollector(stats, lost_lines))
    return collectors


class StatsCollector(Collector):
    """Metric families made from `stats` at each scrape; `lost_lines` counts what the access log dropped."""

    def __init__(self, stats: Stats, lost_lines: Callable[[], int]) -> None:
        self._stats = stats
        self._lost_lines = lost_lines

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "tidegate_build",
            "Version of the gateway and of Python.",
            {"version": __version__, "python": platform.python_version()},
        )
        yield from configuration(self._stats.config)
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
    yield counter(
        "tidegate_refused",
        "Requests and handshakes that the gateway refused, by reason.",
        ("reason",),
        each({(): stats}, lambda all_: all_.refused),
    )
    yield counter(
        "tidegate_auth_requests",
        "Requests and handshakes that an authenticator was asked about, by its result.",
        ("authenticator", "result"),
        each({(name,): counts for name, counts in dict(stats.auth).items()}, lambda counts: counts),
    )


def _tls(listeners: dict[Labels, TlsStats]) -> Iterator[Metric]:
    yield counter(
        "tidegate_tls_handshakes", "TLS handshakes completed.", LISTEN, one(listeners, lambda it: it.handshakes)
    )
    yield counter(
        "tidegate_tls_handshake_failures",
        "TLS handshakes that failed, by reason.",
        (*LISTEN, "reason"),
        each(listeners, lambda it: it.failures),
    )
    yield gauge(
        "tidegate_tls_cert_not_after_seconds",
        "When a certificate ends to be valid, in seconds since 1970.",
        (*LISTEN, "cert"),
        each(listeners, lambda it: it.not_after),
    )
    yield counter(
        "tidegate_tls_cert_reloads",
        "Changed certificate files that were taken (ok) or not (failed).",
        (*LISTEN, "result"),
        each(listeners, lambda it: it.reloads),
    )


def _requests(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield counter(
        "tidegate_http_requests",
        "HTTP requests answered; streams are not among them.",
        ("route", "method", "status"),
        _by_method(routes),
    )
    yield gauge(
        "tidegate_http_requests_in_flight",
        "HTTP requests being answered.",
        ROUTE,
        one(routes, lambda route: route.in_flight),
    )
    yield histogram(
        "tidegate_http_request_duration_seconds",
        "From a request's head to the last byte of its answer; streams are not among them.",
        ROUTE,
        one(routes, lambda route: route.seconds),
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
    yield gauge("tidegate_streams", "Streams that are open.", STREAM, one(streams, lambda it: it.open))
    yield gauge(
        "tidegate_streams_behind",
        "Streams whose client has not read all that there is for it.",
        STREAM,
        one(streams, lambda it: it.behind),
    )
    yield counter("tidegate_streams_opened", "Streams begun.", STREAM, one(streams, lambda it: it.opened))
    yield counter(
        "tidegate_streams_closed",
        "Streams ended, by reason.",
        (*STREAM, "reason"),
        each(streams, lambda it: it.closed),
    )
    yield histogram(
        "tidegate_stream_duration_seconds",
        "How long streams lasted that have ended.",
        STREAM,
        one(streams, lambda it: it.seconds),
    )
    yield counter(
        "tidegate_messages",
        "Messages to (out) and from (in) the clients of streams.",
        (*STREAM, "direction"),
        each(streams, lambda it: {"out": it.messages, "in": it.received}),
    )
    yield counter(
        "tidegate_message_bytes",
        "Bytes of messages to (out) the clients of streams.",
        (*STREAM, "direction"),
        each(streams, lambda it: {"out": it.bytes}),
    )
    yield counter(
        "tidegate_stream_skips",
        "Times that a slow stream fell out of its channel's log.",
        STREAM,
        one(streams, lambda it: it.skipped),
    )
    yield counter(
        "tidegate_stream_resets",
        "Snapshots sent because a client's position could not be continued.",
        STREAM,
        one(streams, lambda it: it.resets),
    )


def _sessions(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield gauge(
        "tidegate_session_subscriptions",
        "Subscriptions that sessions hold.",
        ROUTE,
        one(routes, lambda route: route.session.subscriptions),
    )
    yield counter(
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
    yield counter(
        "tidegate_webhook_requests",
        "Deliveries to webhooks, by what has become of them.",
        ("route", "result"),
        each(routes, lambda route: route.webhook.deliveries),
    )
    yield counter(
        "tidegate_webhook_secrets",
        "Genuine deliveries, by the place of their secret among those of the route, from 1.",
        ("route", "secret"),
        each(routes, lambda route: route.webhook.secrets),
    )
    yield counter(
        "tidegate_webhook_faults",
        "What a route asks for and a delivery did not have, by what it was for: nothing was done there.",
        ("route", "fault"),
        each(routes, lambda route: route.webhook.faults),
    )


def _sources(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield counter(
        "tidegate_source_polls",
        "Looks at the backend, by result.",
        ("route", "result"),
        each(routes, lambda route: route.polls),
    )
    yield histogram(
        "tidegate_source_poll_duration_seconds",
        "How long a look at the backend took.",
        ROUTE,
        one(routes, lambda route: route.poll_seconds),
    )
    yield histogram(
        "tidegate_source_poll_pause_seconds",
        "The pause after a good look at the backend: the interval in force, less what the look took.",
        ROUTE,
        one(routes, lambda route: route.pause_seconds),
    )
    yield histogram(
        "tidegate_source_backoff_seconds",
        "The pause after a look at the backend that failed.",
        ROUTE,
        one(routes, lambda route: route.backoff_seconds),
    )
    yield histogram(
        "tidegate_source_batch_resources",
        "How many resources one request of a batch asked for.",
        ROUTE,
        one(routes, lambda route: route.batches),
    )
    yield counter(
        "tidegate_source_incidents",
        "What an operator should know of a backend, by what it was.",
        ("route", "incident"),
        each(routes, lambda route: route.incidents),
    )
    yield gauge(
        "tidegate_source_staleness_seconds",
        "Since when the backend has not confirmed a state, for the channel where that is longest.",
        ROUTE,
        one(routes, lambda route: route.staleness),
    )
    yield counter(
        "tidegate_source_refreshes",
        "Resources that a write or a webhook may have changed: looked at at once (asked), or followed by nobody.",
        ("route", "result"),
        each(routes, lambda route: route.refreshes),
    )
    yield counter(
        "tidegate_source_reconciled_events",
        "Looks that found a change which no webhook had announced, on routes that webhooks refresh.",
        ROUTE,
        one(routes, lambda route: route.reconciled),
    )
    yield gauge(
        "tidegate_source_hints_overdue",
        "1 while the webhooks that should tell of a route are silent (hints), and it is looked at more often.",
        ROUTE,
        one(routes, lambda route: route.hints_overdue),
    )
    yield counter(
        "tidegate_source_doubted_answers",
        "Answers that lacked most of a list and were not believed until repeated.",
        ROUTE,
        one(routes, lambda route: route.doubted),
    )
    yield counter(
        "tidegate_source_irregular_items",
        "Items without a key of their own, counted in every state that was compared.",
        ROUTE,
        one(routes, lambda route: route.irregular),
    )


def _channels(routes: dict[Labels, RouteStats]) -> Iterator[Metric]:
    yield counter(
        "tidegate_events",
        "Events on channels, by type; each is counted once, whatever the number of its receivers.",
        ("route", "type"),
        each(routes, lambda route: route.events),
    )
    yield counter(
        "tidegate_events_conflated",
        "Events that were not sent because a later one took their place (conflate).",
        ROUTE,
        one(routes, lambda route: route.conflated),
    )
    yield gauge(
        "tidegate_channels",
        "Channels that are being followed.",
        ROUTE,
        one(routes, lambda route: route.channels),
    )
    yield gauge(
        "tidegate_channels_failing",
        "Channels whose source fails; their subscribers keep the last state.",
        ROUTE,
        one(routes, lambda route: route.failing),
    )


def _upstreams(upstreams: dict[Labels, UpstreamStats]) -> Iterator[Metric]:
    yield counter(
        "tidegate_upstream_requests",
        "Answers of an upstream, by status.",
        ("upstream", "status"),
        each(upstreams, lambda it: it.answers),
    )
    yield counter(
        "tidegate_upstream_failures",
        "Requests to an upstream without a whole answer, by reason.",
        ("upstream", "reason"),
        each(upstreams, lambda it: it.failures),
    )
    yield counter(
        "tidegate_upstream_retries",
        "Requests sent to an upstream once more.",
        UPSTREAM,
        one(upstreams, lambda it: it.retries),
    )
    yield histogram(
        "tidegate_upstream_request_duration_seconds",
        "From a request to an upstream to the head of its answer.",
        UPSTREAM,
        one(upstreams, lambda it: it.seconds),
    )
    yield gauge(
        "tidegate_upstream_connections",
        "Open connections to an upstream, in use (active) or kept for the next request (idle).",
        ("upstream", "state"),
        each(upstreams, lambda it: {"active": it.connections - it.idle, "idle": it.idle}),
    )
