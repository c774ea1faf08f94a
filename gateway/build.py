"""One configuration as objects: everything that is there because a file says so, and that goes when it says so no more.

What lasts as long as the process is in `Ground`, and in `gateway.app`: counters, logs, channels, sessions.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from gateway.auth.gate import Gate, gates
from gateway.client.script import with_client
from gateway.core.access import AccessLog
from gateway.core.asgi import Scope, Send
from gateway.core.headers import own
from gateway.core.route import RouteTable
from gateway.core.settings import Gateway, PluginUse, Route
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.app import Live
from gateway.live.channels import LiveRoute, live_routes
from gateway.live.writes import Writes
from gateway.plugin import AnySource, Authenticator, Codec, Context, Options, Signature
from gateway.plugin.registry import find
from gateway.proxy.app import Proxy
from gateway.proxy.tunnel import Tunnels
from gateway.wire.upstream import HttpUpstream, outside

Refuse = Callable[[Scope, Send, ClientError], Awaitable[None]]


class SystemClock:
    """The `Clock` of the running product."""

    random = staticmethod(random.random)
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def make(kind: str, use: PluginUse, context: Context) -> object:
    """The plugin that the configuration names."""
    return find(kind)[use.name].load().make(cast("Options", use.options), context)


def make_all(kind: str, context: Context, uses: Mapping[str, PluginUse | None] | None = None) -> dict[str, object]:
    """Every installed plugin of a kind, by name: with its default options, as `uses` says, or not at all."""
    uses = uses or {}
    made: dict[str, object] = {}
    for name, found in sorted(find(kind).items()):
        if name not in uses:
            plugin = found.load()
            made[name] = plugin.make(plugin.options(), context)
        elif (use := uses[name]) is not None:
            made[name] = make(kind, use, context)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every configuration of a process is built on."""

    clock: SystemClock
    stats: Stats
    access: AccessLog
    refuse: Refuse
    codecs: Mapping[str, Codec]
    live: Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A configuration at work. `asked` are the upstreams that plugins asked for, beside those of the file."""

    settings: Gateway
    table: RouteTable[Route]
    upstreams: Mapping[str, HttpUpstream]
    gates: Mapping[str, Gate]
    live: Mapping[str, LiveRoute]
    proxy: Proxy
    tunnels: Tunnels
    writes: Writes
    signatures: Mapping[str, Signature]
    asked: list[HttpUpstream] = field(default_factory=list)


def build(settings: Gateway, ground: Ground) -> Built:
    """Make all that the configuration asks for; nothing is connected yet."""
    stats = ground.stats
    upstreams = {name: HttpUpstream(upstream, stats.upstreams[name]) for name, upstream in settings.upstreams.items()}
    asked: list[HttpUpstream] = []

    def upstream_at(url: str) -> HttpUpstream:
        """An upstream that a plugin's own configuration names by its URL."""
        outer = outside(url)
        asked.append(HttpUpstream(outer, stats.upstreams[outer.name]))
        return asked[-1]

    context = Context(clock=ground.clock, codecs=ground.codecs, upstreams=upstreams, upstream_at=upstream_at)
    table = RouteTable(with_client(settings.routes))
    writes = _writes(settings, table, ground)
    return Built(
        settings=settings,
        table=table,
        upstreams=upstreams,
        gates=gates(settings.routes, settings.auth, _authenticators(settings, context), stats),
        live=live_routes(settings.routes, _sources(settings, context), upstreams, settings.upstreams),
        proxy=Proxy(upstreams, stats, ground.access, time.monotonic, writes.done),
        tunnels=Tunnels(upstreams, stats, ground.access, time.monotonic, ground.refuse),
        writes=writes,
        signatures=_signatures(settings, context),
        asked=asked,
    )


def _sources(settings: Gateway, context: Context) -> dict[str, AnySource]:
    return {
        route.name: cast("AnySource", make("sources", route.live.source, replace(context, told=settings.told(route))))
        for route in settings.routes
        if route.live is not None
    }


def _authenticators(settings: Gateway, context: Context) -> dict[str, Authenticator]:
    own(name.encode() for auth in settings.auth.values() for name, _ in auth.headers)
    return {
        name: cast("Authenticator", make("authenticators", auth.plugin, context))
        for name, auth in settings.auth.items()
    }


def _signatures(settings: Gateway, context: Context) -> dict[str, Signature]:
    return {
        route.name: cast("Signature", make("signatures", route.webhook.verify, context))
        for route in settings.routes
        if route.webhook is not None and route.webhook.verify is not None
    }


def _writes(settings: Gateway, table: RouteTable[Route], ground: Ground) -> Writes:
    hosts = {route.host for route in settings.routes if route.live is not None}
    live = ground.live
    return Writes(table, live.refresh, ground.stats, announce=live.announce, hosts=hosts)
