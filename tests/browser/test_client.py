"""tidegate.js in a real browser, on a real gateway: every transport, sessions, and a network that goes away."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from tests.integration.backend import Backend
from tests.integration.conftest import Serve, backend, gateway, relay
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT
from tests.integration.relay import Relay

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["backend", "gateway", "relay"]

pytestmark = pytest.mark.browser

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
transports: {{{transports}}}
routes:
  - path: /live
    session: {{subscribe: ["/api/**"], requests: true}}
  - path: /api/shirts
    upstream: shop
    live:
      poll: {{interval: 100ms}}
      items: {{key: id, order: true, max_delete_ratio: 100%}}
      modes: [items, patch, snapshot, notify]
  - path: /api/others
    upstream: shop
    live: {{poll: {{interval: 100ms}}}}
  - path: /**
    upstream: shop
"""
SECRET = "0123456789abcdef0123456789abcdef"
WITH_TOKENS = """\
upstreams:
  shop: {{url: "{url}"}}
auth:
  people: {{jwt: {{secret: "{secret}", leeway: 0s}}}}
routes:
  - path: /live
    auth: people
    session: {{subscribe: ["/api/**"], requests: true}}
  - path: /api/shirts
    upstream: shop
    auth: people
    live: {{poll: {{interval: 100ms}}}}
  - path: /**
    upstream: shop
"""
TRANSPORTS = ["websocket", "sse", "long_poll"]

# Follows and remembers: `clients[name]` has the state, `seen[name]` the types of its events and its statuses.
FOLLOW = """async ([name, url, options]) => {
  const { live } = await import("/.tidegate/client.js");
  globalThis.clients ??= {}; globalThis.seen ??= {};
  const seen = (globalThis.seen[name] = { events: [], statuses: [] });
  clients[name] = live(url, {
    ...options, onchange: (state, { type }) => seen.events.push(type), onstatus: (status) => seen.statuses.push(status),
  });
}"""
SESSION = """async ([name, url, options]) => {
  const { connect } = await import("/.tidegate/client.js");
  globalThis.session ??= connect("/live");
  globalThis.clients ??= {}; globalThis.seen ??= {};
  const seen = (globalThis.seen[name] = { events: [], statuses: [] });
  clients[name] = session.live(url, {
    ...options, onchange: (state, { type }) => seen.events.push(type), onstatus: (status) => seen.statuses.push(status),
  });
}"""
# The tokens are given one after the other, as by a page that asks for one each time.
RENEWED = """async (texts) => {
  const { connect } = await import("/.tidegate/client.js");
  globalThis.clients = {}; globalThis.seen = { a: { events: [], statuses: [] } };
  globalThis.session = connect("/live", { token: async () => texts.shift() });
  clients.a = session.live("/api/shirts", {
    onchange: ([{ stock }]) => seen.a.events.push(stock), onstatus: (status) => seen.a.statuses.push(status),
  });
}"""
MESSAGES = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /events/{{id}}
    channel: {{name: "orders.${{params.id}}", publish: true}}
  - path: /**
    upstream: shop
channels:
  "orders.*": {{log: {{events: 3}}}}
"""
# Either way `heard` are the messages, and `stands()` says whether there is a position to come back with.
HEAR = """async (transport) => {
  const { live } = await import("/.tidegate/client.js");
  globalThis.heard = [];
  const channel = live("/events/7", {
    transports: [transport],
    onmessage: (data, { id }) => id && heard.push(data),
    onchange: () => heard.push("a state"),
    onevent: ({ type, data }) => type === "gap" && heard.push(`gap ${data.missed}`),
  });
  globalThis.stands = () => channel.position !== "";
}"""
LISTEN = """() => {
  globalThis.heard = [];
  const source = new EventSource("/events/7");
  let standing = false;
  source.onmessage = ({ data }) => heard.push(JSON.parse(data));
  source.addEventListener("position", () => { standing = true; });
  source.addEventListener("gap", ({ data }) => heard.push(`gap ${JSON.parse(data).missed}`));
  globalThis.stands = () => standing;
}"""
NO_WEBSOCKETS = """
globalThis.WebSocket = class {
  constructor() { setTimeout(() => this.onclose?.({ code: 1006, reason: "" })); }
  close() {}
}
"""
# The first connection to each URL is closed with the code that its query names; the next ones stay.
CLOSES = """
globalThis.WebSocket = class {
  constructor(url) {
    const code = Number(url.searchParams.get("code")), met = (globalThis.met ??= new Set()), at = `${url}`;
    setTimeout(() => { this.onopen?.(); if (!met.has(at)) { met.add(at); this.onclose?.({ code, reason: "so" }); } });
  }
  close() {}
}
"""


class Tab:
    """A page of the gateway's origin, and what its clients know."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    async def follow(self, name: str, url: str = "/api/shirts", **options: object) -> None:
        await self.page.evaluate(FOLLOW, [name, url, options])

    async def join(self, name: str, url: str, **options: object) -> None:
        await self.page.evaluate(SESSION, [name, url, options])

    async def get(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def becomes(self, expression: str, value: object) -> None:
        """Wait until the page has it so."""
        found: object = None
        try:
            async with asyncio.timeout(LIMIT):
                while (found := await self.page.evaluate(expression)) != value:
                    await self.page.wait_for_timeout(20)
        except TimeoutError:
            log = await self.page.evaluate("JSON.stringify(globalThis.seen)")
            raise AssertionError(f"{expression} is {found!r}, not {value!r}; {log}") from None

    async def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = await self.page.evaluate(f"clients['{name}'].status")
        return status


Open = Callable[..., Awaitable[Tab]]


@pytest.fixture
def tab(browser: Browser) -> Open:
    async def opened(url: str, script: str = "") -> Tab:
        page = await (await browser.new_context()).new_page()
        if script:
            await page.add_init_script(script)
        await page.goto(f"{url}/plain")
        return Tab(page)

    return opened


def start(gateway: Serve, backend: Backend, transports: str = "") -> Gateway:
    return gateway(CONFIG.format(url=backend.url, transports=transports))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_list_is_followed(gateway: Serve, backend: Backend, tab: Open, transport: str) -> None:
    running = start(gateway, backend)
    backend.shirts[""] = shirts = [{"id": 1, "stock": 1}, {"id": 2, "stock": 2}]
    page = await tab(running.url)
    await page.follow("a", transports=[transport])
    await page.becomes("clients.a.state", shirts)
    assert (await page.status("a"))["transport"] == transport
    shirts[0] = {"id": 1, "stock": 5}
    await page.becomes("clients.a.state", shirts)
    shirts.insert(1, {"id": 3, "stock": 3})
    await page.becomes("clients.a.state", shirts)
    shirts.append(shirts.pop(0))
    await page.becomes("clients.a.state", shirts)
    del shirts[0]
    await page.becomes("clients.a.state", shirts)
    assert await page.get("seen.a.events") == ["snapshot", "updated", "created", "moved", "deleted"]
    assert [one["state"] for one in await page.get("seen.a.statuses")] == ["connecting", "live"]
    await page.get("clients.a.close()")
    assert (await page.status("a"))["state"] == "closed"
    await asyncio.to_thread(running.logged, kind="request" if transport == "long_poll" else "close")
    assert page.problems == []


@pytest.mark.parametrize(
    ("mode", "events"), [("patch", ["snapshot", "patch"]), ("snapshot", ["snapshot"] * 2), ("notify", ["notify"] * 2)]
)
async def test_modes(gateway: Serve, backend: Backend, tab: Open, mode: str, events: list[str]) -> None:
    shirts: list[dict[str, Any]] = [{"id": 1, "stock": 1, "name": "long enough for a patch to be worth it " * 4}]
    backend.shirts[""] = shirts
    page = await tab(start(gateway, backend).url)
    await page.follow("a", mode=mode)
    await page.becomes("seen.a.events.length", 1)
    shirts[0]["stock"] = 2
    await page.becomes("seen.a.events", events)
    assert await page.get("clients.a.state ?? null") == (None if mode == "notify" else shirts)


@pytest.mark.parametrize("transport", [*TRANSPORTS, "EventSource"])
async def test_messages(gateway: Serve, backend: Backend, tab: Open, relay: Relay, transport: str) -> None:
    """None is lost while the line is gone, before the first as well; what is kept no more is told."""
    running = gateway(MESSAGES.format(url=backend.url))
    relay.to(running.port)
    page = await tab(relay.url)
    await page.page.evaluate(LISTEN if transport == "EventSource" else HEAR, transport)
    await page.becomes("stands()", True)
    numbers = itertools.count(1)
    for count, heard in ((2, [1, 2]), (6, [1, 2, "gap 3", 6, 7, 8])):
        relay.to(1)  # where nobody listens
        relay.cut()
        async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
            for _ in range(count):
                assert (await client.post("/events/7", json=next(numbers))).status_code == 201
        relay.to(running.port)
        await page.becomes("heard", heard)
    assert page.problems == []


@pytest.mark.parametrize("transport", ["websocket", "sse", "long_poll"])
async def test_an_interval_of_its_own(gateway: Serve, backend: Backend, tab: Open, transport: str) -> None:
    """One follows at most once in an hour, the other all changes: of two the first hears only of one, if of any."""
    page = await tab(start(gateway, backend).url)
    await page.follow("rare", interval=3600, transports=[transport])
    await page.becomes("seen.rare.events", ["snapshot"])
    await page.follow("all", transports=[transport])
    await page.becomes("seen.all.events.length", 1)
    for stock in (50, 51, 52):
        backend.shirts[""][0]["stock"] = stock
        await page.becomes("clients.all.state[0].stock", stock)
    assert len(await page.get("seen.rare.events")) <= 2
    await page.get("clients.rare.close()")
    await page.join("seldom", "/api/shirts", interval=3600)
    await page.becomes("seen.seldom.events", ["snapshot"])
    for stock in (60, 61, 62):
        backend.shirts[""][0]["stock"] = stock
        await page.becomes("clients.all.state[0].stock", stock)
    assert len(await page.get("seen.seldom.events")) <= 2
    assert page.problems == []


async def test_the_source_is_down_and_comes_back(gateway: Serve, backend: Backend, tab: Open) -> None:
    page = await tab(start(gateway, backend).url)
    await page.follow("a")
    await page.becomes("clients.a.state?.length", 1)
    backend.mode = "error"
    await page.becomes("clients.a.status.state", "stale")
    backend.mode = "ok"
    await page.becomes("clients.a.status.state", "live")
    assert await page.get("clients.a.state") == backend.shirts[""]


async def test_what_gets_through_is_found_and_remembered(gateway: Serve, backend: Backend, tab: Open) -> None:
    page = await tab(start(gateway, backend).url, NO_WEBSOCKETS)
    await page.follow("a")
    await page.becomes("clients.a.state", backend.shirts[""])
    connecting = "seen.a.statuses.filter(({ state }) => state === 'connecting').map(({ transport }) => transport)"
    assert await page.get(connecting) == ["websocket", "sse"]
    await page.page.reload()
    await page.follow("a")
    await page.becomes("clients.a.state", backend.shirts[""])
    assert await page.get(connecting) == ["sse"]


@pytest.mark.parametrize("transport", ["sse", "long_poll"])
async def test_a_session_goes_on_without_websockets(
    gateway: Serve, backend: Backend, tab: Open, transport: str
) -> None:
    page = await tab(start(gateway, backend, "sse: off" if transport == "long_poll" else "").url, NO_WEBSOCKETS)
    await page.join("a", "/api/shirts")
    await page.becomes("clients.a.state", backend.shirts[""])
    assert (await page.status("a"))["transport"] == transport
    assert await page.get("session.status") == {"state": "live", "transport": "fetch"}
    backend.shirts[""].append({"id": 2, "stock": 2})
    await page.becomes("clients.a.state", backend.shirts[""])

    answer = await page.get("session.request('GET', '/api/shirts')")
    assert (answer["status"], answer["body"]) == (200, backend.shirts[""])
    assert (await page.get("session.request('GET', '/live')"))["status"] == 426
    given_up = """(async () => {
      const control = new AbortController();
      const answer = session.request("GET", "/api/shirts", undefined, { signal: control.signal });
      control.abort(new Error("enough"));
      return answer.catch(({ message }) => message);
    })()"""
    assert await page.get(given_up) == "enough"

    await page.get("clients.a.close()")
    assert (await page.status("a"))["state"] == "closed"
    await page.join("a", "/api/shirts")
    await page.becomes("clients.a.state", backend.shirts[""])
    await page.join("b", "/api/nothing-live")
    await page.becomes("clients.b.status.state", "offline")
    await page.get("session.close()")
    assert (await page.status("a"))["state"] == "closed"
    assert await page.get("session.request('GET', '/api/shirts').catch(({ code }) => code)") == "connection_lost"
    assert page.problems == []


async def test_long_poll_is_the_last_resort(gateway: Serve, backend: Backend, tab: Open) -> None:
    page = await tab(start(gateway, backend, "sse: off").url, NO_WEBSOCKETS)
    await page.follow("a")
    await page.becomes("clients.a.state", backend.shirts[""])
    assert (await page.status("a"))["transport"] == "long_poll"


async def test_a_url_that_is_not_live_says_so(gateway: Serve, backend: Backend, tab: Open) -> None:
    page = await tab(start(gateway, backend).url)
    await page.follow("a", "/plain", transports=["sse"])
    await page.becomes("seen.a.statuses[1]?.state", "offline")
    assert "not live here" in (await page.get("seen.a.statuses[1].reason"))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_refusal_ends_it(gateway: Serve, backend: Backend, tab: Open, transport: str) -> None:
    """At the start, where a page learns of it by HTTP alone, and later."""
    page = await tab(start(gateway, backend).url)
    ways = [transport, "sse"] if transport == "websocket" else [transport]
    await page.follow("a", transports=ways)
    await page.becomes("clients.a.state?.length", 1)
    backend.shirts.clear()
    await page.becomes("clients.a.status.state", "closed")
    assert (await page.status("a"))["code"] in (4401, 401)
    await page.get("sessionStorage.clear()")
    await page.follow("b", transports=ways)
    await page.becomes("clients.b.status.state", "closed")
    assert (await page.status("b"))["code"] == 401


async def test_close_codes(gateway: Serve, backend: Backend, tab: Open) -> None:
    page = await tab(start(gateway, backend).url, CLOSES)
    again = (1000, 1001, 1006, 1011, 1012, 4408, 4413, 4429)
    never = (1002, 1003, 1007, 1009, 4400, 4401, 4403, 4404, 4409)
    for code in (*again, *never):
        await page.follow(str(code), f"/api/shirts?code={code}", transports=["websocket"])
    for code in (*again, *never):
        await page.becomes(f"clients[{code}].status.state", "live" if code in again else "closed")
        assert await page.get(f"seen[{code}].statuses[2].code") == code
    await page.get("""(async () => {
      const { live } = await import("/.tidegate/client.js");
      clients.renewed = live("/api/shirts?code=4409&renewed", { token: () => "new", transports: ["websocket"] });
    })()""")
    await page.becomes("clients.renewed.status.state", "live")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_token_goes_with_it(gateway: Serve, backend: Backend, tab: Open, transport: str) -> None:
    backend.shirts["Bearer geheim+/="] = [{"id": 9, "stock": 9}]
    page = await tab(start(gateway, backend).url)
    await page.follow("a", transports=[transport], token="geheim+/=")
    await page.becomes("clients.a.state", [{"id": 9, "stock": 9}])


async def test_an_exception_of_the_pages_own_ends_nothing(gateway: Serve, backend: Backend, tab: Open) -> None:
    page = await tab(start(gateway, backend).url)
    await page.get(
        """async () => {
          const { live } = await import("/.tidegate/client.js");
          globalThis.clients = { a: live("/api/shirts", {
            transports: ["sse"], onchange() { throw new Error("the page's own"); },
          }) };
        }"""
    )
    await page.becomes("clients.a.state?.length", 1)
    backend.shirts[""].append({"id": 2, "stock": 2})
    await page.becomes("clients.a.state?.length", 2)
    assert (await page.status("a"))["state"] == "live"
    assert page.problems == ["the page's own"] * 2


async def test_a_session_follows_many_and_sends_requests(gateway: Serve, backend: Backend, tab: Open) -> None:
    running = start(gateway, backend)
    page = await tab(running.url)
    await page.join("a", "/api/shirts")
    await page.join("b", "/api/others?x=1")
    await page.becomes("[clients.a.state, clients.b.state]", [backend.shirts[""]] * 2)
    answer = await page.get("session.request('PATCH', '/plain/1', { stock: 3 })")
    assert (answer["status"], answer["body"]) == (200, {"id": 1, "stock": 3})
    await page.becomes("[clients.a.state, clients.b.state]", [backend.shirts[""]] * 2)
    with pytest.raises(Exception, match="already"):
        await page.join("a", "/api/shirts")
    await page.get("clients.b.close()")
    backend.shirts[""].append({"id": 2, "stock": 2})
    await page.becomes("clients.a.state?.length", 2)
    assert await page.get("clients.b.state.length") == 1
    await page.join("c", "/plain")
    await page.becomes("clients.c.status.state", "closed")
    assert (await page.status("c"))["code"] == "not_allowed"
    refused = "session.request('GET', '/live').catch(({ code, status }) => [code, status])"
    assert await page.get(refused) == ["no_route", 404]
    backend.hold = asyncio.Event()
    cancelled = """async () => {
      const control = new AbortController();
      const asked = session.request("GET", "/plain/2", undefined, { signal: control.signal });
      setTimeout(() => control.abort(), 50);
      return asked.catch(({ name }) => name);
    }"""
    assert await page.get(cancelled) == "AbortError"
    backend.hold.set()
    backend.hold = None
    pending = "globalThis.last = session.request('GET', '/plain').catch(({ code }) => code); session.close(); last"
    assert await page.get(pending) == "connection_lost"
    assert (await page.status("a"))["state"] == "closed"
    assert [line["transport"] for line in running.log() if line["kind"] == "open"] == ["session"]
    assert page.problems == []


async def test_a_session_shows_a_new_token_before_the_old_one_ends(gateway: Serve, backend: Backend, tab: Open) -> None:
    running = gateway(WITH_TOKENS.format(url=backend.url, secret=SECRET))
    page = await tab(running.url)
    texts = [jwt.encode({"sub": "ada", "exp": time.time() + lasts}, SECRET, "HS256") for lasts in (9, 600)]
    for stock, text in enumerate(texts):
        backend.shirts[f"Bearer {text}"] = [{"id": 1, "stock": stock}]
    await page.page.evaluate(RENEWED, texts)
    await page.becomes("seen.a.events", [0, 1])
    assert await page.get("session.request('GET', '/api/shirts').then(({ body }) => body[0].stock)") == 1
    await asyncio.sleep(9)  # until the first has ended
    assert await page.get("session.request('GET', '/api/shirts').then(({ status }) => status)") == 200
    states = "seen.a.statuses.map(({ state }) => state)"
    assert await page.get(states) == ["live"], "it was never gone"
    assert [line["transport"] for line in running.log() if line["kind"] == "open"] == ["session"]
    assert page.problems == []


async def test_a_session_that_is_refused_says_why(gateway: Serve, backend: Backend, tab: Open) -> None:
    page = await tab(start(gateway, backend).url)
    await page.get(
        """async () => {
          const { connect } = await import("/.tidegate/client.js");
          globalThis.session = connect("/.tidegate/nothing");
          globalThis.refused = session.request("GET", "/plain").catch(({ code }) => code);
        }"""
    )
    await page.becomes("session.status.state", "offline")
    assert "not live here" in await page.get("session.status.reason")
    assert await page.get("session.close(); refused") == "connection_lost"


async def test_an_hour_glass(gateway: Serve, backend: Backend, tab: Open, relay: Relay) -> None:
    """The gateway is restarted, cleanly and not; then the network is gone for ten seconds. Nothing is missed."""
    running = start(gateway, backend)
    relay.to(running.port)
    shirts = backend.shirts[""]
    page = await tab(relay.url)
    for transport in TRANSPORTS:
        await page.follow(transport, transports=[transport])
    await page.join("session", "/api/shirts")
    states = "Object.values(clients).map(({ state }) => state)"
    await page.becomes(states, [shirts] * 4)

    for number in (signal.SIGTERM, signal.SIGKILL):
        running.process.end(number)
        shirts.append({"id": len(shirts) + 1, "stock": 0})
        running = start(gateway, backend)
        relay.to(running.port)
        await page.becomes(states, [shirts] * 4)

    snapshots = "Object.values(seen).map(({ events }) => events.filter((type) => type === 'snapshot').length)"
    before = await page.get(snapshots)
    relay.to(1)  # where nobody listens
    relay.cut()
    shirts[0]["stock"] = 99
    shirts.append({"id": 77, "stock": 0})
    del shirts[1]
    await asyncio.sleep(10)  # this long, because it is what an hour-glass on a page is made of
    assert await page.get("clients.websocket.state[0].stock") == 12
    relay.to(running.port)
    await page.becomes(states, [shirts] * 4)
    assert await page.get(snapshots) == before, "they resumed, and were not told all again"
    await page.becomes("Object.values(clients).map(({ status }) => status.state)", ["live"] * 4)
    assert page.problems == []
