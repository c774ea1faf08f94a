"""Who may have a tunnel, what goes up, and what is counted; without sockets. The bytes are in tests/wire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Far, Headers, Message, Scope, Send
from gateway.core.codes import UPSTREAM_GONE, Disconnect
from gateway.core.http import Answer
from gateway.core.route import parse_template
from gateway.core.settings import Route
from gateway.core.stats import Stats, StreamStats
from gateway.errors import ClientError, UpstreamTimeout
from gateway.proxy.tunnel import Tunnels
from gateway.testing.source import turn

ROUTE = Route(name="chat", path=parse_template("/**"), upstream="shop")
KEY = (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")


class Upgraded:
    headers: ClassVar[Headers] = [(b"Sec-WebSocket-Accept", b"abc"), (b"X-Own", b"1"), (b"Upgrade", b"websocket")]

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Upstream:
    """Answers with `found`, once it may."""

    found: Far | Answer | Exception
    host: bytes | None = None
    asked: list[tuple[bytes, Headers]] = field(default_factory=list)
    may: asyncio.Event = field(default_factory=asyncio.Event)

    async def upgrade(self, target: bytes, headers: Headers) -> Far | Answer:
        self.asked.append((target, headers))
        await self.may.wait()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@dataclass(eq=False)
class Joined:
    sent: int = 7
    ending: Disconnect = UPSTREAM_GONE
    over: asyncio.Event | None = None

    def end(self, why: Disconnect) -> None:
        self.ending = why

    async def wait(self) -> None:
        if self.over is not None:
            await self.over.wait()


@dataclass
class Wire:
    raw_headers: Headers
    gone: bool = False
    broken: bool = False
    answered: Headers | None = None
    whole: bool = True
    joined: Joined = field(default_factory=lambda: Joined())

    def splice(self, headers: Headers, far: Far, stats: StreamStats, /) -> Joined | None:
        if self.broken:
            raise ValueError("a response header holds a line break")
        self.answered = headers
        return None if self.gone else self.joined


class Scene:
    def __init__(self, found: Far | Answer | Exception, **headers: str) -> None:
        raw = [KEY, *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())]
        raw.append((b"Host", b"shop.example"))
        self.wire = Wire(raw)
        self.scope: Scope = {
            "type": "websocket",
            "http_version": "1.1",
            "scheme": "wss",
            "path": "/x",
            "raw_path": b"/x",
            "query_string": b"a=%20",
            "headers": [(name.lower(), value) for name, value in raw],
            "client": ("192.0.2.1", 1),
            "extensions": {"tidegate.wire": self.wire},
        }
        self.stats = Stats()
        self.sent: list[Message] = []
        self.refused: list[ClientError] = []
        self.upstream = Upstream(found)
        self.upstream.may.set()
        self.leaves = asyncio.Event()

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "websocket.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def refuse(self, scope: Scope, send: Send, error: ClientError) -> None:
        self.refused.append(error)

    async def play(self, route: Route = ROUTE) -> None:
        tunnels = Tunnels(self.stats, NoAccessLog(), lambda: 0.0, self.refuse)
        await tunnels.open(self.scope, self.receive, self.send, route, self.upstream)

    @property
    def counted(self) -> StreamStats:
        return self.stats.routes["chat"].streams["tunnel"]


async def test_what_goes_up_and_what_comes_down() -> None:
    scene = Scene(Upgraded(), Cookie="a=b", Connection="Upgrade, X-Hop", X_Hop="1", Sec_WebSocket_Extensions="foo")
    await scene.play()
    ((target, headers),) = scene.upstream.asked
    assert target == b"/x?a=%20"
    names = [name.lower() for name, _ in headers]
    assert names.count(b"upgrade") == names.count(b"connection") == names.count(b"sec-websocket-key") == 1
    assert {KEY, (b"Cookie", b"a=b"), (b"Sec-WebSocket-Extensions", b"foo"), (b"Upgrade", b"websocket")} <= set(headers)
    assert (b"X-Forwarded-Proto", b"https") in headers
    assert b"x-hop" not in names
    assert scene.wire.answered is not None
    assert [pair for pair in scene.wire.answered if pair[0] != b"Via"] == Upgraded.headers[:2]
    assert (scene.counted.opened, scene.counted.open) == (1, 0)
    assert dict(scene.counted.closed) == {"upstream_gone": 1}


async def test_over_http2_the_key_is_ours() -> None:
    scene = Scene(Upgraded())
    scene.wire.raw_headers.remove(KEY)
    scene.scope["headers"].remove((KEY[0].lower(), KEY[1]))
    scene.scope["http_version"] = "2"
    await scene.play()
    (key,) = (value for name, value in scene.upstream.asked[0][1] if name == KEY[0])
    assert len(key) == 24
    assert scene.wire.answered is not None
    assert b"Sec-WebSocket-Accept" not in dict(scene.wire.answered)


async def test_a_refusal_is_passed_on() -> None:
    answer = Answer(status=401, headers=((b"X-Own", b"1"), (b"Transfer-Encoding", b"chunked")), body=b"no")
    scene = Scene(answer)
    await scene.play()
    start, body = scene.sent
    assert (start["type"], start["status"], body["body"]) == ("websocket.http.response.start", 401, b"no")
    assert dict(start["headers"]).keys() == {b"X-Own", b"Via"}
    assert dict(scene.stats.routes["chat"].requests) == {("GET", 401): 1}


async def test_an_upstream_that_fails() -> None:
    scene = Scene(UpstreamTimeout("upstream 'shop' did not answer"))
    await scene.play()
    assert [(error.status, error.code) for error in scene.refused] == [(504, "upstream_timeout")]


async def test_what_cannot_be_sent() -> None:
    scene = Scene(ClientError(400, "bad_target", "no"))
    await scene.play()
    assert [error.code for error in scene.refused] == ["bad_target"]


@pytest.mark.parametrize("extensions", [None, {}, {"tidegate.wire": object()}])
async def test_a_server_that_has_no_tunnels(extensions: Any) -> None:
    scene = Scene(Upgraded())
    scene.scope["extensions"] = extensions
    with pytest.raises(ClientError) as caught:
        await scene.play()
    assert (caught.value.status, caught.value.code) == (501, "no_tunnel")


async def test_a_client_that_leaves_while_the_upstream_thinks() -> None:
    scene = Scene(Upgraded())
    scene.upstream.may.clear()
    scene.leaves.set()
    await scene.play()
    assert not scene.refused
    assert scene.wire.answered is None


@pytest.mark.parametrize("how", ["gone", "broken"])
async def test_what_was_opened_for_nobody_is_closed(how: str) -> None:
    opened = Upgraded()
    scene = Scene(opened)
    setattr(scene.wire, how, True)
    if how == "broken":
        with pytest.raises(ValueError, match="line break"):
            await scene.play()
    else:
        await scene.play()
    assert opened.closed
    assert scene.counted.opened == 0


async def test_those_of_some_routes_are_found_while_they_are_open() -> None:
    scene, over = Scene(Upgraded()), asyncio.Event()
    scene.wire.joined = Joined(over=over)
    tunnels = Tunnels(scene.stats, NoAccessLog(), lambda: 0.0, scene.refuse)
    async with asyncio.TaskGroup() as group:
        group.create_task(_play(tunnels, scene))
        await turn()
        assert tunnels.of({"another"}) == []
        assert tunnels.of({"chat"}) == [scene.wire.joined]
        over.set()
    assert tunnels.of({"chat"}) == []


async def test_one_that_opens_on_a_route_that_is_gone_ends() -> None:
    scene = Scene(Upgraded())
    scene.wire.joined = Joined()
    tunnels = Tunnels(scene.stats, NoAccessLog(), lambda: 0.0, scene.refuse, lambda route: False)
    await _play(tunnels, scene)
    assert dict(scene.counted.closed) == {"reload": 1}


async def _play(tunnels: Tunnels, scene: Scene) -> None:
    await tunnels.open(scene.scope, scene.receive, scene.send, ROUTE, scene.upstream)
