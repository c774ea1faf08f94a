"""`tidegate serve`: the application on our own server, with the admin listener, the signals, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable

from gateway.admin.logs import logging_to
from gateway.app import Application
from gateway.client.script import with_client
from gateway.core.settings import Gateway, Route
from gateway.core.trust import Trusted
from gateway.errors import ClientError, ConfigError
from gateway.live.supervisor import Supervisor
from gateway.reloading import Reread
from gateway.wire.server import Binding, serve

# How often files are looked at, in seconds: they are read, which takes about a millisecond beside the loop.
WATCH = 2.0


async def run(
    settings: Gateway,
    say: Callable[[str], None] = print,
    reread: Reread | None = None,
    changed: Callable[[], bool] | None = None,
) -> None:
    """`tidegate serve`: listen until SIGINT or SIGTERM, then end every exchange cleanly.

    `say` is given one line for each listener and route. With `reread` SIGHUP takes on the configuration as that gives
    it, and so does what `changed` finds, which is asked now and then beside the loop. Raises OSError when an address
    cannot be used.
    """
    app = Application(settings, reread)
    bindings = [
        Binding(app=app.lead, listen=listen, lifespan=index == 0, crowded=Trusted(settings.trusted_proxies))
        for index, listen in enumerate(settings.listen)
    ]
    if settings.admin is not None:
        bindings.append(Binding(app=app.admin, listen=settings.admin, lifespan=False))
    stop, hang_up = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if reread is not None:
        loop.add_signal_handler(signal.SIGHUP, hang_up.set)

    def started(urls: list[str]) -> None:
        public = len(settings.listen)
        for index, url in enumerate(urls):
            say(f"{'listening' if index < public else 'admin    '} {url}")
        for route in with_client(settings.routes):
            say(f"route     {describe(route)}")
        if reread is not None:
            upkeep.start(_on_signal(hang_up, app), "reloads by signal")
        if changed is not None:
            upkeep.start(_on_change(changed, app, asyncio.sleep), "reloads of files that change")

    upkeep = Supervisor()
    _calm_collector()
    with logging_to():
        try:
            await serve(
                bindings, limits=settings.limits, stats=app.stats, access=app.access, stop=stop, started=started
            )
        finally:
            await upkeep.close()


async def _on_signal(hang_up: asyncio.Event, app: Application) -> None:
    """Signals that come while one is obeyed are one."""
    while True:
        await hang_up.wait()
        hang_up.clear()
        await _reload(app)


async def _on_change(changed: Callable[[], bool], app: Application, sleep: Callable[[float], Awaitable[None]]) -> None:
    while True:
        await sleep(WATCH)
        if await asyncio.to_thread(changed):
            await _reload(app)


async def _reload(app: Application) -> None:
    with contextlib.suppress(ConfigError, ClientError):  # it is in the log, and counted
        await app.reload()


def _calm_collector() -> None:
    """What was made to start lives as long as the process, and requests leave no cycles: look for garbage less."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def describe(route: Route) -> str:
    """A route in one line: what matches, where it goes, and what makes it live."""
    methods = ",".join(sorted(route.methods)) or "any method"
    if route.session is not None:
        return f"{route.host or ''}{route.path} -> sessions"
    if route.webhook is not None:
        verify = route.webhook.verify
        return f"{route.host or ''}{route.path} -> webhooks, {f'by {verify.name}' if verify else 'not verified'}"
    if route.channel is not None:
        publish = ", publish" if route.channel.publish else ""
        return f"{route.host or ''}{route.path} ({methods}) -> messages of {route.channel.name}{publish}"
    if not route.upstream:
        return f"{route.path} -> {route.name}"
    live = f", live by {route.live.source.name}" if route.live is not None else ""
    return f"{route.host or ''}{route.path} ({methods}) -> {route.upstream}{live}"
