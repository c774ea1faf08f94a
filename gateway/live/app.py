"""Live routes as ASGI: from a request to a stream that ends.

One coroutine per connection: negotiate, find the channel, wait for its first word from the backend, then let
the transport carry it. What can be refused is refused before the upgrade, as an HTTP response.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.access import AccessLog
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.codes import INTERNAL, RESTART, Disconnect
from gateway.core.http import Request
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.channels import SWEEP, Channels, LiveRoute
from gateway.live.connection import Opening, StreamConnection, WriterFor
from gateway.live.negotiate import check_options, check_origin, mode_of, position_of, request_of
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
    max_channels: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a stream, and the transport that will carry it."""

    request: Request
    transport: Transport


class Live:
    """Serves the streams of all live routes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._supervisor = Supervisor()
        self._channels = Channels(parts.broker, parts.stats, parts.clock, parts.max_channels, self._supervisor)
        self._streams: set[StreamConnection] = set()
        self._count = 0
        self._closing = False

    def __repr__(self) -> str:
        return f"<Live streams={len(self._streams)} channels={len(self._channels)} tasks={len(self._supervisor)}>"

    def asked(self, scope: Scope, params: Mapping[str, str]) -> Asked | None:
        """Whether the request is for a stream rather than for the REST answer."""
        request = request_of(scope, params)
        for transport in self._parts.transports:
            if transport.accepts(request):
                return Asked(request, transport)
        return None

    async def start(self) -> None:
        """Begin the upkeep of channels."""
        self._supervisor.start(self._sweep(), "channel upkeep")

    async def close(self) -> None:
        """Send every subscriber away with a reason to come back, then end the sources."""
        self._closing = True
        for stream in tuple(self._streams):
            stream.disconnect(RESTART)
        await self._supervisor.close()

    async def serve(self, scope: Scope, receive: Receive, send: Send, live: LiveRoute, asked: Asked) -> None:
        """Carry one stream from its handshake to its end; raises ClientError while it can still be refused."""
        transport = asked.transport
        stream = self._open(scope, receive, send, live, asked)
        del scope, receive, send, asked  # an idle connection must not hold on to its handshake
        try:
            await stream.ready()
            await transport.serve(stream)
        except ClientError as error:
            if not stream.started:
                raise
            stream.disconnect(Disconnect(error.close_code, error.detail, error.code, reconnect=False))
        except Exception:
            if not stream.started:
                raise
            _log.exception("transport %s failed", transport.name)
            stream.disconnect(INTERNAL)
        finally:
            self._leave(stream)
            await stream.finish()
            self._log_end(stream, live, transport)

    def _open(self, scope: Scope, receive: Receive, send: Send, live: LiveRoute, asked: Asked) -> StreamConnection:
        request, settings = asked.request, live.settings
        check_options(request)
        check_origin(request, scope["scheme"], settings.origins)
        mode, since = mode_of(request, settings), position_of(request)
        if self._closing:
            raise ClientError(503, "closing", "the gateway is shutting down").with_headers((b"retry-after", b"1"))
        opening = Opening(
            scope=scope,
            send=send,
            request=request,
            mode=mode,
            since=since,
            transport=asked.transport.name,
            writer_for=self._parts.writer_for,
            begun=lambda stream, opening: self._begun(stream, opening, live),
        )
        self._count += 1
        stream = StreamConnection(self._count, self._channels.get(live, request), receive, opening)
        stream.channel.ends.add(stream.disconnect)
        self._streams.add(stream)
        return stream

    def _begun(self, stream: StreamConnection, opening: Opening, live: LiveRoute) -> asyncio.Task[None] | None:
        route = live.route.name
        stats = self._parts.stats.routes[route].streams[opening.transport]
        stats.open += 1
        stats.opened += 1
        stream.began = self._parts.clock.monotonic()
        self._parts.access.opened(f"{stream.id:x}", opening.scope, route, opening.transport)
        pump = getattr(stream.writer, "run", None)
        return self._supervisor.start(pump(), "stream pump") if pump is not None else None

    def _leave(self, stream: StreamConnection) -> None:
        stream.channel.ends.discard(stream.disconnect)
        self._streams.discard(stream)
        self._channels.release(stream.channel)

    def _log_end(self, stream: StreamConnection, live: LiveRoute, transport: Transport) -> None:
        if stream.began is None:
            return
        route, end = live.route.name, stream.end(self._parts.clock.monotonic())
        stats = self._parts.stats.routes[route].streams[transport.name]
        stats.open -= 1
        stats.closed[end.label] += 1
        stats.received += end.received
        stats.seconds.observe(end.seconds)
        self._parts.access.closed(f"{stream.id:x}", route, transport.name, end)

    async def _sweep(self) -> None:
        while True:
            await self._parts.clock.sleep(SWEEP)
            self._channels.sweep()
