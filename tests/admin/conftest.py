from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.admin.app import admin_app
from gateway.admin.health import HealthState
from gateway.core.route import parse_template
from gateway.core.settings import Gateway, Listen, LiveSettings, PluginUse, Route, ServerTls, UpstreamSettings
from gateway.core.stats import Stats


@pytest.fixture
def settings() -> Gateway:
    poll = PluginUse(name="poll", options=None)
    routes = (
        Route(
            name="/api/shirts",
            path=parse_template("/api/shirts"),
            upstream="shop",
            live=LiveSettings(source=poll),
        ),
        Route(name="/**", path=parse_template("/**"), upstream="shop", methods=frozenset({"GET", "POST"})),
    )
    shop = UpstreamSettings(name="shop", scheme="http", host="127.0.0.1", port=1)
    memory = PluginUse(name="memory", options=None)
    listen = Listen(address="0.0.0.0:443", tls=ServerTls(cert="cert.pem", key="key.pem"))
    return Gateway(
        listen=(listen,), admin=None, broker=memory, upstreams={"shop": shop}, routes=routes, hash="0123abcd"
    )


@pytest.fixture
def stats() -> Stats:
    stats = Stats()
    stats.config.took("0123abcd", 5.0)
    return stats


@pytest.fixture
def health() -> HealthState:
    return HealthState(ready=True)


@pytest.fixture
async def client(stats: Stats, health: HealthState, settings: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    app = admin_app(stats, health, settings, transports=("websocket", "sse"), lost_lines=lambda: 7)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        yield client
