"""Live routes as ASGI: from a request to a stream that ends.

One coroutine per connection: negotiate, find the channel, wait for its first word from the backend, then let
the transport carry it. What can be refused is refused before the upgrade, as an HTTP response.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from gateway.core.access import AccessLog
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.codes import EXPIRED, INTERNAL, RESTART, Disconnect
from gateway.core.cors import SHARING
from gateway.core.crowd import address_of
from gateway.core.expiry import Expiries
from gateway.core.http import Request
from gateway.core.settings import ChannelSettings, Limits, MessageSettings, Mode
from gateway.core.stats import Stats, StreamStats
from gateway.errors import ClientError
from gateway.live.channel import Channel
from gateway.live.channels import SWEEP, Channels, LiveRoute
from gateway.live.connection import LAST_BYTES, Opening, Over, StreamConnection, WriterFor
from gateway.live.kept import keep, kept
from gateway.live.messages import NO_MODES, Messages, owner_of
from gateway.live.negotiate import check_options, check_origin, interval_of, mode_of, position_of, request_of
from gateway.live.supervisor import Supervisor
from gateway.plugin import Broker, Clock, Transport

_log = logging.getLogger("tidegate.live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the live side is made of."""

    broker: Broker
    transports: tuple[Transport, ...]
    writer_for: WriterFor
    clock: Clock
    stats: Stats
    access: AccessLog
    refuse: Callable[[Scope, Send, ClientError], Awaitable[None]]
    limits: Limits
    messages: tuple[MessageSettings, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a stream, and the transport that will carry it."""

    request: Request
    transport: Transport


@dataclass(frozen=True, slots=True)
class Named:
    """A channel of messages by its name, and the route whose URL it has."""

    route: str
    channel: str
    settings: ChannelSettings


class Live:
    """Serves the streams of all live routes, and those of channels of messages."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._supervisor = Supervisor()
        self._pumps = Supervisor()
        self._channels = Channels(parts.broker, parts.stats, parts.clock, parts.limits, self._supervisor)
        self._messages = Messages(parts.messages, parts.limits, parts.broker, parts.stats, parts.clock)
        self._count = 0
        self._at_urls: dict[str, dict[StreamConnection, None]] = {}  # of channels of messages, by route
        self._expiries: Expiries[StreamConnection] = Expiries(parts.clock.time())
        self._closing = False
        self._kept: dict[str, list[asyncio.Task[None]]] = {}  # by route

    def __repr__(self) -> str:
        return f"<Live channels={len(self._channels)} tasks={len(self._supervisor)}>"

    @property
    def channels(self) -> Channels:
        """The channels of this node, which sessions follow as well."""
        return self._channels

    @property
    def messages(self) -> Messages:
        """The channels of messages, which sessions follow as well, and webhooks publish to."""
        return self._messages

    @property
    def parts(self) -> Parts:
        """What it is made of, which sessions share."""
        return self._parts

    def asked(self, scope: Scope, params: Mapping[str, str]) -> Asked | None:
        """Whether the request is for a stream rather than for the REST answer."""
        request = request_of(scope, params)
        chosen, most = None, 0.0
        for transport in self._parts.transports:
            wish = transport.accepts(request)
            if wish > most:
                chosen, most = transport, wish
        return Asked(request, chosen) if chosen is not None else None

    async def start(self, routes: Iterable[LiveRoute] = ()) -> None:
        """Begin the upkeep of channels, and with those of the `routes` that are to be there always."""
        self._supervisor.start(self._sweep(), "channel upkeep")
        self._keep(routes)

    def renew(self, gone: Collection[str], upstreams: Iterable[str], routes: Iterable[LiveRoute]) -> list[Channel]:
        """Take on the `routes` that have come, in place of those that are `gone`; gives the channels of these.

        `upstreams` are those that are gone or changed.
        """
        retired = self._channels.retire(gone, upstreams)
        for route in gone:
            for task in self._kept.pop(route, ()):
                task.cancel()
        self._keep(routes)
        return retired

    def _keep(self, routes: Iterable[LiveRoute]) -> None:
        for live, query in kept(routes):
            work = keep(self._channels, live, query, self._parts.clock)
            task = self._supervisor.start(work, f"channel that is kept of route {live.route.name}")
            self._kept.setdefault(live.route.name, []).append(task)

    async def close(self) -> None:
        """Send every subscriber away with a reason to come back, then end the sources."""
        self._closing = True
        self._channels.end(RESTART)
        self._messages.end(RESTART)
        await self._supervisor.close()
        await self._pumps.close(LAST_BYTES)

    def refresh(self, route: str, path: bytes, gone: bool) -> int:
        """Look at the backend now for all channels of a route at this path; says how many there are."""
        return 0 if self._closing else self._channels.refresh(route, path, gone=gone)

    def announce(self, route: str, path: bytes) -> int:
        """As `refresh`, of what a webhook has told."""
        return 0 if self._closing else self._channels.announce(route, path)

    def open(self, scope: Scope, receive: Receive, send: Send, live: LiveRoute, asked: Asked) -> StreamConnection:
        """Check the handshake and join the channel; `serve` must follow. Raises ClientError."""
        request, settings = asked.request, live.settings
        self._check(request, settings.origins)
        opening = self._opening(scope, send, request, mode_of(request, settings))
        channel = self._channels.get(live, request, lending=True, address=address_of(scope))
        stream = self._stream(asked, channel, receive, opening)
        stream.voice = self._channels.lend(live, request, channel, stream.disconnect)
        return stream

    def open_messages(self, scope: Scope, receive: Receive, send: Send, named: Named, asked: Asked) -> StreamConnection:
        """As `open`, for a channel of messages."""
        request = asked.request
        self._check(request, named.settings.origins)
        if "live.mode" in request.options:
            raise ClientError(400, "bad_mode", NO_MODES)
        opening = self._opening(scope, send, request, "items")
        channel = self._messages.get(named.channel, owner_of(scope))
        stream = self._stream(asked, channel, receive, opening)
        stream.route = named.route
        self._at_urls.setdefault(named.route, {})[stream] = None
        return stream

    def silence(self, routes: Iterable[str]) -> list[StreamConnection]:
        """Have the streams at the URLs of these routes that are channels of messages hear nothing more.

        They are given, to be sent away: their channels go on for others.
        """
        silent = [stream for route in routes for stream in self._at_urls.get(route, ())]
        for stream in silent:
            stream.silence()
        return silent

    def _check(self, request: Request, origins: tuple[str, ...]) -> None:
        check_options(request)
        check_origin(request, origins)
        if self._closing:
            raise ClientError(503, "closing", "the gateway is shutting down").with_headers((b"retry-after", b"1"))

    def _opening(self, scope: Scope, send: Send, request: Request, mode: Mode) -> Opening:
        return Opening(
            scope=scope,
            send=send,
            request=request,
            mode=mode,
            since=position_of(request),
            interval=interval_of(request),
            writer_for=self._parts.writer_for,
            begun=self._begun,
            sleep=self._parts.clock.sleep,
            extra=scope.get(SHARING, []),
        )

    def _stream(self, asked: Asked, channel: Channel, receive: Receive, opening: Opening) -> StreamConnection:
        self._count += 1
        stream = StreamConnection(self._count, asked.transport, channel, receive, opening)
        channel.ends.add(stream.disconnect)
        return stream

    async def serve(self, stream: StreamConnection) -> None:
        """Carry a stream from its handshake to its end."""
        try:
            await stream.ready()
            await stream.transport.serve(stream)
        except Over as over:
            if stream.began is None:
                self._parts.access.request(over.scope, stream.route, over.status, 0, 0.0)
        except ClientError as error:
            if stream.opening is not None:
                await self._parts.refuse(stream.opening.scope, stream.opening.send, error)
            else:
                again = error.status in (429, 503)
                stream.disconnect(Disconnect(error.close_code, error.detail, error.code, reconnect=again))
        except Exception:
            if stream.opening is not None:
                raise
            _log.exception("transport %s failed", stream.transport.name)
            stream.disconnect(INTERNAL)
        finally:
            await self._finish(stream)

    def _begun(self, stream: StreamConnection, opening: Opening) -> None:
        stats = self._stats_of(stream)
        stats.open += 1
        stats.opened += 1
        stream.began = self._parts.clock.monotonic()
        if opening.request.identity is not None and opening.request.identity.expires is not None:
            stream.expires = opening.request.identity.expires
            self._expiries.add(stream.expires, stream)
        self._parts.access.opened(f"{stream.id:x}", opening.scope, stream.route, stream.transport.name)
        pump = getattr(stream.writer, "pump", None)
        if pump is not None:
            stream.pump = self._pumps.start(pump(), "stream pump")

    async def _finish(self, stream: StreamConnection) -> None:
        stream.channel.ends.discard(stream.disconnect)
        if stream.channel.log.messages:
            self._left(stream)
        else:
            self._channels.release(stream.channel, stream.voice)
        if stream.expires is not None:
            self._expiries.discard(stream.expires, stream)
        await stream.finish()
        if stream.began is None:
            return
        end, stats = stream.end(self._parts.clock.monotonic()), self._stats_of(stream)
        stats.open -= 1
        stats.closed[end.label] += 1
        stats.received += end.received
        stats.seconds.observe(end.seconds)
        self._parts.access.closed(f"{stream.id:x}", stream.route, stream.transport.name, end)

    def _left(self, stream: StreamConnection) -> None:
        self._messages.release(stream.channel)
        there = self._at_urls[stream.route]
        del there[stream]
        if not there:
            del self._at_urls[stream.route]

    def _stats_of(self, stream: StreamConnection) -> StreamStats:
        return self._parts.stats.routes[stream.route].streams[stream.transport.name]

    async def _sweep(self) -> None:
        while True:
            await self._parts.clock.sleep(SWEEP)
            await self._channels.sweep()
            self._messages.sweep()
            for stream in self._expiries.due(self._parts.clock.time()):
                stream.disconnect(EXPIRED)
