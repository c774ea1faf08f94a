from __future__ import annotations

import httpx
import pytest

from gateway.admin.app import admin_app
from gateway.admin.health import HealthState
from gateway.core.settings import Gateway
from gateway.core.stats import Stats


async def test_metrics_show_what_is_configured_before_anything_happened(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["vary"] == "accept"
    for line in (
        'tidegate_config_info{hash="0123abcd"} 1.0',
        'tidegate_http_requests_total{method="POST",route="/**",status="200"} 0.0',
        'tidegate_streams_closed_total{reason="too_slow",route="/api/shirts",transport="sse"} 0.0',
        'tidegate_upstream_failures_total{reason="upstream_timeout",upstream="shop"} 0.0',
        "tidegate_access_log_dropped_lines_total 7.0",
    ):
        assert line in answer.text.splitlines()


async def test_metrics_follow_the_stats(client: httpx.AsyncClient, stats: Stats) -> None:
    stats.connections = 42
    assert "tidegate_connections 42.0" in (await client.get("/metrics")).text.splitlines()


async def test_liveness_needs_nothing(client: httpx.AsyncClient, health: HealthState) -> None:
    health.ready = False
    answer = await client.get("/livez")
    assert answer.status_code == 200
    assert answer.json()["status"] == "pass"


async def test_readiness_follows_the_process(client: httpx.AsyncClient, health: HealthState) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "pass")
    health.draining = True
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "fail")
    assert answer.json()["checks"] == {"listeners": "pass", "not_draining": "fail"}


async def test_readiness_does_not_follow_the_upstreams(client: httpx.AsyncClient, stats: Stats) -> None:
    stats.upstreams["shop"].failures["upstream_unavailable"] += 100
    assert (await client.get("/readyz")).status_code == 200


async def test_the_index_names_the_pages(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    for path in ("/metrics", "/livez", "/readyz"):
        assert f'href="{path}"' in answer.text


@pytest.mark.parametrize("path", ["/", "/metrics", "/livez", "/readyz", "/nothing"])
async def test_head_answers_as_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers.keys() == get.headers.keys()
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/metrics/x", "/readyz%2f"])
async def test_other_pages_are_problems(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_other_methods_are_problems(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/metrics")
    assert answer.status_code == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "method_not_allowed"


async def test_a_bug_is_a_problem_that_says_nothing(stats: Stats, settings: Gateway) -> None:
    def broken() -> int:
        raise RuntimeError("secret inside")

    app = admin_app(stats, HealthState(), settings, lost_lines=broken)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 500
    assert answer.json() == {
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal",
        "detail": "internal error",
    }
