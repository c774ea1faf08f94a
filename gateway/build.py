"""One configuration as objects: everything that is there because a file says so, and that goes when it says so no more.

What lasts as long as the process is in `Ground`, and in `gateway.app`: counters, logs, channels, sessions.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from gateway.auth.gate import Gate, gates
from gateway.client.script import with_client
from gateway.core.access import AccessLog
from gateway.core.headers import own
from gateway.core.plan import Plan
from gateway.core.route import RouteTable
from gateway.core.settings import Gateway, PluginUse, Route
from gateway.core.stats import Stats
from gateway.live.app import Live
from gateway.live.channels import LiveRoute, live_routes
from gateway.live.writes import Writes
from gateway.plugin import AnySource, Authenticator, Codec, Context, Options, Signature
from gateway.plugin.registry import Found, find
from gateway.proxy.app import Proxy
from gateway.wire.upstream import HttpUpstream, outside


class SystemClock:
    """The `Clock` of the running product."""

    random = staticmethod(random.random)
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def make(kind: str, use: PluginUse, context: Context) -> object:
    """The plugin that the configuration names."""
    return _installed(kind)[use.name].load().make(cast("Options", use.options), context)


def make_all(kind: str, context: Context, uses: Mapping[str, PluginUse | None] | None = None) -> dict[str, object]:
    """Every installed plugin of a kind, by name: with its default options, as `uses` says, or not at all."""
    uses = uses or {}
    made: dict[str, object] = {}
    for name, found in sorted(_installed(kind).items()):
        if name not in uses:
            plugin = found.load()
            made[name] = plugin.make(plugin.options(), context)
        elif (use := uses[name]) is not None:
            made[name] = make(kind, use, context)
    return made


@cache
def _installed(kind: str) -> dict[str, Found]:
    """Looked up once: that reads files, and what is imported stays."""
    return find(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every configuration of a process is built on."""

    clock: SystemClock
    stats: Stats
    access: AccessLog
    codecs: Mapping[str, Codec]
    live: Live


@dataclass(frozen=True, slots=True)
class Made:
    """What a plugin made for one name, and the upstreams that it asked for, beside those of the file."""

    it: object
    asked: Sequence[HttpUpstream]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A configuration at work; `made` is by the kind of plugin, and by the name of the route or authenticator."""

    settings: Gateway
    routes: Mapping[str, Route]
    table: RouteTable[Route]
    upstreams: Mapping[str, HttpUpstream]
    made: Mapping[tuple[str, str], Made]
    gates: Mapping[str, Gate]
    live: Mapping[str, LiveRoute]
    proxy: Proxy
    writes: Writes

    @property
    def all_upstreams(self) -> list[HttpUpstream]:
        """Those of the file, and those that plugins asked for."""
        return [*self.upstreams.values(), *(one for made in self.made.values() for one in made.asked)]

    @property
    def signatures(self) -> dict[str, Signature]:
        """By route."""
        return {name: cast("Signature", made.it) for (kind, name), made in self.made.items() if kind == "signatures"}


def build(settings: Gateway, ground: Ground, before: Built | None = None, change: Plan | None = None) -> Built:
    """Make all that the configuration asks for; nothing is connected yet.

    What is as it was `before`, by the plan of the `change`, is taken from there. If it raises, nothing has happened.
    """
    return _Building(settings, ground, before, change).done()


class _Building:
    def __init__(self, settings: Gateway, ground: Ground, before: Built | None, change: Plan | None) -> None:
        self._ground = ground
        self._before = before
        same = (change.upstreams.unchanged, change.auth.unchanged, change.routes.unchanged) if change else ((), (), ())
        self._same_upstreams, self._same_auth, self._same_routes = map(frozenset, same)
        self._settings = replace(settings, routes=tuple(map(self._route, settings.routes)))
        self._upstreams = {name: self._upstream(name) for name in settings.upstreams}
        self._made: dict[tuple[str, str], Made] = {}

    def done(self) -> Built:
        settings, ground, upstreams, stats = self._settings, self._ground, self._upstreams, self._ground.stats
        for name, auth in settings.auth.items():
            self._make("authenticators", name, auth.plugin, name in self._same_auth)
        for route in settings.routes:
            same = route.name in self._same_routes
            if route.live is not None:
                self._make("sources", route.name, route.live.source, same, told=settings.told(route))
            if route.webhook is not None and route.webhook.verify is not None:
                self._make("signatures", route.name, route.webhook.verify, same)
        authenticators = cast("dict[str, Authenticator]", self._of("authenticators"))
        table = RouteTable(with_client(settings.routes))
        hosts = {route.host for route in settings.routes if route.live is not None}
        writes = Writes(table, ground.live.refresh, stats, announce=ground.live.announce, hosts=hosts)
        return Built(
            settings=settings,
            routes={route.name: route for route in settings.routes},
            table=table,
            upstreams=upstreams,
            made=self._made,
            gates=gates(settings.routes, settings.auth, authenticators, stats),
            live=self._live(),
            proxy=Proxy(upstreams, stats, ground.access, time.monotonic, writes.done),
            writes=writes,
        )

    def _route(self, route: Route) -> Route:
        """The very same where nothing has changed, so that who holds one can tell."""
        return self._before.routes[route.name] if self._before and route.name in self._same_routes else route

    def _upstream(self, name: str) -> HttpUpstream:
        if self._before is not None and name in self._same_upstreams:
            return self._before.upstreams[name]
        return HttpUpstream(self._settings.upstreams[name], self._ground.stats.upstreams[name])

    def _make(self, kind: str, name: str, use: PluginUse, same: bool, *, told: frozenset[bytes] = frozenset()) -> None:
        if self._before is not None and same:
            self._made[kind, name] = self._before.made[kind, name]
            return
        asked: list[HttpUpstream] = []

        def upstream_at(url: str) -> HttpUpstream:
            outer = outside(url)
            asked.append(HttpUpstream(outer, self._ground.stats.upstreams[outer.name]))
            return asked[-1]

        ground = self._ground
        context = Context(
            clock=ground.clock, codecs=ground.codecs, upstreams=self._upstreams, upstream_at=upstream_at, told=told
        )
        self._made[kind, name] = Made(make(kind, use, context), asked)

    def _of(self, kind: str) -> dict[str, object]:
        return {name: made.it for (of, name), made in self._made.items() if of == kind}

    def _live(self) -> dict[str, LiveRoute]:
        sources = cast("dict[str, AnySource]", self._of("sources"))
        live = live_routes(self._settings.routes, sources, self._upstreams, self._settings.upstreams)
        if self._before is not None:
            live |= {name: self._before.live[name] for name in live if name in self._same_routes}
        return live


def own_headers(settings: Gateway) -> None:
    """Let nobody but the gateway set the headers that tell backends who a client is."""
    own(name.encode() for auth in settings.auth.values() for name, _ in auth.headers)
