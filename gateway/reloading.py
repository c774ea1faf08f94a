"""Another configuration takes the place of the one that runs, and nothing ends that it does not change.

    read (beside the loop) ─► plan ─► build ─► take on, in one turn of the loop ─► send away who held what is gone

Whatever goes wrong before it is taken on changes nothing. Who is to go is sent away a few at a time, so that they do
not come back all at once; what they held falls silent in the same turn. Upstreams that are gone are closed once their
requests have ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.admin.health import HealthState
from gateway.build import Built, Ground, build, own_headers
from gateway.core.codes import RECONFIGURED
from gateway.core.plan import Difference, Plan, plan
from gateway.core.settings import Gateway
from gateway.errors import ClientError, ConfigError, Problem
from gateway.live.channel import Channel
from gateway.live.sessions import Sessions
from gateway.live.supervisor import Supervisor
from gateway.live.webhooks import Webhooks
from gateway.proxy.tunnel import Tunnels
from gateway.wire.upstream import HttpUpstream

_log = logging.getLogger("tidegate.config")

Leave = Callable[[], None]

# Who is sent away in one go, and the pause after it: a thousand a second, but all of them within ten seconds.
_TOGETHER, _PAUSE, _MOST_TIMES = 50, 0.05, 200
# An upstream that is gone is closed when it was quiet at two looks, so far apart: what is on its way comes by then.
_LOOK = 1.0
# But after so long whatever goes on there, in seconds: twice what a request may take by default.
PATIENCE = 60.0


class Reread(Protocol):
    """The configuration as the file at `path` has it now, beside the loop; raises ConfigError."""

    path: str

    def __call__(self, running: Gateway, /) -> Gateway: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """What lasts and holds what comes of a configuration; `take` puts another in force, `current` gives the one."""

    ground: Ground
    health: HealthState
    sessions: Sessions
    webhooks: Webhooks
    tunnels: Tunnels
    current: Callable[[], Built]
    take: Callable[[Built, Plan], None]


class Reloading:
    """Reads the file again and takes on what it says, any number of times."""

    def __init__(self, lasting: Lasting, reread: Reread) -> None:
        self._lasting = lasting
        self._reread = reread
        self._turn = asyncio.Lock()
        self._leaving, self._closing = Supervisor(), Supervisor()
        self._removed: set[str] = set()  # routes that are still counted, until another reload

    def __repr__(self) -> str:
        return f"<Reloading leaving={len(self._leaving)} closing={len(self._closing)}>"

    async def reload(self) -> Plan:
        """Take on the configuration as it is now; one at a time.

        Raises ConfigError when it can't be, which is counted and logged, and ClientError when the process is about to
        end.
        """
        async with self._turn:
            self._check_draining()
            running = self._lasting.current()
            try:
                settings = await asyncio.to_thread(self._reread, running.settings)
                self._check_draining()
                change = plan(running.settings, settings)
                built = self._built(settings, running, change)
            except ConfigError as error:
                self._failed(error)
                raise
            self._take(running, built, change)
            return change

    async def send_all_away(self) -> None:
        """Wait for no one who is to go."""
        await self._leaving.close()

    async def close(self) -> None:
        """Close what has not been closed yet."""
        await self._closing.close()

    def _check_draining(self) -> None:
        if self._lasting.health.draining:
            raise ClientError(503, "closing", "the gateway is shutting down, and takes on no other configuration")

    def _failed(self, error: ConfigError) -> None:
        stats = self._lasting.ground.stats.config
        stats.reloads["failed"] += 1
        stats.successful = False
        for problem in error.problems:
            _log.error("not reloaded: %s", problem)

    def _take(self, before: Built, built: Built, change: Plan) -> None:
        """From here on nothing can fail, and nothing else runs until it is done."""
        lasting, ground, gone = self._lasting, self._lasting.ground, change.routes.gone
        own_headers(built.settings)
        lasting.take(built, change)
        came = [built.live[name] for name in change.routes.added + change.routes.changed if name in built.live]
        channels = ground.live.renew(gone, change.upstreams.gone, came)
        channels += ground.live.messages.renew(built.settings.channels)
        lasting.webhooks.renew(built.settings.routes, built.signatures, frozenset(change.routes.unchanged))
        ends: list[Leave] = [
            *_of_channels(channels),
            *(partial(one.disconnect, RECONFIGURED) for one in ground.live.silence(gone)),
            *(partial(one.disconnect, RECONFIGURED) for one in lasting.sessions.renew(gone)),
            *(partial(one.end, RECONFIGURED) for one in lasting.tunnels.of(gone)),
        ]
        kept = set(map(id, built.all_upstreams))
        upstreams = [one for one in before.all_upstreams if id(one) not in kept]
        self._counted(built, change)
        if ends:
            self._leaving.start(self._send_away(ends), "farewell of a reload")
        if upstreams:
            self._closing.start(self._close(upstreams), "upstreams that a reload has removed")

    def _counted(self, built: Built, change: Plan) -> None:
        ground = self._lasting.ground
        self._forget(built, change)
        ground.stats.config.reloads["ok"] += 1
        ground.stats.config.took(built.settings.hash, ground.clock.time())
        _log.info("reloaded: %s", _told(change))

    def _built(self, settings: Gateway, before: Built, change: Plan) -> Built:
        """What plugins and files refuse is a mistake of the configuration, too. Raises ConfigError."""
        try:
            return build(settings, self._lasting.ground, before, change)
        except OSError as error:
            why = f"it cannot be built: {error}"
        except Exception:
            _log.exception("a configuration cannot be built")
            why = "it cannot be built, for a fault that the log has"
        raise ConfigError([Problem(self._reread.path, 1, 1, "", why)])

    async def _send_away(self, ends: list[Leave]) -> None:
        together = max(_TOGETHER, -(-len(ends) // _MOST_TIMES))
        try:
            while ends:
                some, ends[:together] = ends[:together], []
                for end in some:
                    end()
                if ends:
                    await self._lasting.ground.clock.sleep(_PAUSE)
        finally:
            for end in ends:
                end()

    async def _close(self, upstreams: list[HttpUpstream]) -> None:
        """Close them once they are quiet, or patience ends."""
        clock, stats = self._lasting.ground.clock, self._lasting.ground.stats
        left, busy, until = list(upstreams), set(upstreams), clock.monotonic() + PATIENCE
        try:
            while left and clock.monotonic() < until:
                await clock.sleep(_LOOK)
                for upstream in [one for one in left if one not in busy and not one.busy]:
                    left.remove(upstream)
                    await upstream.close()
                busy = {one for one in left if one.busy}
        finally:
            await asyncio.gather(*(upstream.close() for upstream in left))
            used = {upstream.name for upstream in self._lasting.current().all_upstreams}
            for upstream in upstreams:
                if upstream.name not in used:
                    stats.upstreams.pop(upstream.name, None)

    def _forget(self, built: Built, change: Plan) -> None:
        """Count no more for what was removed earlier, so that Prometheus has seen how it ended."""
        named = {*built.routes, *(one.pattern for one in built.settings.channels)}
        stats = self._lasting.ground.stats
        self._removed = {route for route in self._removed - named if not stats.forget(route)}
        self._removed |= {*change.routes.removed, *change.channels.removed} - named


def _of_channels(channels: Iterable[Channel]) -> list[Leave]:
    """How those leave who hold these; who still waits for a channel's first word does at once."""
    ends: list[Leave] = []
    for channel in channels:
        if channel.ready.is_set():
            ends += [partial(_end, channel, end) for end in channel.ends]
        else:
            channel.end(RECONFIGURED)
    return ends


def _end(channel: Channel, end: Callable[..., None]) -> None:
    if end in channel.ends:  # or it has left by itself
        end(RECONFIGURED)


def _told(change: Plan) -> str:
    parts = [
        *_counts("route", change.routes),
        *_counts("upstream", change.upstreams),
        *_counts("authenticator", change.auth),
        *_counts("pattern of channels", change.channels),
    ]
    return "; ".join(parts) or "nothing that runs has changed"


def _counts(what: str, names: Difference) -> list[str]:
    """In words, with the names as far as they fit into a line."""
    words = ("added", names.added), ("changed", names.changed), ("removed", names.removed)
    return [
        f"{what} {word}: {', '.join(some[:8])}{f' and {len(some) - 8} more' if len(some) > 8 else ''}"
        for word, some in words
        if some
    ]
