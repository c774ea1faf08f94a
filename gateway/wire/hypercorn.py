"""What Hypercorn does for us: lifespans, and connections of HTTP/2.

The only module that knows Hypercorn; `tests/wire/test_hypercorn.py` checks each name that is used here. What is
changed: a connection survives a body that arrives after its response, a response that breaks off resets its
stream, frames that are too long are not collected, WebSockets over HTTP/2 are our own and only offered where the
listener says so (browsers would prefer them, and those over HTTP/1.1 are cheaper), closing waits for nobody, and no
header is added but `date` and, where HTTP/3 is spoken, `alt-svc`.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from hypercorn.asyncio.lifespan import Lifespan
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Event as TransportEvent
from hypercorn.events import Updated
from hypercorn.typing import ConnectionState
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

from gateway.core.asgi import App, Message, Receive, Scope, Send
from gateway.core.flood import WASTED, Allowance
from gateway.core.settings import Limits, Listen
from gateway.errors import TidegateError
from gateway.wire.asgi import Ends
from gateway.wire.connect_websocket import Take, take
from gateway.wire.http2 import Http2Protocol, Settled
from gateway.wire.listener import Listener, log
from gateway.wire.sweep import LINGER_VISITS, STALL_VISITS
from gateway.wire.tls import Extension

if TYPE_CHECKING:
    from hypercorn.typing import AppWrapper

    from gateway.wire.sweep import Member

_READ = 64 * 1024
_STREAMS = 100  # RFC 9113 section 6.5.2 recommends no less


def settle(limits: Limits, listen: Listen) -> Config:
    """The configuration for an address."""
    config = Settled()
    config.errorlog = log
    config.keep_alive_timeout = limits.idle_time
    config.h2_max_header_list_size = limits.header_bytes
    config.h2_max_concurrent_streams = _STREAMS
    # Hypercorn's 1000 end a connection in the middle of what it carries; what h2 keeps of old streams is bounded.
    config.keep_alive_max_requests = 2**31
    config.websockets = listen.http2_websockets
    return config


class Life:
    """The lifespan of one application; `state` is what it shares with its requests."""

    def __init__(self, app: App, config: Config, state: dict[str, Any]) -> None:
        self._app = app
        self._error: BaseException | None = None
        self._failure: str | None = None
        loop = asyncio.get_running_loop()
        self._lifespan = Lifespan(cast("AppWrapper", self._call), config, loop, state)
        # Owned here: `start` sees how it begins, `stop` how it ends.
        self._task = loop.create_task(self._lifespan.handle_lifespan())

    async def _call(self, scope: Scope, receive: Receive, send: Send, *_: object) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                self._failure = message.get("message", "")
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            self._error = error
            raise

    async def start(self) -> None:
        """Wait until the application is ready; raises TidegateError when it fails."""
        try:
            await self._lifespan.wait_for_startup()
        except LifespanTimeoutError as error:
            self._failure = str(error)
        if self._error is not None or self._failure is not None:
            await self._reap()
            raise TidegateError(f"the application could not start: {self._failure or self._error}") from self._error

    async def stop(self) -> None:
        """Tell the application to end, and wait until it has."""
        try:
            await self._lifespan.wait_for_shutdown()
        except LifespanTimeoutError:
            log.error("the application did not end in time")
        finally:
            await self._reap()

    async def _reap(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, LifespanFailureError):
            await self._task


class Http2:
    """Connections of HTTP/2 of one server."""

    def __init__(self) -> None:
        self._context = WorkerContext(None)

    def take(self, config: Config, listener: Listener, transport: asyncio.Transport, data: bytes, ends: Ends) -> None:
        """Take over a transport from which `data` has been read already."""
        loop = listener.loop
        reader = asyncio.StreamReader(_READ, loop=loop)
        connection = _Http2Connection(listener, transport, reader, ends)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if data:
            reader.feed_data(data)
        writer = asyncio.StreamWriter(transport, connection, reader, loop)
        server = _Server(_dated(listener, ends.tls), loop, config, self._context, listener.state, reader, writer)
        server.take = partial(take, listener, ends)
        server.connection = connection
        server.allowance = listener.floods.of(ends.host, loop.time())
        server.allowance.greet()
        listener.spawn(connection.run(server))


class _Http2Connection(asyncio.StreamReaderProtocol):
    """An HTTP/2 connection among the others. Idling is Hypercorn's concern; to stop reading, and to grow old, is ours.

    `protocol` is there when the connection has begun.
    """

    def __init__(
        self, listener: Listener, transport: asyncio.Transport, reader: asyncio.StreamReader, ends: Ends
    ) -> None:
        super().__init__(reader, loop=listener.loop)
        self.ends = ends
        self.closing = False
        self.protocol: Http2Protocol | None = None
        self._listener = listener
        self._wire = transport
        self._reader = reader
        self._waiting = 0
        self._age = self._life = 0
        self.slot: set[Member] = listener.sweep.exchanges.place()
        self.slot.add(self)

    async def run(self, server: _Server) -> None:
        try:
            await server.run()
        except Exception as error:  # a client can cause it, so not a traceback for each
            log.warning("an HTTP/2 connection failed: %r", error)
        finally:
            self.hang_up()
            if self.protocol is not None and self.protocol.wasted:
                self._wasted(server.allowance)
            self._listener.done()

    def _wasted(self, allowance: Allowance) -> None:
        if not allowance.spend(WASTED, self._listener.loop.time()):
            self.refused("http2_flood", "too many connections on which nothing was asked for")

    def began(self, protocol: Http2Protocol) -> None:
        self.protocol = protocol
        if self._listener.closing:
            protocol.retire()

    def hang_up(self) -> None:
        """Close, once, without waiting for it: over TLS that is up to the client."""
        if not self.closing:
            self.closing = True
            self._wire.close()
            self._reader.feed_eof()

    def data_received(self, data: bytes) -> None:
        if not self.closing:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.slot.discard(self)
        self._listener.left(self._wire)

    def refused(self, code: str, words: str) -> None:
        self._listener.stats.refused[code] += 1
        log.debug("refused over HTTP/2: %s: %s", code, words)

    def visit(self) -> None:
        listener = self._listener
        if self.protocol is not None and (late := self.protocol.visit(listener.patience.stall)):
            listener.stats.refused["stalled"] += late
            log.debug("gave up %d responses that the client takes nothing of", late)
        self._life += 1
        if self._life > listener.patience.life:
            self._grow_old(self._life - listener.patience.life)
        waiting = self._wire.get_write_buffer_size()
        due = waiting == self._waiting and (waiting > 0 or self.closing)
        self._age = self._age + 1 if due else 0
        self._waiting = waiting
        if self._age > (STALL_VISITS if waiting else LINGER_VISITS):
            self.abort()

    def _grow_old(self, visits: int) -> None:
        """End in a moment when nothing is under way; if there is none for long, with the requests that are."""
        if self.protocol is not None and (visits > STALL_VISITS or not self.protocol.streams):
            self.protocol.retire()

    def drain(self) -> None:
        if self.protocol is not None:
            self.protocol.retire()

    def abort(self) -> None:
        self.closing = True
        self._wire.abort()


class _Server(TCPServer):
    """Hypercorn's connection when it is known to be HTTP/2."""

    connection: _Http2Connection
    allowance: Allowance
    take: Take

    async def run(self) -> None:
        ends = self.connection.ends
        secure = self.writer.get_extra_info("ssl_object") is not None
        state = ConnectionState(self.state)
        try:
            async with TaskGroup(self.loop) as group:
                self._task_group = group
                protocol = Http2Protocol(
                    self.app, self.config, self.context, group, state, secure, ends.client, ends.server,
                    self.protocol_send,
                )  # fmt: skip
                protocol.take = self.take
                protocol.allowance = self.allowance
                protocol.refused = self.connection.refused
                self.protocol = protocol  # type: ignore[assignment]  # Hypercorn wraps it to tell versions apart
                await protocol.initiate()
                self.connection.began(protocol)
                await self.idle_task.restart(group, self._idle_timeout)
                await self._read_data()
                await self.idle_task.stop()
        except OSError:
            log.debug("an HTTP/2 connection was lost", exc_info=True)
        finally:
            await self._close()

    async def protocol_send(self, event: TransportEvent) -> None:
        if not (isinstance(event, Updated) and self.connection.closing):  # nothing idles any more
            await super().protocol_send(event)

    async def _close(self) -> None:
        self.connection.hang_up()
        await self.idle_task.stop()

    async def _initiate_server_close(self) -> None:
        self.connection.drain()


def _dated(listener: Listener, tls: Extension | None) -> AppWrapper:
    """The application as Hypercorn calls it: told of TLS, with a `date` where it gives none, and told of HTTP/3."""

    told = [(b"alt-svc", listener.http3)] if listener.http3 else []

    async def call(scope: Scope, receive: Receive, send: Send, *_: object) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if not any(name.lower() == b"date" for name, _ in headers):
                    headers.append((b"date", listener.sweep.date[len(b"date: ") : -2]))
                headers += told
                message = {**message, "headers": headers}
            await send(message)

        if tls is not None:
            scope["extensions"]["tls"] = tls
        try:
            await listener.app(scope, receive, dated)
        except TidegateError as error:
            log.debug("a response was broken off: %s", error)

    return cast("AppWrapper", call)
