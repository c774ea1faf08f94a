"""Who is let in and what the backend is told of it, over loopback: tokens, spoofed headers, expiry, refusals."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

import httpx
import jwt
import pytest
import websockets.asyncio.client
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.browser.conftest import browser, chromium
from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, come

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser", "chromium"]

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
auth:
  people:
    jwt: {{secret: "{secret}", leeway: 0s, cookie: session}}
    headers: {{X-User: "${{claims.sub}}", X-Tenant: "${{claims.tenant}}"}}
  backend:
    forward: {{upstream: shop, path: /me, credentials: X-Session}}
routes:
  - path: /api/shirts
    upstream: shop
    auth: [people, backend]
    access: "claims.tenant != 'banned'"
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}, origins: ["https://friend.example"]}}
  - path: /session
    auth: [people, backend]
    session: {{subscribe: ["/api/**"], requests: true}}
  - path: /later
    auth: people
    session: {{subscribe: ["/api/**"], requests: true, auth_timeout: 2s}}
  - path: /**
    upstream: shop
"""


def token(sub: str, lasts: float = 600.0, **claims: str) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + lasts, **claims}, SECRET, "HS256")


@pytest.fixture
def running(gateway: Serve, backend: Backend) -> Gateway:
    return gateway(CONFIG.format(url=backend.url, secret=SECRET))


def know(backend: Backend, text: str, name: str) -> None:
    """Let the backend have a list of its own for the bearer of a token."""
    backend.shirts[f"Bearer {text}"] = [{"id": 1, "for": name}]


async def ask(running: Gateway, headers: dict[str, str], path: str = "/api/shirts") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        return await client.get(running.url + path, headers=headers)


async def test_rest_reaches_the_backend_with_the_identity_and_never_with_a_forged_one(
    running: Gateway, backend: Backend
) -> None:
    ada = token("ada", tenant="t1")
    know(backend, ada, "ada")
    forged = {"X-User": "root", "x_user": "root", "X-Tenant": "root", "Connection": "X-User, close"}
    answer = await ask(running, {"Authorization": f"Bearer {ada}", **forged})
    assert answer.json() == [{"id": 1, "for": "ada"}]
    headers = backend.last("/api/shirts").headers
    told = [(name.lower(), value) for name, value in headers if name.lower().endswith("user")]
    assert told == [("x-user", "ada")]
    assert [value for name, value in headers if "enant" in name] == ["t1"]
    assert not any("root" in value for _, value in headers)


async def test_routes_without_auth_pass_no_forged_identity_on_either(running: Gateway, backend: Backend) -> None:
    assert (await ask(running, {"X-User": "root", "X_USER": "root"}, "/open")).status_code == 200
    assert not any("user" in name.lower() and "agent" not in name.lower() for name, _ in backend.last("/open").headers)


async def test_refusals_are_answers_before_the_upgrade_and_reach_nobody(running: Gateway, backend: Backend) -> None:
    for headers, status, code in (
        ({}, 401, "unauthenticated"),
        ({"Authorization": "Bearer nonsense"}, 401, "bad_token"),
        ({"Authorization": f"Bearer {token('eve', -5)}"}, 401, "bad_token"),
        ({"Authorization": f"Bearer {token('eve', tenant='banned')}"}, 403, "forbidden"),
    ):
        answer = await ask(running, headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.asyncio.client.connect(f"{running.ws}/api/shirts", additional_headers=headers):
                pass
        assert refused.value.response.status_code == status
        assert ("www-authenticate" in answer.headers) is (status == 401)
    assert backend.asked == []
    counted = {
        tuple(labels.values()): value
        for name, labels, value in running.samples()
        if name == "tidegate_auth_requests_total"
    }
    assert counted["people", "absent"] == 2
    assert counted["people", "refused"] == 4
    assert counted["people", "accepted"] == 2


async def test_a_browsers_token_among_the_subprotocols_feeds_its_own_polls(running: Gateway, backend: Backend) -> None:
    for name in ("ada", "grace"):
        text = token(name, tenant="t1")
        know(backend, text, name)
        protocols = [f"bearer.{urlsafe_b64encode(text.encode()).decode().rstrip('=')}", "tidegate.json.v1"]
        async with websockets.asyncio.client.connect(
            f"{running.ws}/api/shirts", subprotocols=[Subprotocol(one) for one in protocols]
        ) as socket:
            assert socket.subprotocol == "tidegate.json.v1"
            event = json.loads(await asyncio.wait_for(socket.recv(), LIMIT))
            assert event["data"] == [{"id": 1, "for": name}]
        poll = backend.polls(f"Bearer {text}")[-1]
        assert (poll.header("x-user"), poll.header("x-tenant")) == (name, "t1")


async def test_a_ticket_opens_one_stream_for_what_can_bring_no_token(running: Gateway, backend: Backend) -> None:
    text = token("ada", tenant="t1")
    know(backend, text, "ada")

    async def ticket() -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
            answer = await client.post(f"{running.url}/.tidegate/ticket", headers={"Authorization": f"Bearer {text}"})
        given: str = answer.json()["ticket"]
        return given

    one = await ticket()
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        url, accept = f"{running.url}/api/shirts?live.ticket={one}", {"Accept": "text/event-stream"}
        async with client.stream("GET", url, headers=accept) as stream:
            assert stream.status_code == 200
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    assert json.loads(line[6:]) == [{"id": 1, "for": "ada"}]
                    break
        again = await client.get(url, headers=accept)
        assert (again.status_code, again.json()["code"]) == (401, "bad_ticket")
    poll = backend.polls(f"Bearer {text}")[-1]
    assert (poll.target, poll.header("x-user")) == ("/api/shirts", "ada")
    url = f"{running.ws}/api/shirts?live.ticket={await ticket()}"
    async with websockets.asyncio.client.connect(url) as socket:
        assert json.loads(await asyncio.wait_for(socket.recv(), LIMIT))["data"] == [{"id": 1, "for": "ada"}]
    async with websockets.asyncio.client.connect(f"{running.ws}/session?live.ticket={await ticket()}") as socket:
        hello = json.loads(await asyncio.wait_for(socket.recv(), LIMIT))
        assert (hello["subject"], hello["auth"]) == ("ada", True)
    forged = await ask(running, accept, "/api/shirts?live.ticket=forged")
    assert forged.status_code == 401
    assert running.logged(path="/.tidegate/ticket", status=200)["method"] == "POST"
    running.logged(status=401)
    written = running.access.read_text() + running.exposition()
    assert not any(secret in written for secret in (one, "forged", text.rpartition(".")[2]))


@pytest.mark.browser
async def test_a_page_of_another_origin_opens_an_event_source_with_a_ticket(
    browser: Browser, gateway: Serve, backend: Backend
) -> None:
    running = gateway(CONFIG.format(url=backend.url, secret=SECRET).replace("https://friend.example", "*"))
    text = token("ada", tenant="t1")
    know(backend, text, "ada")
    page = await (await browser.new_context(base_url=running.url.replace("127.0.0.1", "localhost"))).new_page()
    await page.goto("/")
    script = """async ([url, token]) => {
        const headers = { Authorization: `Bearer ${token}` };
        const { ticket } = await (await fetch(`${url}/.tidegate/ticket`, { method: "POST", headers })).json();
        const events = new EventSource(`${url}/api/shirts?live.ticket=${ticket}`);
        return await new Promise((resolve, reject) => {
            events.addEventListener("snapshot", ({ data }) => { events.close(); resolve(JSON.parse(data)); });
            events.onerror = () => reject(new Error("refused"));
        });
    }"""
    assert await page.evaluate(script, [running.url, text]) == [{"id": 1, "for": "ada"}]


async def test_a_session_takes_a_token_in_its_first_message(running: Gateway, backend: Backend) -> None:
    text = token("ada", tenant="t1")
    know(backend, text, "ada")
    async with websockets.asyncio.client.connect(f"{running.ws}/later") as socket:
        await socket.send(json.dumps({"op": "auth", "id": 1, "token": text}))
        await socket.send(json.dumps({"op": "request", "id": 2, "path": "/api/shirts"}))
        told = [json.loads(await asyncio.wait_for(socket.recv(), LIMIT)) for _ in range(3)]
        assert [message["op"] for message in told] == ["hello", "ok", "response"]
        assert (told[0]["subject"], told[2]["body"]) == ("ada", [{"id": 1, "for": "ada"}])
    for shown in ([], [json.dumps({"op": "auth", "id": 1, "token": text + "x"})]):
        async with websockets.asyncio.client.connect(f"{running.ws}/later") as socket:
            for message in shown:
                await socket.send(message)
            async with asyncio.timeout(LIMIT):
                await socket.wait_closed()
        assert socket.close_code == 4401, shown
    with pytest.raises(InvalidStatus) as refused:
        async with websockets.asyncio.client.connect(
            f"{running.ws}/later", additional_headers={"Authorization": "Bearer wrong"}
        ):
            pass
    assert refused.value.response.status_code == 401


async def test_a_stream_ends_with_its_token(running: Gateway, backend: Backend) -> None:
    brief = token("ada", 1.5)
    know(backend, brief, "ada")
    headers = {"Authorization": f"Bearer {brief}"}
    async with websockets.asyncio.client.connect(f"{running.ws}/api/shirts", additional_headers=headers) as socket:
        async with asyncio.timeout(LIMIT):
            await socket.wait_closed()
    assert (socket.close_code, socket.close_reason) == (4409, "the credentials have expired")
    await come(
        lambda: any(
            labels.get("reason") == "expired" and value == 1
            for name, labels, value in running.samples()
            if name == "tidegate_streams_closed_total"
        ),
        "the end is counted",
    )


async def test_an_event_stream_ends_with_its_token(running: Gateway, backend: Backend) -> None:
    brief = token("ada", 1.5)
    know(backend, brief, "ada")
    headers = {"Authorization": f"Bearer {brief}", "Accept": "text/event-stream"}
    answer = await ask(running, headers)
    assert "snapshot" in answer.text
    assert "4409" in answer.text


async def test_a_strangers_page_cannot_use_the_cookie(running: Gateway, backend: Backend) -> None:
    cookie = f"session={token('ada')}"
    url = f"{running.url}/api/shirts"
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        evil = await client.post(url, headers={"Cookie": cookie, "Origin": "https://evil.example"}, content=b"{}")
        assert (evil.status_code, evil.json()["code"]) == (401, "unauthenticated")
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.asyncio.client.connect(
                f"{running.ws}/api/shirts",
                additional_headers={"Cookie": cookie},
                origin="https://evil.example",  # type: ignore[arg-type]
            ):
                pass
        assert refused.value.response.status_code == 403
        assert backend.asked == []
        for origin in ("https://friend.example", running.url):
            answer = await client.post(url, headers={"Cookie": cookie, "Origin": origin}, content=b"{}")
            assert answer.status_code == 200, answer.text


async def test_the_api_itself_says_who_a_client_is(gateway: Serve, backend: Backend) -> None:
    """The backend answers /me with a list, which is no clear word; with 401 it is one."""
    running = gateway(CONFIG.format(url=backend.url, secret=SECRET))
    answer = await ask(running, {"X-Session": "s1", "Upgrade": "h2c"})
    assert (answer.status_code, answer.json()["code"]) == (503, "auth_unavailable")
    assert [(asked.method, asked.target) for asked in backend.asked] == [("GET", "/me")]
    assert {name.lower() for name, _ in backend.asked[0].headers} == {"accept", "host", "x-session"}
    del backend.shirts[""]
    answer = await ask(running, {"X-Session": "s1"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="shop"')


async def test_no_token_is_in_any_log(running: Gateway, backend: Backend) -> None:
    ada = token("ada")
    await ask(running, {"Authorization": f"Bearer {ada}"})
    await ask(running, {"Authorization": f"Bearer {ada}x"})
    running.logged(status=401)
    written = running.access.read_text() + running.exposition()
    assert ada.rpartition(".")[2] not in written


@pytest.mark.parametrize(("tenant", "allowed"), [("t1", True), ("banned", False)])
async def test_a_session_may_do_what_its_client_may_and_no_more(
    running: Gateway, backend: Backend, tenant: str, allowed: bool
) -> None:
    text = token("ada", tenant=tenant)
    know(backend, text, "ada")
    headers = {"Authorization": f"Bearer {text}", "X-User": "root"}
    async with websockets.asyncio.client.connect(f"{running.ws}/session", additional_headers=headers) as socket:
        assert json.loads(await asyncio.wait_for(socket.recv(), LIMIT))["subject"] == "ada"
        await socket.send(json.dumps({"op": "subscribe", "id": 1, "channel": "/api/shirts"}))
        answer = json.loads(await asyncio.wait_for(socket.recv(), LIMIT))
        assert answer["op"] == ("ok" if allowed else "error"), answer
        await socket.send(json.dumps({"op": "request", "id": 2, "method": "GET", "path": "/api/shirts"}))
        while answer.get("id") != 2:
            answer = json.loads(await asyncio.wait_for(socket.recv(), LIMIT))
        assert (answer.get("status") or answer["error"]["status"]) == (200 if allowed else 403), answer
    told = [asked.header("x-user") for asked in backend.asked]
    assert set(told) == ({"ada"} if allowed else set())
