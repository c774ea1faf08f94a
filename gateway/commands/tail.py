"""`tidegate tail`: follow a live URL from a terminal, across every break of the line.

Decides when to come back, where to continue and by which transport; how one connection goes is in `streams`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from urllib.parse import SplitResult, urlsplit

from gateway.commands.streams import Ended, Event, Transport, Wanted
from gateway.core.asgi import Headers
from gateway.core.pace import backoff
from gateway.plugin import Clock

# As tidegate.js: clients of a gateway that restarts come back apart from each other.
FIRST, LONGEST = 0.5, 15.0
FALLBACK = ("websocket", "sse", "long_poll")


class Refused(Exception):
    """There is no stream, or it has ended for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What to follow: with `transports` in the order in which they are tried."""

    url: SplitResult
    headers: Headers
    since: str | None = None
    mode: str | None = None
    transports: Sequence[str] = FALLBACK


def followed_url(text: str) -> SplitResult:
    """The URL of a stream, by http or https; raises ValueError."""
    parts = urlsplit(text)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise ValueError("expected a URL such as http://127.0.0.1:8080/api/shirts, without a user")
    _ = parts.port  # raises ValueError when it is none
    return parts._replace(scheme=scheme)


async def events(
    followed: Followed, transports: Mapping[str, Transport], clock: Clock, warn: Callable[[str], None]
) -> AsyncGenerator[Event, None]:
    """Every event, across connections; `warn` is told of each break. Raises Refused.

    The transport that has once brought something is kept. Without any such, all having been tried once, it ends.
    """
    since, failures, proven = followed.since, 0, ""
    while True:
        way = proven or followed.transports[failures]
        opened: list[str] = []
        wanted = Wanted(
            url=followed.url,
            since=since,
            mode=followed.mode,
            headers=followed.headers,
            opened=partial(opened.append, way),
        )
        try:
            async with aclosing(transports[way](wanted)) as stream:
                async for event in stream:
                    since = str(event.get("id") or since or "") or None
                    yield event
                    _farewell(event)
                raise Ended("the stream ended")
        except Ended as end:
            if end.final:
                raise Refused(f"{way}: {end}") from None
            if opened:
                proven, failures = way, 0
            else:
                failures += 1
            if not proven and failures == len(followed.transports):
                raise Refused(f"{way}: {end}") from None
            pause = max(end.pause, backoff(failures, FIRST, LONGEST, clock.random()) if proven else 0)
            again = f"again in {pause:.1f} s" if proven else f"trying {followed.transports[failures]}"
            warn(f"{way}: {end}; {again}")
            await clock.sleep(pause)


def _farewell(event: Event) -> None:
    """The last event of a stream over HTTP says what a close code says; raises Ended."""
    data = event.get("data")
    if event["type"] == "close" and isinstance(data, dict):
        raise Ended(f"closed with {data.get('code')}: {data.get('reason')}", final=data.get("reconnect") is False)
