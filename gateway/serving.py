"""`tidegate serve`: the application on our own server, with the admin listener, the signals, and what is said of it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable

from gateway.admin.logs import logging_to
from gateway.app import Application
from gateway.client.script import with_client
from gateway.core.settings import Gateway, Route
from gateway.core.trust import Trusted
from gateway.wire.server import Binding, serve


async def run(settings: Gateway, say: Callable[[str], None] = print) -> None:
    """`tidegate serve`: listen until SIGINT or SIGTERM, then end every exchange cleanly.

    `say` is given one line for each listener and route. Raises OSError when an address cannot be used.
    """
    app = Application(settings)
    bindings = [
        Binding(app=app.lead, listen=listen, lifespan=index == 0, crowded=Trusted(settings.trusted_proxies))
        for index, listen in enumerate(settings.listen)
    ]
    if settings.admin is not None:
        bindings.append(Binding(app=app.admin, listen=settings.admin, lifespan=False))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def started(urls: list[str]) -> None:
        public = len(settings.listen)
        for index, url in enumerate(urls):
            say(f"{'listening' if index < public else 'admin    '} {url}")
        for route in with_client(settings.routes):
            say(f"route     {describe(route)}")

    _calm_collector()
    with logging_to():
        await serve(bindings, limits=settings.limits, stats=app.stats, access=app.access, stop=stop, started=started)


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
