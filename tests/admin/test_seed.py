from __future__ import annotations

from dataclasses import replace

from gateway.admin.seed import FAILURES, REASONS, seed
from gateway.core.codes import TOO_SLOW
from gateway.core.route import parse_template
from gateway.core.settings import ChannelSettings, Gateway, Route, WebhookSettings
from gateway.core.stats import TLS_FAILURES, Stats
from gateway.errors import UpstreamTimeout


def test_everything_that_is_configured_is_there_with_zeros(settings: Gateway) -> None:
    stats = Stats()
    seed(stats, settings, ("websocket", "sse"))
    assert set(stats.routes) == {"/api/shirts", "/**"}
    assert set(stats.upstreams) == {"shop"}
    live, plain = stats.routes["/api/shirts"], stats.routes["/**"]
    assert set(live.streams) == {"websocket", "sse"}
    assert live.polls == {"changed": 0, "unchanged": 0, "not_modified": 0, "error": 0, "refused": 0}
    assert live.events["created"] == 0
    assert dict(live.requests) == {("GET", 200): 0}
    assert dict(plain.requests) == {("GET", 200): 0, ("POST", 200): 0}
    assert dict(stats.tls["0.0.0.0:443"].failures) == dict.fromkeys(TLS_FAILURES, 0)
    assert dict(stats.tls["0.0.0.0:443"].reloads) == {"ok": 0, "failed": 0}
    assert set(plain.streams["tunnel"].closed) == {"normal", "client_gone", "upstream_gone", "idle", "restart"}
    assert not plain.polls


def test_counts_that_are_there_already_stay(settings: Gateway) -> None:
    stats = Stats()
    stats.routes["/api/shirts"].polls["changed"] += 3
    seed(stats, settings, ())
    assert stats.routes["/api/shirts"].polls["changed"] == 3


def test_webhooks_have_their_results_and_nothing_of_streams(settings: Gateway) -> None:
    hook = Route(name="hook", path=parse_template("/hook"), webhook=WebhookSettings(verify=None))
    stats = Stats()
    seed(stats, replace(settings, routes=(hook,)), ("websocket",))
    route = stats.routes["hook"]
    assert {"accepted", "bad_signature", "stale", "duplicate"} <= set(route.webhook.deliveries)
    assert dict(route.webhook.faults) == dict.fromkeys(("when", "channel", "type", "data", "refresh"), 0)
    assert (dict(route.requests), dict(route.streams)) == ({("POST", 200): 0}, {})


def test_channels_of_messages_have_their_streams_and_publications(settings: Gateway) -> None:
    route = Route(name="chat", path=parse_template("/chat"), channel=ChannelSettings(name="chat"))
    stats = Stats()
    seed(stats, replace(settings, routes=(route,)), ("sse",))
    assert (dict(stats.routes["chat"].requests), set(stats.routes["chat"].streams)) == ({}, {"sse"})
    assert stats.routes["chat"].streams["sse"].closed["too_slow"] == 0
    publishing = replace(route, channel=ChannelSettings(name="chat", publish=True))
    seed(stats, replace(settings, routes=(publishing,)), ("sse",))
    assert dict(stats.routes["chat"].requests) == {("POST", 201): 0}


def test_the_reasons_are_those_of_the_codes_and_errors() -> None:
    assert TOO_SLOW.label in REASONS
    assert UpstreamTimeout.code in FAILURES
    assert len(set(REASONS)) == len(REASONS) >= 10
