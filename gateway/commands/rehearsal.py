"""One live route's channel without a server: asked for as a client would, fed by any upstream, heard as clients hear.

Everything but the sockets is the running product's: the route table, the source, the comparison, the log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from gateway.build import make, make_all
from gateway.core.asgi import Framing, Header, Headers
from gateway.core.codes import Disconnect
from gateway.core.event import Change, Json
from gateway.core.http import Answer, Request
from gateway.core.identity import Identity
from gateway.core.position import Position
from gateway.core.route import Miss, RouteTable
from gateway.core.settings import Gateway, LiveSettings, Mode, Route
from gateway.core.stats import RouteStats
from gateway.errors import ClientError, UpstreamUnavailable
from gateway.live.channel import Channel
from gateway.live.negotiate import mode_of, split_query
from gateway.live.publisher import ChannelPublisher
from gateway.plugin import (
    AnySource,
    Clock,
    Codec,
    Context,
    Encoding,
    JoiningWatch,
    Refused,
    Share,
    Target,
    Upstream,
    Watch,
    WatchingSource,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A client's GET and the route that answers it."""

    route: Route
    request: Request
    told: frozenset[bytes] = frozenset()

    @property
    def live(self) -> LiveSettings:
        """How it is live; raises ValueError when it is not."""
        if self.route.live is None:
            raise ValueError(f"route {self.route.name} is not live: its answers pass through, nothing is watched")
        return self.route.live


def ask(settings: Gateway, url: str, headers: tuple[Header, ...] = (), identity: Identity | None = None) -> Asked:
    """What happens to a GET of this URL, or path; raises ValueError when no route answers it."""
    parts = urlsplit(url)
    path, (query, options) = parts.path.encode() or b"/", split_query(parts.query.encode())
    host = parts.netloc.encode() or next((value for name, value in headers if name == b"host"), None)
    try:
        match = RouteTable(settings.routes).match("GET", path, host)
    except ClientError as error:
        raise ValueError(error.detail) from None
    if isinstance(match, Miss):
        raise ValueError(match.error().detail)
    hosts = ((b"host", host),) if host and all(name != b"host" for name, _ in headers) else ()
    request = Request(
        kind="http",
        method="GET",
        target=path + b"?" + query if query else path,
        headers=(*hosts, *headers),
        params=match.params,
        options=options,
        identity=identity,
    )
    return Asked(route=match.route, request=request, told=settings.told(match.route))


class Nowhere:
    """The upstream at a URL of a plugin's own, where nothing is to be asked of it."""

    def __init__(self, url: str) -> None:
        self.name = url

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        raise UpstreamUnavailable(f"upstream {self.name!r} is not asked here")


def source_of(
    asked: Asked, upstreams: Mapping[str, Upstream], clock: Clock, at: Callable[[str], Upstream] = Nowhere
) -> AnySource:
    """The source of a live route, with its options; `at` makes the upstreams of its own URLs."""
    codecs = cast("dict[str, Codec]", make_all("codecs", Context(clock=clock)))
    context = Context(clock=clock, codecs=codecs, upstreams=upstreams, upstream_at=at, told=asked.told)
    return cast("AnySource", make("sources", asked.live.source, context))


def target_of(asked: Asked, share: Share, upstream: Upstream) -> Target:
    """What the source is to follow for the client, alone with its credentials."""
    request = asked.request
    return Target(target=request.target, headers=share.headers, upstream=upstream, params=request.params, key=share.key)


class Rehearsal:
    """A channel with one subscriber, looked at when `look` is called."""

    def __init__(self, asked: Asked, source: AnySource, upstream: Upstream, clock: Clock) -> None:
        if not isinstance(source, WatchingSource):
            raise ValueError(f"the source {asked.live.source.name} cannot be asked for one look")
        settings = asked.live
        self._stats = stats = RouteStats()
        self.channel = Channel("rehearsal", asked.route.name, settings, stats, clock)
        self._broker = _Loopback(self.channel)
        self._mode: Mode = mode_of(asked.request, settings)
        self._ear = _Ear()
        self._started = False
        publisher = ChannelPublisher(self.channel, self._broker, stats, clock)
        share = source.share(asked.request)
        self._plan = _Plan()
        self._plan.start(source.watch(target_of(asked, share, upstream), publisher))

    async def begin_with(self, document: Json) -> None:
        """Take a document, as it was selected before, as the state that the subscriber has."""
        await self._broker.publish("", Change(document=document))
        self._listen()
        self._ear.take()

    async def look(self) -> list[dict[str, Json]]:
        """Look once; what the subscriber is told, without ids."""
        return await self._told(self._plan.look)

    async def look_alone(self) -> list[dict[str, Json]] | None:
        """Look at what was looked at with others by its own URL, too; None where there is nothing to compare."""
        if self._plan.alone is None or not self.channel.log.has_state:
            return None
        failures = self._stats.polls["error"]
        events = await self._told(self._plan.alone)
        return events if self._stats.polls["error"] == failures else None

    async def _told(self, look: Callable[[], Awaitable[object]]) -> list[dict[str, Json]]:
        try:
            await look()
        except Refused as refused:
            return [{"type": "refused", "data": {"status": refused.status}}]
        if self.channel.ready.is_set():
            self._listen()
        await asyncio.sleep(0)  # the flush of this turn
        return self._ear.take()

    def _listen(self) -> None:
        if not self._started:
            self._started = True
            encoding = Encoding(encode=lambda event: json.dumps(event.envelope()).encode() + b"\n", kind="body")
            self.channel.subscribe(encoding, self._mode, "rehearsal", self._ear, _ended).start(None)


class _Planned:
    """A watch; without `regular` it is only looked at when it has been asked for."""

    def __init__(self, watch: Watch, *, regular: bool) -> None:
        self.watch = watch
        self.regular = regular
        self.asked = False
        self.over = False

    def ask(self) -> None:
        self.asked = True

    def hasten(self, pause: float) -> None:
        """Each look is the rehearsal's own."""

    def stop(self) -> None:
        self.over = True


class _Plan:
    """What the runtime's schedule is otherwise: the watch of the channel, and those that look at it with others.

    `alone` is a look at the channel by itself, as long as there was none.
    """

    def __init__(self) -> None:
        self._planned: list[_Planned] = []
        self.alone: Callable[[], Awaitable[object]] | None = None

    def start(self, watch: Watch) -> None:
        joins = isinstance(watch, JoiningWatch)
        own = self._add(watch, regular=not joins)
        if isinstance(watch, JoiningWatch):
            self.alone = watch.look
            watch.join(own, lambda watch, after: self._add(watch, regular=True))

    async def look(self) -> None:
        """Each watch looks once, and then those that are asked for; raises what a look raises."""
        due = [it for it in self._planned if it.regular]
        while due:
            for planned in due:
                planned.asked = False
                if planned.watch.look == self.alone:
                    self.alone = None
                again = await planned.watch.look()
                planned.regular = not again.asked
            self._planned = [it for it in self._planned if not it.over]
            due = [it for it in self._planned if it.asked]

    def _add(self, watch: Watch, *, regular: bool) -> _Planned:
        self._planned.append(_Planned(watch, regular=regular))
        return self._planned[-1]


class _Loopback:
    """A broker of one channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._head = Position("rehearsal", 0)
        channel.begin(self._head)

    def attach(self, channel: str, deliver: Callable[[Position, Change], None]) -> Position:
        return self._head

    def detach(self, channel: str) -> None:
        """There is only one, and it stays."""

    async def publish(self, channel: str, change: Change) -> Position:
        self._head = Position("rehearsal", self._head.offset + change.span)
        self._channel.deliver(self._head, change)
        return self._head


class _Ear:
    """A writer that is never full, and hears events."""

    buffered = 0
    full = False

    def __init__(self) -> None:
        self._heard = b""

    def framing(self, kind: str, /) -> Framing:
        return _plain

    def write(self, data: bytes, /) -> None:
        self._heard += data

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        """It is never full."""

    def close(self, code: int, reason: str, /) -> None:
        """Nobody closes it."""

    def take(self) -> list[dict[str, Json]]:
        events = [json.loads(line) for line in self._heard.splitlines()]
        self._heard = b""
        return [{name: value for name, value in event.items() if name != "id"} for event in events]


def _plain(payload: bytes) -> bytes:
    return payload


def _ended(disconnect: Disconnect) -> None:
    """A rehearsal's subscriber is never sent away but by a refusal, which `look` tells."""
