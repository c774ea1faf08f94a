"""Lets everything that the configuration names be there with zeros, so that Prometheus sees the first event.

`rate()` needs two samples: a series that appears with its first event shows no change at all.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from gateway.core import codes
from gateway.core.delivery import RESULTS, Fault
from gateway.core.event import EventType
from gateway.core.settings import Gateway, Route
from gateway.core.stats import AUTH_RESULTS, TLS_FAILURES, RouteStats, Stats, TlsStats
from gateway.errors import UpstreamError
from gateway.plugin.source import PollResult

# Why a WebSocket that is passed through ends.
TUNNEL_ENDS = (codes.NORMAL, codes.GOING_AWAY, codes.UPSTREAM_GONE, codes.IDLE, codes.RESTART)
REASONS = tuple(code.label for code in vars(codes).values() if isinstance(code, codes.Disconnect))
FAILURES = tuple(error.code for error in UpstreamError.__subclasses__())


def seed(stats: Stats, settings: Gateway, transports: Collection[str]) -> None:
    """Name every route, upstream, authenticator and transport in `stats`."""
    for name in settings.upstreams:
        upstream = stats.upstreams[name]
        upstream.answers[200] += 0
        for failure in FAILURES:
            upstream.failures[failure] += 0
    for name in settings.auth:
        for result in AUTH_RESULTS:
            stats.auth[name][result] += 0
    for listen in settings.listen:
        if listen.tls is not None:
            _seed_tls(stats.tls[listen.address])
    for route in settings.routes:
        _seed_route(stats.routes[route.name], route, transports)


def _seed_route(counted: RouteStats, route: Route, transports: Collection[str]) -> None:
    if route.channel is not None:
        _seed_streams(counted, transports)
        if route.channel.publish:
            counted.requests["POST", 201] += 0
        return
    for method in route.methods or ("POST" if route.webhook is not None else "GET",):
        counted.requests[method, 200] += 0
    if route.live is not None:
        _seed_live(counted, transports)
        return
    if route.webhook is not None:
        _seed_webhook(counted)
        return
    for code in TUNNEL_ENDS:
        counted.streams["tunnel"].closed[code.label] += 0


def _seed_tls(tls: TlsStats) -> None:
    for reason in TLS_FAILURES:
        tls.failures[reason] += 0
    for result in ("ok", "failed"):
        tls.reloads[result] += 0


def _seed_webhook(route: RouteStats) -> None:
    for result in RESULTS:
        route.webhook.deliveries[result] += 0
    for fault in get_args(Fault):
        route.webhook.faults[fault] += 0


def _seed_live(route: RouteStats, transports: Collection[str]) -> None:
    for result in get_args(PollResult):
        route.polls[result] += 0
    for asked in ("asked", "unfollowed"):
        route.refreshes[asked] += 0
    for event in get_args(EventType):
        route.events[event] += 0
    _seed_streams(route, transports)


def _seed_streams(route: RouteStats, transports: Collection[str]) -> None:
    for transport in transports:
        for reason in REASONS:
            route.streams[transport].closed[reason] += 0
