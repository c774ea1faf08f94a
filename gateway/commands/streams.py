"""A live URL as its clients hear it: the events of one connection, over any built-in transport.

Knows nothing of coming back: `gateway.commands.tail` does that. A connection ends by `Ended`, which says whether
coming back makes sense.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import SplitResult, urlencode

import websockets.asyncio.client
import websockets.datastructures
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from gateway.core.asgi import Headers
from gateway.core.event import Json
from gateway.core.http import header
from gateway.core.settings import Pool, Timeouts, UpstreamSettings
from gateway.core.stats import UpstreamStats
from gateway.errors import UpstreamError
from gateway.plugin import UpstreamCall
from gateway.wire.upstream import HttpUpstream

Event = dict[str, Json]

OPENING = 10.0  # seconds for a connection and the head of its answer
SILENCE = 60.0  # two heartbeats of the gateway's, and some
WAIT = 25  # the longest poll that the gateway's defaults allow
MOST = 64 * 1024 * 1024  # bytes of one event: what the gateway watches is smaller by far

# Close codes after which the same request would end the same way.
_FINAL = frozenset({1002, 1003, 1007, 1009, 4400, 4401, 4403, 4404, 4409})


class Ended(Exception):
    """A connection is over. `final`: do not come back. `pause` is how long to wait, where that was said."""

    def __init__(self, reason: str, *, final: bool = False, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.final = final
        self.pause = pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to follow, from where, how, and with which headers. `opened` is called once there is a stream."""

    url: SplitResult
    since: str | None
    mode: str | None
    headers: Headers
    opened: Callable[[], None]

    @property
    def host(self) -> str:
        return self.url.hostname or ""

    def target(self, **options: object) -> bytes:
        """Path and query, with the gateway's own parameters."""
        own = {"live.since": self.since, "live.mode": self.mode, **{f"live.{name}": v for name, v in options.items()}}
        asked = urlencode({name: value for name, value in own.items() if value is not None})
        query = "&".join(part for part in (self.url.query, asked) if part)
        return ((self.url.path or "/") + (f"?{query}" if query else "")).encode()


class Transport(Protocol):
    """A way to follow a URL."""

    def __call__(self, wanted: Wanted) -> AsyncGenerator[Event, None]:
        """The events of one connection; raises Ended."""


async def websocket(wanted: Wanted) -> AsyncGenerator[Event, None]:
    scheme = "wss" if wanted.url.scheme == "https" else "ws"
    try:
        async with websockets.asyncio.client.connect(
            f"{scheme}://{wanted.url.netloc}{wanted.target().decode()}",
            additional_headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in wanted.headers],
            subprotocols=[Subprotocol("tidegate.json.v1")],
            open_timeout=OPENING,
            max_size=MOST,
            proxy=None,
        ) as socket:
            wanted.opened()
            async for message in socket:
                yield json.loads(message)
            raise closed(socket.close_code, socket.close_reason)
    except ConnectionClosed as error:
        received = error.rcvd
        raise closed(received.code if received else 1006, received.reason if received else "") from None
    except InvalidStatus as error:
        answer = error.response
        raise refusal(answer.status_code, _raw(answer.headers), bytes(answer.body)) from None
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise Ended(str(error) or "no answer in time") from None


async def sse(wanted: Wanted) -> AsyncGenerator[Event, None]:
    async with _get(wanted, b"text/event-stream") as call:
        wanted.opened()
        async for block in _split(call, b"\n\n"):
            event = decode_sse(block)
            if event is not None:
                yield event


async def ndjson(wanted: Wanted) -> AsyncGenerator[Event, None]:
    async with _get(wanted, b"application/x-ndjson") as call:
        wanted.opened()
        async for line in _split(call, b"\n"):
            if line:
                yield json.loads(line)


async def long_poll(wanted: Wanted) -> AsyncGenerator[Event, None]:
    while True:
        async with _get(wanted, b"application/json", wait=WAIT) as call:
            answer = json.loads(await _body(call))
        if not isinstance(answer, dict) or not isinstance(answer.get("events"), list):
            raise Ended("the URL is not live by long poll: REST answered")
        wanted.opened()
        for event in answer["events"]:
            yield event
        wanted = replace(wanted, since=answer["next"])


TRANSPORTS: Mapping[str, Transport] = {
    "websocket": websocket,
    "sse": sse,
    "ndjson": ndjson,
    "long_poll": long_poll,
}


def decode_sse(block: bytes) -> Event | None:
    """The event of a block of lines; None for a comment, or the time to reconnect after."""
    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
    if "event" not in fields or "data" not in fields:
        return None
    position: Event = {"id": fields["id"]} if "id" in fields else {}
    return {**position, "type": fields["event"], "data": json.loads(fields["data"])}


def refusal(status: int, headers: Headers, body: bytes) -> Ended:
    """What an answer that is no stream means."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    detail = problem.get("detail") if isinstance(problem, dict) else None
    later = status < 400 or status >= 500 or status in (406, 408, 425, 429)
    after = header(headers, b"retry-after") or b""
    return Ended(
        f"the answer was {status}{f': {detail}' if detail else ''}",
        final=not later,
        pause=float(after) if after.isdigit() and len(after) < 6 else 0.0,
    )


def _raw(headers: websockets.datastructures.Headers) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.raw_items()]


def closed(code: int | None, reason: str | None) -> Ended:
    """What the end of a WebSocket means."""
    known = f"closed with {code}{f': {reason}' if reason else ''}" if code not in (None, 1006) else "the line was cut"
    return Ended(known, final=code in _FINAL)


@asynccontextmanager
async def _get(wanted: Wanted, media: bytes, **options: object) -> AsyncIterator[UpstreamCall]:
    """The answer to a GET that is of this type; raises Ended."""
    secure = wanted.url.scheme == "https"
    settings = UpstreamSettings(
        name=wanted.host,
        scheme="https" if secure else "http",
        host=wanted.host,
        port=wanted.url.port or (443 if secure else 80),
        timeouts=Timeouts(connect=OPENING, response=OPENING + WAIT, idle=SILENCE),
        pool=Pool(max=1, idle=0),
    )
    upstream = HttpUpstream(settings, UpstreamStats())
    try:
        call = await upstream.request(b"GET", wanted.target(**options), [(b"accept", media), *wanted.headers], b"")
        try:
            await call.head()
            if call.status != 200:
                raise refusal(call.status, call.headers, await _body(call))
            if not (header(call.headers, b"content-type") or b"").startswith(media):
                raise Ended("the URL is not live by this transport: REST answered")
            yield call
        finally:
            call.close()
    except UpstreamError as error:
        raise Ended(str(error)) from None
    finally:
        await upstream.close()


async def _body(call: UpstreamCall) -> bytes:
    body = bytearray()
    while data := await call.read():
        body += data
        _bounded(body)
    return bytes(body)


async def _split(call: UpstreamCall, mark: bytes) -> AsyncIterator[bytes]:
    """What stands between marks, as soon as it is there; raises Ended after the last."""
    held = bytearray()
    while data := await call.read():
        held += data
        while mark in held:
            part, _, held = held.partition(mark)
            yield bytes(part)
        _bounded(held)
    raise Ended("the stream ended")


def _bounded(data: bytearray) -> None:
    if len(data) > MOST:
        raise Ended(f"an event of more than {MOST} bytes", final=True)
