"""Channels that are filled from start-up on: followed as if by a client that asks for nothing and never leaves.

So the first real one finds a state. Nothing that goes wrong here stops anything else: a channel that can't be had, or
that the backend ends, is tried again after growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from urllib.parse import quote

from gateway.core.codes import Disconnect
from gateway.core.http import Request
from gateway.core.pace import backoff
from gateway.errors import ClientError
from gateway.live.channels import Channels, LiveRoute
from gateway.plugin import Clock, EagerSource

_log = logging.getLogger("tidegate.live")

# Pauses after a refusal, in seconds: it may be over in a moment, as when the backend starts later than the gateway;
# who has taken the resource away for good is not asked more than every five minutes, as after any long failure.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0

# Characters that a path holds as they are (RFC 3986 section 3.3).
_PLAIN = "/!$&'()*+,;=:@"


def kept(routes: Iterable[LiveRoute]) -> list[tuple[LiveRoute, str]]:
    """Those whose source wants channels always, and the queries of these."""
    return [(live, query) for live in routes if isinstance(live.source, EagerSource) for query in live.source.always]


async def keep(channels: Channels, live: LiveRoute, query: str, clock: Clock) -> None:
    """Hold the channel of a route's own path, with this query, until cancelled."""
    path = quote(live.route.path.text, safe=_PLAIN)
    target = (f"{path}?{query}" if query else path).encode()
    request = Request(kind="http", method="GET", target=target, headers=(), params={}, options={})
    failures = 0
    while True:
        reason, had_state = await _hold(channels, live, request)
        if had_state:
            failures = 0
        if not failures:
            _log.warning("route %s: is not polled for now, and tried again: %s", live.route.name, reason)
        await clock.sleep(backoff(failures, _FIRST_PAUSE, _LONGEST_PAUSE, clock.random()))
        failures += 1


async def _hold(channels: Channels, live: LiveRoute, request: Request) -> tuple[str, bool]:
    """Follow the channel until it ends; why it did, and whether it ever had a state."""
    try:
        channel = channels.get(live, request)
    except ClientError as error:
        return error.detail, False
    over: asyncio.Future[Disconnect] = asyncio.get_running_loop().create_future()

    def end(disconnect: Disconnect) -> None:
        if not over.done():
            over.set_result(disconnect)

    channel.ends.add(end)
    channel.keepers += 1
    try:
        disconnect = await over
        return str(channel.refused or disconnect.reason), channel.log.has_state
    finally:
        channel.ends.discard(end)
        channel.keepers -= 1
        channels.release(channel)
