"""Channels of `/api/orders/{id}` that are read in batches: the real runtime on a backend and a clock of the test's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import TypeAlias, cast
from urllib.parse import parse_qsl, unquote

from gateway.core.event import Json
from gateway.core.route import decode_path, parse_template
from gateway.core.settings import Items, Limits, LiveSettings, PluginUse, Polls, Route
from gateway.core.stats import RouteStats, Stats
from gateway.core.voices import Voice
from gateway.live.channel import Channel
from gateway.live.channels import Channels, LiveRoute
from gateway.live.subscriptions import Subscription
from gateway.live.supervisor import Supervisor
from gateway.plugin import Answer, Broker, Codec, Context, Encoding, Headers, Identity, Request
from gateway.plugin.registry import find
from gateway.testing.clock import ManualClock
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter
from gateway_plugins.sources.poll import PollSource
from gateway_plugins.sources.poll_options import PollOptions

Reply: TypeAlias = "Answer | Exception"

JSON = (b"content-type", b"application/json")


def told(status: int, document: Json = None, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status=status, headers=(JSON, *headers), body=json.dumps(document).encode())


class Orders:
    """A REST backend: `/api/orders/{id}`, and `/api/orders?ids=` for many.

    `asked` are the times, targets and headers of all requests. `many` and `one`, when set, answer in its place; None
    from them is the usual answer. While `gate` is closed, answers are made and held back. `per_page` are as many as
    `?page=` has; 0: all.
    """

    name = "shop"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.orders: dict[str, Json] = {}
        self.asked: list[tuple[float, bytes, Headers]] = []
        self.etags = False
        self.per_page = 0
        self.many: Callable[[list[str]], Reply | None] = lambda ids: None
        self.one: Callable[[str], Reply | None] = lambda one: None
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        assert method == "GET"
        self.asked.append((round(self.clock.monotonic(), 3), target, headers))
        reply = self._reply(target, headers)
        await asyncio.sleep(0)
        await self.gate.wait()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _reply(self, target: bytes, headers: Headers) -> Reply:
        path, _, query = target.decode().partition("?")
        ids = ids_of(query)
        if path != "/api/orders":
            one = unquote(path.removeprefix("/api/orders/"))
            reply = self.one(one) or (told(200, self.orders[one]) if one in self.orders else told(404))
        else:
            found = [self.orders[one] for one in ids if one in self.orders]
            start = self.per_page * (int(dict(parse_qsl(query)).get("page", "1")) - 1)
            reply = self.many(ids) or told(200, found[start : start + self.per_page] if self.per_page else found)
        if self.etags and isinstance(reply, Answer) and reply.status == 200:
            etag = b'"' + sha256(reply.body).hexdigest().encode() + b'"'
            if (b"if-none-match", etag) in headers:
                return Answer(status=304, headers=(), body=b"")
            return replace(reply, headers=(*reply.headers, (b"etag", etag)))
        return reply

    def put(self, *ids: str, version: int = 1) -> None:
        for one in ids:
            self.orders[one] = {"id": int(one) if one.isdecimal() else one, "v": version}

    @property
    def targets(self) -> list[str]:
        return [target.decode() for _, target, _ in self.asked]

    @property
    def batches(self) -> list[list[str]]:
        """The ids of each request for many, sorted."""
        pairs = (target.partition("?") for target in self.targets)
        return [sorted(ids_of(query)) for path, _, query in pairs if path == "/api/orders"]

    @property
    def singles(self) -> list[str]:
        return [target for target in self.targets if target.startswith("/api/orders/")]

    def forget(self) -> None:
        self.asked.clear()


def ids_of(query: str) -> list[str]:
    """What a backend reads of `?ids=1,2` or `?ids=1&ids=2`."""
    return [one for name, value in parse_qsl(query) if name == "ids" for one in value.split(",")]


class Together:
    """The live side of one route."""

    def __init__(self, template: str, **options: object) -> None:
        self.clock = ManualClock()
        self.backend = Orders(self.clock)
        self.stats = Stats()
        self.supervisor = Supervisor()
        codec = find("codecs")["json"].load()
        json_codec = cast("Codec", codec.make(codec.options(), Context(clock=self.clock)))
        settings = {"interval": "10s", "jitter": "0%", "batch": {"param": "ids"}, **options}
        self.context = Context(clock=self.clock, codecs={"json": json_codec})
        self.source = PollSource(PollOptions.model_validate(settings), self.context)
        live = LiveSettings(source=PluginUse(name="poll", options=None), modes=("patch",), linger=0.5)
        self.template = parse_template(template)
        route = Route(name="orders", path=self.template, upstream="shop", live=live)
        self.route = LiveRoute(route=route, settings=live, source=self.source, upstream=self.backend)
        broker = find("brokers")["memory"].load()
        self.channels = Channels(
            cast("Broker", broker.make(broker.options(), Context(clock=self.clock))),
            self.stats,
            self.clock,
            Limits(),
            self.supervisor,
        )

    def limit(self, polls: Polls) -> None:
        self.route = replace(self.route, polls=polls)

    def itemised(self) -> None:
        settings = replace(self.route.settings, items=Items(at="lines"))
        self.route = replace(self.route, settings=settings)

    def follow(
        self, one: str, token: str = "", query: str = "", claims: dict[str, Json] | None = None, host: str = ""
    ) -> Followed:
        """Follow an order by its id as it stands in a URL, or a whole path."""
        lines = (b"authorization", token.encode()), (b"host", host.encode())
        path = (one if one.startswith("/") else f"/api/orders/{one}").encode()
        request = Request(
            kind="http",
            method="GET",
            target=path + b"?" + query.encode() if query else path,
            headers=tuple((name, value) for name, value in lines if value),
            params=self.template.fit(decode_path(path)) or {},
            options={},
            identity=Identity(subject=token, claims=claims) if claims is not None else None,
        )
        channel = self.channels.get(self.route, request, lending=True)
        return Followed(self, channel, self.channels.lend(self.route, request, channel, lambda end: None))

    def follow_all(self, count: int) -> list[Followed]:
        ids = [str(number) for number in range(count)]
        self.backend.put(*ids)
        return [self.follow(one) for one in ids]

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            await turn()
            await self.channels.sweep()

    async def begin(self) -> None:
        """Let those that begin be read: what gathers is asked for after 5 ms."""
        await turn()
        self.clock.advance(0.005)
        await turn(40)

    @property
    def counts(self) -> RouteStats:
        return self.stats.routes["orders"]

    @property
    def polls(self) -> dict[str, int]:
        return dict(self.counts.polls)

    @property
    def crowds(self) -> int:
        return len(self.source._crowds)


class Followed:
    """A channel that somebody follows."""

    def __init__(self, scene: Together, channel: Channel, voice: Voice | None) -> None:
        self.scene = scene
        self.channel = channel
        self.voice = voice

    @property
    def document(self) -> Json:
        return self.channel.log.document

    @property
    def version(self) -> Json:
        return self.document["v"] if isinstance(self.document, dict) else None

    @property
    def refused(self) -> int | None:
        return self.channel.refused.status if self.channel.refused is not None else None

    @property
    def status(self) -> Json:
        """How fresh its subscribers know it to be; that it has recovered is ok."""
        freshness = self.channel.freshness
        return freshness.state if freshness.failing else "ok"

    def subscribe(self, interval: float) -> Subscription:
        """Hear of it, at most that often."""
        encoding = Encoding(encode=lambda event: b"", kind="body")
        one = self.channel.subscribe(encoding, "patch", "sse", ManualWriter(), lambda end: None, interval)
        one.start(None)
        return one

    def leave(self) -> None:
        self.scene.channels.release(self.channel, self.voice)


@asynccontextmanager
async def together(template: str = "/api/orders/{id}", **options: object) -> AsyncIterator[Together]:
    scene = Together(template, **options)
    try:
        yield scene
    finally:
        await scene.supervisor.close()
