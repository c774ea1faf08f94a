"""Behind trusted proxies: who the client is, to the backend and in the access log, on requests and on upgrades."""

from __future__ import annotations

import pytest

from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.frames import handshake
from tests.integration.gateways import Gateway
from tests.integration.raw import ask, connected, request

CONFIG = """\
trusted_proxies: [{peers}]
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /live
    upstream: shop
    live: {{poll: {{interval: 1s}}}}
  - path: /**
    upstream: shop
"""
TOLD = ["X-Forwarded-For: 1.1.1.1, 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"]


def behind(gateway: Serve, backend: Backend, peers: str) -> Gateway:
    return gateway(CONFIG.format(peers=peers, url=backend.url))


async def test_the_backend_and_the_log_are_told_of_the_client(gateway: Serve, backend: Backend) -> None:
    running = behind(gateway, backend, "127.0.0.0/8")
    await ask(running.port, request("GET", "/a", TOLD))
    headers = dict(backend.last("/a").headers)
    assert headers["X-Forwarded-For"] == "192.0.2.7"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-Host"] == "shop.example"
    assert headers["Forwarded"] == "for=192.0.2.7;host=shop.example;proto=https"
    running.logged(path="/a", client="192.0.2.7")


async def test_strangers_tell_nothing(gateway: Serve, backend: Backend) -> None:
    running = behind(gateway, backend, "10.0.0.0/8")
    await ask(running.port, request("GET", "/a", TOLD))
    headers = dict(backend.last("/a").headers)
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["Forwarded"] == "for=127.0.0.1;host=shop;proto=http"
    running.logged(path="/a", client="127.0.0.1")


@pytest.mark.parametrize(("peers", "client"), [("127.0.0.0/8", "192.0.2.7"), ("10.0.0.0/8", "127.0.0.1")])
async def test_upgrades(gateway: Serve, backend: Backend, peers: str, client: str) -> None:
    running = behind(gateway, backend, peers)
    async with connected(running.port) as (reader, writer):
        writer.write(handshake("/live", *TOLD))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        running.logged(kind="open", client=client)
