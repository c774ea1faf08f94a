"""Finds or starts the channel that a request's subscribers share, and ends it a while after the last has left.

A channel belongs to one route, one target and one share key, so data never crosses between clients that the
backend would answer differently. The table is bounded: beyond the `limits` a request is refused, so that
nobody can make the gateway hammer the backend by inventing query strings.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256

from gateway.core.codes import Disconnect
from gateway.core.http import Request
from gateway.core.route import decode_path
from gateway.core.settings import Limits, LiveSettings, Polls, Route, UpstreamSettings
from gateway.core.stats import Stats
from gateway.core.voices import Voice, Voices
from gateway.errors import ClientError
from gateway.live.channel import Channel, closed_by
from gateway.live.hints import Hints
from gateway.live.looks import Looking, Looks
from gateway.live.outlet import Outlet
from gateway.live.publisher import ChannelPublisher, follow
from gateway.live.supervisor import Supervisor
from gateway.plugin import AnySource, Broker, Clock, RereadingWatch, Share, Source, Target, Upstream, WatchingSource

# How often channels are looked after; a heartbeat is at most this much late.
SWEEP = 1.0
# Channels that are looked after before others get a turn of the loop: half a millisecond.
_TURN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRoute:
    """A live route with what serves it.

    `polls` bounds the looks at its upstream; `preserve_host`: the backend is sent the client's own Host, and may
    answer by it.
    """

    route: Route
    settings: LiveSettings
    source: AnySource
    upstream: Upstream
    polls: Polls = field(default_factory=Polls)
    preserve_host: bool = False


@dataclass(slots=True, eq=False)
class _Running:
    """A channel and what fills it; `looking` if that can be asked for, `idle_since` while it has no subscriber."""

    channel: Channel
    place: tuple[str, str]
    who: tuple[bytes, bytes]
    stop: Callable[[], object]
    outlet: Outlet
    looking: Looking | None
    idle_since: float | None = None
    next_heartbeat: float = field(default=0.0)


class Channels:
    """All channels of this node."""

    def __init__(self, broker: Broker, stats: Stats, clock: Clock, limits: Limits, supervisor: Supervisor) -> None:
        self._broker = broker
        self._stats = stats
        self._clock = clock
        self._limits = limits
        self._supervisor = supervisor
        self._looks = Looks(clock, supervisor)
        self._hints = Hints(clock, stats)
        self._running: dict[str, _Running] = {}
        self._places: dict[tuple[str, str], set[_Running]] = {}  # by route and path
        self._followed = Counter[bytes]()  # channels by who was the first to follow them

    def __len__(self) -> int:
        return len(self._running)

    def get(self, live: LiveRoute, request: Request, *, lending: bool = False, address: str = "") -> Channel:
        """The channel for this request, started if need be; raises ClientError 429 when there are too many.

        Each call must be matched by one of `release`. `lending` promises to `lend` at once, and shares more. `address`
        is the client's: whom no authenticator knows may invent credentials, but not that.
        """
        share = live.source.share(request)
        if share.alone is not None and not lending:
            share = replace(share, key=share.alone, alone=None)
        host = request.header(b"host") if live.preserve_host else None
        at = b"" if host is None else host.lower()
        name = f"{live.route.name} {at.decode('latin-1')}{request.target.decode('latin-1')} {share.key.hex()}"
        running = self._running.get(name)
        if running is None:
            who = share.who, b"" if request.identity is not None or not address else b"\0" + address.encode()
            self._make_room(live, who)
            fixed = [] if host is None else [(b"host", at)]
            share = replace(share, headers=fixed if share.alone is not None else fixed + share.headers)
            running = self._running[name] = self._start(name, live, request, share, who)
        elif live.settings.max_age is not None:
            self._confirm(running, live.settings.max_age)
        running.idle_since = None
        running.channel.users += 1
        if running.looking is not None and running.looking.behind:
            self._looks.overtake(running.looking)
        return running.channel

    def lend(
        self, live: LiveRoute, request: Request, channel: Channel, end: Callable[[Disconnect], None]
    ) -> Voice | None:
        """Let a user's credentials be used for all of a channel that it has got, where the source shares it so.

        `end` is called when the backend refuses them.
        """
        voices = channel.voices
        if voices is None:
            return None
        identity = request.identity
        alone = not len(voices)
        expires = identity.expires if identity is not None else None
        headers = live.source.share(request).headers
        voice = voices.join(headers, expires, lambda status: end(closed_by(status)))
        running = self._running.get(channel.name)
        looking = None if running is None else running.looking
        if alone and looking is not None and looking.state == "waiting":
            self._looks.refresh(looking)  # nobody could ask while nobody was there
        return voice

    def release(self, channel: Channel, voice: Voice | None = None) -> None:
        """A user of the channel has gone, with its credentials; when it was the last, `linger` begins."""
        if voice is not None and channel.voices is not None:
            channel.voices.leave(voice)
        channel.users -= 1
        running = self._running.get(channel.name)
        if running is not None and running.channel is channel and not channel.users:
            running.idle_since = self._clock.monotonic()

    def refresh(self, route: str, path: bytes, *, gone: bool = False) -> int:
        """Have the backend looked at now for every channel of the route at this path (encoded, without a query).

        The looks begin after this call, whatever is under way, and see what is `gone`. Says how many channels there
        are; those of sources that cannot be asked are not counted.
        """
        found = [
            running.looking for running in self._places.get((route, _path(path)), ()) if running.looking is not None
        ]
        for looking in found:
            if gone and isinstance(looking.watch, RereadingWatch):
                looking.watch.reread()
            if looking.of is not None:
                looking.of.publisher.announced.tell()
            self._looks.refresh(looking)
        return len(found)

    def announce(self, route: str, path: bytes) -> int:
        """As `refresh`, of what a webhook has told."""
        self._hints.heard(route)
        return self.refresh(route, path, gone=True)

    def _confirm(self, running: _Running, max_age: float) -> None:
        """Have a state looked at again that is too old for who comes, once for all who come meanwhile.

        Not while looks fail: the pauses between those are there to spare the backend; nor while an answer is doubted,
        for what is said again at once is no more to be believed.
        """
        looking, freshness = running.looking, running.channel.freshness
        age = freshness.age(self._clock.monotonic())
        if looking is None or looking.state != "waiting" or age is None or freshness.failed or freshness.failing:
            return
        if age > max_age:
            self._looks.refresh(looking)

    async def sweep(self) -> None:
        """Upkeep of every channel, in several turns of the loop; ends those that have lingered long enough."""
        now = self._clock.monotonic()
        overdue = self._hints.check()
        oldest = dict.fromkeys(self._stats.routes, 0.0)
        for number, (name, running) in enumerate(tuple(self._running.items()), 1):
            if number % _TURN == 0:
                await asyncio.sleep(0)
            if self._running.get(name) is not running:
                continue
            channel, settings = running.channel, running.channel.settings
            oldest[channel.route] = max(oldest[channel.route], channel.freshness.age(now) or 0.0)
            if running.idle_since is not None and now - running.idle_since >= settings.linger:
                self._forget(name, running.channel)
                continue
            if channel.route in overdue and running.looking is not None:
                self._looks.wish(running.looking)
            due = now >= running.next_heartbeat
            if due:
                running.next_heartbeat = now + settings.heartbeat
            running.channel.sweep(heartbeat=due)
        for route, age in oldest.items():
            self._stats.routes[route].staleness = age

    def retire(self, routes: Collection[str], upstreams: Iterable[str] = ()) -> list[Channel]:
        """Fill the channels of these routes no more, and forget them: who comes from now on gets others.

        Those who hold them hear nothing more, and are to be sent away.
        """
        self._looks.renew(upstreams)
        gone = [(name, running.channel) for name, running in self._running.items() if running.channel.route in routes]
        for name, channel in gone:
            self._forget(name, channel)
        for route in routes:
            self._hints.forget(route)
        return [channel for _, channel in gone]

    def end(self, disconnect: Disconnect) -> None:
        """Send every subscriber away."""
        for running in tuple(self._running.values()):
            running.channel.end(disconnect)

    def _start(self, name: str, live: LiveRoute, request: Request, share: Share, who: tuple[bytes, bytes]) -> _Running:
        stats = self._stats.routes[live.route.name]
        stats.channels += 1
        channel = Channel(name, live.route.name, live.settings, stats, self._clock)
        channel.voices = Voices() if share.alone is not None else None
        channel.begin(self._broker.attach(name, channel.deliver))
        publisher = ChannelPublisher(channel, self._broker, stats, self._clock, self._supervisor)
        phase = (int.from_bytes(sha256(name.encode()).digest()[:4], "big") + 1) / 2**32
        followed = Target(
            target=request.target,
            headers=share.headers,
            upstream=live.upstream,
            phase=phase,
            voices=channel.voices,
            params=request.params,
            key=share.key,
            wished=channel.wished,
            fallback=self._hints.expect(live.route.name, live.settings.hints),
        )
        running = self._fill(live, followed, publisher, who)
        self._followed.update(who)
        running.next_heartbeat = self._clock.monotonic() + live.settings.heartbeat
        self._places.setdefault(running.place, set()).add(running)
        return running

    def _make_room(self, live: LiveRoute, who: tuple[bytes, bytes]) -> None:
        """Raise ClientError 429 where there are as many channels as there may be."""
        limits = self._limits
        theirs, from_there = (self._followed[one] if one else 0 for one in who)
        here = self._stats.routes[live.route.name].channels
        if len(self._running) >= limits.channels:
            detail = f"the gateway already follows {limits.channels} resources, its limit; try again later"
        elif here >= limits.channels_per_route:
            detail = f"the gateway already follows {here} resources of this route, its limit; try again later"
        elif theirs >= limits.channels_per_client:
            detail = f"you already follow {theirs} resources, the limit for one client"
        elif from_there >= limits.channels_per_ip:
            detail = f"{from_there} resources are already followed from your address, its limit; try again later"
        else:
            return
        raise ClientError(429, "too_many_channels", detail).with_headers((b"retry-after", b"30"))

    def _fill(self, live: LiveRoute, target: Target, publisher: ChannelPublisher, who: tuple[bytes, bytes]) -> _Running:
        channel = publisher.channel
        place = live.route.name, _path(target.target)
        source = live.source
        if isinstance(source, WatchingSource):
            watch = source.watch(target, publisher)
            ended = partial(self._forget, channel.name, channel)
            lane = self._looks.lane(live.upstream.name, live.polls)
            looking = self._looks.start(lane, watch, publisher, ended)
            channel.wish = partial(self._looks.wish, looking)
            return _Running(channel, place, who, partial(self._looks.stop, looking), publisher.outlet, looking)
        work = self._run(source, target, publisher)
        task = self._supervisor.start(work, f"source of route {live.route.name}")
        return _Running(channel, place, who, task.cancel, publisher.outlet, None)

    async def _run(self, source: Source, target: Target, publisher: ChannelPublisher) -> None:
        await follow(source, target, publisher)
        self._forget(publisher.channel.name, publisher.channel)  # only a refusal ends a source by itself

    def _forget(self, name: str, channel: Channel) -> None:
        running = self._running.get(name)
        if running is not None and running.channel is channel:
            del self._running[name]
            there = self._places[running.place]
            there.discard(running)
            if not there:
                del self._places[running.place]
            self._followed.subtract(running.who)
            for one in running.who:
                if not self._followed[one]:
                    del self._followed[one]
            running.stop()
            running.outlet.close()
            self._broker.detach(name)
            channel.forget()


def _path(target: bytes) -> str:
    """The path as routes read it, so that every spelling of it is the same place."""
    return decode_path(target.partition(b"?")[0])


def live_routes(
    routes: tuple[Route, ...],
    sources: Mapping[str, AnySource],
    upstreams: Mapping[str, Upstream],
    settings: Mapping[str, UpstreamSettings],
) -> dict[str, LiveRoute]:
    """The live ones among `routes` by name; `sources` too, `upstreams` and their `settings` by their own."""
    return {
        route.name: LiveRoute(
            route=route,
            settings=route.live,
            source=sources[route.name],
            upstream=upstreams[route.upstream],
            polls=settings[route.upstream].polls,
            preserve_host=settings[route.upstream].host_header == "preserve",
        )
        for route in routes
        if route.live is not None
    }
