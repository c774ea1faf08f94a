"""What the admin side tells of configurations, and who may have one read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from gateway.admin.app import admin_app
from gateway.admin.configuration import MOST, configuration, shown
from gateway.admin.health import HealthState
from gateway.core.plan import Difference, Plan
from gateway.core.settings import Gateway
from gateway.core.stats import ConfigStats, Stats
from gateway.errors import ClientError, ConfigError, Problem

NOTHING = Difference()
PLAN = Plan(upstreams=NOTHING, auth=NOTHING, routes=Difference(added=("/a",), unchanged=("/b", "/c")), channels=NOTHING)
Reload = Callable[[], Awaitable[Plan]]


async def taken() -> Plan:
    return PLAN


async def mistaken() -> Plan:
    raise ConfigError([Problem("a.yaml", 2, 3, "routes[0]", "is wrong"), Problem("a.yaml", 1, 1, "", "too")])


async def closing() -> Plan:
    raise ClientError(503, "closing", "the end")


async def asked(settings: Gateway, stats: Stats, reload: Reload | None, **headers: str) -> httpx.Response:
    app = admin_app(stats, HealthState(), settings, reload=reload)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        return await client.post("/reload", headers=headers)


async def test_what_has_changed_is_told(settings: Gateway, stats: Stats) -> None:
    answer = await asked(settings, stats, taken)
    assert answer.status_code == 200
    assert answer.json()["hash"] == "0123abcd"
    assert answer.json()["routes"] == {"added": ["/a"], "changed": [], "removed": [], "unchanged": 2}


async def test_mistakes_are_told_one_by_one(settings: Gateway, stats: Stats) -> None:
    answer = await asked(settings, stats, mistaken)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    body = answer.json()
    assert body["detail"] == "a.yaml:1:1: too\na.yaml:2:3: routes[0]: is wrong"
    assert body["errors"][1] == {
        "file": "a.yaml",
        "line": 2,
        "column": 3,
        "path": "routes[0]",
        "message": "is wrong",
    }


@pytest.mark.parametrize(
    ("reload", "headers", "status", "code"),
    [
        (closing, {}, 503, "closing"),
        (None, {}, 404, "no_file"),
        (taken, {"origin": "http://admin"}, 403, "origin"),
    ],
)
async def test_who_is_refused(
    settings: Gateway, stats: Stats, reload: Reload | None, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await asked(settings, stats, reload, **headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_very_long_list_is_cut() -> None:
    many = Difference(added=tuple(map(str, range(MOST + 1))))
    routes = shown(Plan(upstreams=NOTHING, auth=NOTHING, routes=many, channels=NOTHING), "x")["routes"]
    assert isinstance(routes, dict)
    assert isinstance(routes["added"], list)
    assert len(routes["added"]) == MOST


def test_metrics() -> None:
    config = ConfigStats()
    config.took("abc", 7.0)
    config.reloads["failed"] += 1
    config.successful = False

    class Only(Collector):
        collect = staticmethod(lambda: configuration(config))

    collectors = CollectorRegistry()
    collectors.register(Only())
    lines = generate_latest(collectors).decode().splitlines()
    assert [line for line in lines if line[0] != "#"] == [
        'tidegate_config_info{hash="abc"} 1.0',
        'tidegate_config_reloads_total{result="ok"} 0.0',
        'tidegate_config_reloads_total{result="failed"} 1.0',
        "tidegate_config_last_reload_successful 0.0",
        "tidegate_config_last_reload_success_timestamp_seconds 7.0",
    ]
