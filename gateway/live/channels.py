"""Finds or starts the channel that a request's subscribers share, and ends it a while after the last has left.

A channel belongs to one route, one target and one share key, so data never crosses between clients that the
backend would answer differently. The table is bounded: beyond `limits.channels` a request is refused, so that
nobody can make the gateway hammer the backend by inventing query strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

from gateway.core.codes import Disconnect
from gateway.core.http import Request
from gateway.core.route import decode_path
from gateway.core.settings import LiveSettings, Route
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.channel import Channel
from gateway.live.looks import Looking, Looks
from gateway.live.publisher import ChannelPublisher, follow
from gateway.live.supervisor import Supervisor
from gateway.plugin import AnySource, Broker, Clock, Share, Source, Target, Upstream, WatchingSource

# How often channels are looked after; a heartbeat is at most this much late.
SWEEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRoute:
    """A live route with what serves it."""

    route: Route
    settings: LiveSettings
    source: AnySource
    upstream: Upstream


@dataclass(slots=True, eq=False)
class _Running:
    """A channel and what fills it; `looking` if that can be asked for, `idle_since` while it has no subscriber."""

    channel: Channel
    place: tuple[str, str]
    stop: Callable[[], object]
    looking: Looking | None
    idle_since: float | None = None
    next_heartbeat: float = field(default=0.0)


class Channels:
    """All channels of this node."""

    def __init__(self, broker: Broker, stats: Stats, clock: Clock, limit: int, supervisor: Supervisor) -> None:
        self._broker = broker
        self._stats = stats
        self._clock = clock
        self._limit = limit
        self._supervisor = supervisor
        self._looks = Looks(clock, supervisor)
        self._running: dict[str, _Running] = {}
        self._places: dict[tuple[str, str], set[_Running]] = {}  # by route and path

    def __len__(self) -> int:
        return len(self._running)

    def get(self, live: LiveRoute, request: Request) -> Channel:
        """The channel for this request, started if need be; raises ClientError 429 when there are too many.

        Each call must be matched by one of `release`.
        """
        share = live.source.share(request)
        name = f"{live.route.name} {request.target.decode('latin-1')} {share.key.hex()}"
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = self._start(name, live, request.target, share)
        running.idle_since = None
        running.channel.users += 1
        return running.channel

    def release(self, channel: Channel) -> None:
        """A user of the channel has gone; when it was the last, `linger` begins."""
        channel.users -= 1
        running = self._running.get(channel.name)
        if running is not None and running.channel is channel and not channel.users:
            running.idle_since = self._clock.monotonic()

    def refresh(self, route: str, path: bytes) -> int:
        """Have the backend looked at now for every channel of the route at this path (encoded, without a query).

        The looks begin after this call, whatever is under way. Says how many channels there are; those of sources
        that cannot be asked are not counted.
        """
        found = [
            running.looking for running in self._places.get((route, _path(path)), ()) if running.looking is not None
        ]
        for looking in found:
            self._looks.refresh(looking)
        return len(found)

    def sweep(self) -> None:
        """Upkeep of every channel; ends those that have lingered long enough."""
        now = self._clock.monotonic()
        for name, running in tuple(self._running.items()):
            settings = running.channel.settings
            if running.idle_since is not None and now - running.idle_since >= settings.linger:
                self._forget(name, running.channel)
                continue
            due = now >= running.next_heartbeat
            if due:
                running.next_heartbeat = now + settings.heartbeat
            running.channel.sweep(heartbeat=due)

    def end(self, disconnect: Disconnect) -> None:
        """Send every subscriber away."""
        for running in tuple(self._running.values()):
            running.channel.end(disconnect)

    def _start(self, name: str, live: LiveRoute, target: bytes, share: Share) -> _Running:
        if len(self._running) >= self._limit:
            detail = f"the gateway already follows {self._limit} resources, its limit; try again later"
            raise ClientError(429, "too_many_channels", detail).with_headers((b"retry-after", b"30"))
        stats = self._stats.routes[live.route.name]
        stats.channels += 1
        channel = Channel(name, live.route.name, live.settings, stats, self._clock)
        channel.begin(self._broker.attach(name, channel.deliver))
        publisher = ChannelPublisher(channel, self._broker, stats, self._clock)
        phase = (int.from_bytes(sha256(name.encode()).digest()[:4], "big") + 1) / 2**32
        followed = Target(target=target, headers=share.headers, upstream=live.upstream, phase=phase)
        running = self._fill(live, followed, publisher)
        running.next_heartbeat = self._clock.monotonic() + live.settings.heartbeat
        self._places.setdefault(running.place, set()).add(running)
        return running

    def _fill(self, live: LiveRoute, target: Target, publisher: ChannelPublisher) -> _Running:
        channel = publisher.channel
        place = live.route.name, _path(target.target)
        source = live.source
        if isinstance(source, WatchingSource):
            watch = source.watch(target, publisher)
            ended = partial(self._forget, channel.name, channel)
            looking = self._looks.start(live.upstream.name, watch, publisher, ended)
            return _Running(channel, place, partial(self._looks.stop, looking), looking)
        work = self._run(source, target, publisher)
        task = self._supervisor.start(work, f"source of route {live.route.name}")
        return _Running(channel, place, task.cancel, None)

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
            running.stop()
            self._broker.detach(name)
            channel.forget()


def _path(target: bytes) -> str:
    """The path as routes read it, so that every spelling of it is the same place."""
    return decode_path(target.partition(b"?")[0])


def live_routes(
    routes: tuple[Route, ...], sources: Mapping[str, AnySource], upstreams: Mapping[str, Upstream]
) -> dict[str, LiveRoute]:
    """The live ones among `routes` by name; `sources` are by route name, `upstreams` by their own."""
    return {
        route.name: LiveRoute(
            route=route, settings=route.live, source=sources[route.name], upstream=upstreams[route.upstream]
        )
        for route in routes
        if route.live is not None
    }
