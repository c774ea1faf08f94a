from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Coroutine
from typing import cast

import pytest

from gateway.core.asgi import Header, Scope
from gateway.core.codes import RESTART
from gateway.core.cors import SHARING
from gateway.core.http import IDENTITY
from gateway.core.identity import Identity
from gateway.core.route import parse_template
from gateway.core.settings import ChannelSettings, Route
from gateway.core.shares import Owner
from gateway.errors import ClientError
from gateway.live.message_urls import MessageUrls, methods_of
from gateway.plugin import Codec, Context
from gateway.plugin.registry import find
from gateway.testing.source import turn
from tests.live.scene import Client, Scene

ORDERS = Route(name="orders", path=parse_template("/orders/{id}"), channel=ChannelSettings(name="orders.${params.id}"))
MINE = Route(
    name="mine",
    path=parse_template("/mine"),
    channel=ChannelSettings(name="orders.${claims.sub}", publish=True, origins=("https://app.example",)),
)
LINK = (b"link", b"<>")


class Urls:
    """The routes above, and clients that ask for them; `headers` are those of whoever asks from now on."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.headers: tuple[Header, ...] = ()
        plugin = find("codecs")["json"].load()
        codec: Codec = plugin.make(plugin.options(), Context(clock=scene.clock))  # type: ignore[assignment]
        self.urls = MessageUrls(scene.live, [LINK], codec)

    async def ask(self, method: str = "GET", accept: str = "*/*", *, query: str = "", id: str = "7") -> Client:
        """A client of the first has asked; raises ClientError when it is refused at once."""
        return await self._ask(ORDERS, {"method": method, "query_string": query.encode()}, accept, {"id": id})

    async def mine(self, method: str = "GET", sub: str | None = "ada", expires: float | None = None) -> Client:
        """A client of the second, who may be somebody."""
        identity = Identity(subject="-", claims={"sub": sub}, expires=expires) if sub is not None else None
        accept = "lines" if method in ("GET", "WS") else "*/*"
        return await self._ask(MINE, {"method": method, "query_string": b"", IDENTITY: identity}, accept, {})

    async def _ask(self, route: Route, scope: Scope, accept: str, params: dict[str, str]) -> Client:
        client = Client()
        scope = {
            **scope,
            "type": "websocket" if scope["method"] == "WS" else "http",
            "raw_path": b"/x",
            "headers": [(b"accept", accept.encode()), *self.headers],
            "writer": client.writer,
            "client": None,
            SHARING: [(b"vary", b"origin")],
        }
        self.scene.clients.append(client)
        answer = self.urls.serve(scope, client.inbox.get, client.send, route, params)
        if scope["method"] == "POST":
            client.inbox.put_nowait({"type": "http.request", "body": b"1"})
            await answer
        else:
            client.task = asyncio.get_running_loop().create_task(cast("Coroutine[None, None, None]", answer))
            await turn()
        return client

    async def refusal(self, asked: Awaitable[Client]) -> ClientError:
        with pytest.raises(ClientError) as refused:
            await asked
        return refused.value


@pytest.fixture
def urls(scene: Scene) -> Urls:
    return Urls(scene)


async def test_a_url_is_a_stream_of_its_channel(urls: Urls) -> None:
    client, other = await urls.ask(accept="lines", id="7"), await urls.ask(accept="lines", id="8")
    first = await urls.scene.live.messages.publish("orders.7", {"n": 1})
    await turn()
    epoch = first.epoch
    assert client.writer.taken.count(b"event") == 0
    assert client.heard() == [f"{epoch}.0", f"{epoch}.1"]
    assert len(other.heard()) == 1, "where it begins, and nothing of others"
    again = await urls.ask(accept="lines", id="7", query=f"live.since={epoch}.0")
    assert again.heard() == [f"{epoch}.1"], "what it missed, and not where it is"


async def test_its_stream_is_counted_and_logged_as_the_routes(urls: Urls) -> None:
    client = await urls.ask(accept="lines", id="7")
    await urls.scene.live.messages.publish("orders.7", 1)
    await turn()
    await client.leave()
    stats = urls.scene.stats.routes
    assert (stats["orders"].streams["lines"].opened, stats["orders"].streams["lines"].open) == (1, 0)
    assert stats["*"].streams["lines"].messages == 2, "events are the channel's own, as they are for sessions"
    assert urls.scene.access.lines == [("open", "1", "orders", "lines"), ("close", "1", "orders", "lines")]
    assert "channels=1" in repr(urls.scene.live.messages)
    for _ in range(2):
        urls.scene.clock.advance(700)
        await turn()
    assert "channels=0" in repr(urls.scene.live.messages), "it has been given back"


@pytest.mark.parametrize("value", ["a.b", "a b", "", "x" * 200])
async def test_a_value_that_is_no_part_of_a_name_is_no_channel(urls: Urls, value: str) -> None:
    error = await urls.refusal(urls.ask(accept="lines", id=value))
    assert (error.status, error.code, error.close_code) == (404, "no_channel", 4404)
    assert len(urls.scene.live.messages) == 0


async def test_claims_name_each_clients_own(urls: Urls) -> None:
    ada, eve = await urls.mine(sub="ada"), await urls.mine(sub="eve")
    await urls.scene.live.messages.publish("orders.ada", 1)
    await turn()
    assert (len(ada.heard()), len(eve.heard())) == (2, 1)
    for sub in ("ada.x", "", None):
        assert (await urls.refusal(urls.mine(sub=sub))).code == "no_channel"


async def test_a_plain_get_is_told_what_to_ask_for(urls: Urls) -> None:
    for method in ("GET", "HEAD"):
        error = await urls.refusal(urls.ask(method))
        assert (error.status, error.code) == (406, "not_acceptable")
        assert error.headers == (LINK, (b"vary", b"accept"))
        assert "long_poll, sse" in error.detail


async def test_methods(urls: Urls) -> None:
    for method in ("POST", "DELETE"):
        error = await urls.refusal(urls.ask(method))
        assert (error.status, dict(error.headers)) == (405, {b"allow": b"GET, HEAD, OPTIONS"})
    assert dict((await urls.refusal(urls.mine("PUT"))).headers) == {b"allow": b"GET, HEAD, OPTIONS, POST"}
    told = await urls.ask("OPTIONS")
    assert (told.sent[0]["status"], told.sent[0]["headers"]) == (204, [(b"allow", b"GET, HEAD, OPTIONS")])
    assert urls.scene.access.lines == [("request", "orders", "204")]
    assert (await urls.refusal(urls.ask("WS"))).code == "not_live", "no transport takes it here"
    assert [methods_of(route.channel) for route in (ORDERS, MINE) if route.channel] == [b"GET", b"GET, POST"]


async def test_there_are_no_modes(urls: Urls) -> None:
    error = await urls.refusal(urls.ask(accept="lines", query="live.mode=notify"))
    assert (error.status, error.code, error.detail) == (400, "bad_mode", "a channel of messages has no modes")
    assert (await urls.refusal(urls.ask(accept="lines", query="live.sinse=1"))).code == "bad_option"
    assert len(urls.scene.live.messages) == 0


async def test_other_sites_pages_may_not_use_cookies(urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = urls.scene.live.parts.transports[0]
    monkeypatch.setattr(lines, "accepts", lambda request: True)  # WebSockets too
    urls.headers = (b"cookie", b"a"), (b"origin", b"https://evil.example"), (b"host", b"shop")
    assert (await urls.refusal(urls.mine("WS"))).code == "origin"
    urls.headers = (b"cookie", b"a"), (b"origin", b"https://app.example"), (b"host", b"shop")
    await urls.mine("WS")
    assert len(urls.scene.live.messages) == 1


async def test_nobody_names_channels_without_end(urls: Urls) -> None:
    for id_ in ("1", "2", "2", "1"):
        await urls.ask(accept="lines", id=id_)
    most = urls.scene.live.parts.limits
    for number in range(3, most.channels_per_ip + 1):
        urls.scene.live.messages.get(str(number), Owner("", crowd=True))
    error = await urls.refusal(urls.ask(accept="lines", id="another"))
    assert (error.status, error.code, error.close_code) == (429, "too_many_channels", 4429)
    await urls.mine()  # whom somebody knows is another


async def test_each_long_poll_goes_on_where_the_last_ended(urls: Urls) -> None:
    publish = urls.scene.live.messages.publish
    waiting = await urls.ask(query="live.wait=5")
    assert waiting.sent == []
    first = await publish("orders.7", 1)
    await turn()
    answer = json.loads(waiting.body)
    assert ([event["id"] for event in answer["events"]], answer["next"]) == ([str(first)], str(first))
    second = await publish("orders.7", 2)
    again = await urls.ask(query=f"live.wait=5&live.since={first}")
    answer = json.loads(again.body)
    assert ([event["id"] for event in answer["events"]], answer["next"]) == ([str(second)], str(second))
    nothing = json.loads((await urls.ask(query="live.wait=0")).body)
    assert nothing == {"events": [], "next": str(second)}


async def test_it_ends_with_the_credentials_and_with_the_gateway(urls: Urls) -> None:
    client, other = await urls.mine(expires=urls.scene.clock.time() + 3), await urls.ask(accept="lines")
    for _ in range(4):
        urls.scene.clock.advance(1)
        await turn()
    assert client.writer.closed == (4409, "the credentials have expired")
    assert other.writer.closed is None
    await urls.scene.live.close()
    assert other.writer.closed == (1012, "the gateway restarts, reconnect with jitter")
    assert (await urls.refusal(urls.ask(accept="lines"))).status == 503


async def test_the_streams_of_a_route_can_be_silenced_and_sent_away(urls: Urls) -> None:
    gone, other = await urls.ask(accept="lines"), await urls.mine(sub="7")
    (stream,) = urls.scene.live.silence(["orders", "nothing"])
    await urls.scene.live.messages.publish("orders.7", 1)
    await turn()
    assert (len(gone.heard()), len(other.heard())) == (1, 2), "one channel, and two routes"
    stream.disconnect(RESTART)
    assert gone.writer.closed == (1012, RESTART.reason)
    await gone.leave()
    await other.leave()
    assert (urls.scene.live.silence(["orders", "mine"]), urls.scene.live._at_urls) == ([], {})


async def test_what_pages_share_is_said_to_streams_and_posts(urls: Urls) -> None:
    for method, status in (("POST", 201), ("GET", 200)):
        client = await urls.mine(method)
        assert (client.status, (b"vary", b"origin") in client.sent[0]["headers"]) == (status, True)
