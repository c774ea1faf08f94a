"""Logging in through the gateway, at the demo's shop: cookies and tokens reach the streams as they reach REST."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosedError

from tests.browser.conftest import browser, chromium
from tests.integration.clients import Open, aiohttp_sse, heard, httpx_sse, websockets_json
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser", "chromium"]

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/orders
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""
ADA, GRACE = {"user": "ada", "password": "lovelace"}, {"user": "grace", "password": "hopper"}


@pytest.fixture
def running(gateway: Serve, shop: str) -> Gateway:
    return gateway(CONFIG.format(url=shop))


@pytest.fixture
async def client(running: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=LIMIT) as client:
        yield client


async def order(client: httpx.AsyncClient, **headers: str) -> int:
    answer = await client.post("/api/orders", json={"shirt_id": 4, "quantity": 1}, headers=headers)
    assert answer.status_code == 201
    number: int = answer.json()["id"]
    return number


@pytest.mark.parametrize("open_stream", [websockets_json, aiohttp_sse])
async def test_a_session_cookie_opens_ones_own_orders(
    open_stream: Open, running: Gateway, client: httpx.AsyncClient
) -> None:
    login = await client.post("/login", json=ADA)
    assert login.status_code == 200
    cookie = {"Cookie": f"session={login.cookies['session']}"}
    client.cookies.clear()
    async with open_stream(f"{running.url}/api/orders", None, cookie) as stream:
        await heard(stream, "snapshot")
        token = (await client.post("/api/token", json=GRACE)).json()["access_token"]
        hers = await order(client, Authorization=f"Bearer {token}")
        mine = await order(client, **cookie)
        created = await heard(stream, "created")
        assert created.data["key"] == mine != hers
        await stream.close()


async def test_tokens_and_cookies_are_two_channels_of_one_user(running: Gateway, client: httpx.AsyncClient) -> None:
    login = await client.post("/login", json=ADA)
    token = (await client.post("/api/token", json=ADA)).json()["access_token"]
    by_cookie, by_token = {"Cookie": f"session={login.cookies['session']}"}, {"Authorization": f"Bearer {token}"}
    url = f"{running.url}/api/orders"
    async with websockets_json(url, None, by_cookie) as first, httpx_sse(url, None, by_token) as second:
        assert (await heard(first, "snapshot")).data == (await heard(second, "snapshot")).data
        number = await order(client, **by_token)
        assert (await heard(first, "created")).data["key"] == (await heard(second, "created")).data["key"] == number


async def test_who_is_not_logged_in_is_refused_before_the_upgrade(running: Gateway) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{running.ws}/api/orders")
        assert refused.value.status == 401
        async with session.get(f"{running.url}/api/orders", headers={"Accept": "text/event-stream"}) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="shop"'


async def test_logging_out_ends_the_stream(running: Gateway, client: httpx.AsyncClient) -> None:
    login = await client.post("/login", json=ADA)
    cookie = {"Cookie": f"session={login.cookies['session']}"}
    async with websockets.asyncio.client.connect(
        f"{running.ws}/api/orders", additional_headers=cookie, proxy=None
    ) as socket:
        assert json.loads(await socket.recv())["type"] in ("snapshot", "status")
        assert (await client.post("/logout")).status_code == 204
        with pytest.raises(ConnectionClosedError) as closed:
            async with asyncio.timeout(LIMIT):
                [message async for message in _messages(socket)]
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert "credentials" in closed.value.rcvd.reason
    running.logged(kind="close", code=4401, reason="unauthenticated")


async def _messages(socket: websockets.asyncio.client.ClientConnection) -> AsyncIterator[str | bytes]:
    while True:
        yield await socket.recv()


@pytest.mark.browser
async def test_a_browsers_own_session(browser: Browser, running: Gateway) -> None:
    """The page logs in, and its WebSocket and EventSource take the cookie along; a foreign page's may not."""
    page = await (await browser.new_context(base_url=running.url)).new_page()
    await page.goto("/api/me")
    script = """async ([kind, credentials]) => {
        await fetch("/login", {method: "POST", headers: {"content-type": "application/json"},
                               body: JSON.stringify(credentials)});
        window.heard = [];
        const note = event => heard.push(JSON.parse(event.data));
        if (kind == "WebSocket") {
            window.stream = new WebSocket(location.origin.replace("http", "ws") + "/api/orders");
            stream.onmessage = note;
        } else {
            window.stream = new EventSource("/api/orders");
            stream.addEventListener("snapshot", note);
            stream.addEventListener("created", note);
        }
        await new Promise(resolve => stream.onopen = resolve);
        const answer = await fetch("/api/orders", {method: "POST", headers: {"content-type": "application/json"},
                                                   body: '{"shirt_id": 6}'});
        return (await answer.json()).id;
    }"""
    for kind in ("WebSocket", "EventSource"):
        number = await page.evaluate(script, [kind, GRACE])
        assert isinstance(number, int)
        await page.wait_for_function('number => JSON.stringify(heard).includes(`"id":${number},`)', arg=number)
        await page.evaluate("stream.close()")
    assert (
        await page.evaluate(
            """async url => new Promise(resolve => {
            const frame = document.createElement("iframe");
            frame.sandbox = "allow-scripts";
            frame.srcdoc = `<script>const socket = new WebSocket("${url}");
                socket.onopen = () => parent.postMessage("open", "*");
                socket.onerror = () => parent.postMessage("refused", "*");</script>`;
            onmessage = message => resolve(message.data);
            document.body.append(frame);
        })""",
            f"{running.ws}/api/orders",
        )
        == "refused"
    )
