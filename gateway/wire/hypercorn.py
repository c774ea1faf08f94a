"""What Hypercorn does for us: lifespans, and connections of HTTP/2.

The only module that knows Hypercorn; `tests/wire/test_hypercorn.py` checks each name that is used here. What is
changed: a connection survives a body that arrives after its response, a response that breaks off resets its
stream, frames that are too long are not collected, WebSockets over HTTP/2 are not offered (browsers would prefer
them, and ours over HTTP/1.1 are cheaper), closing waits for nobody, and no header is added but `date`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hypercorn.asyncio.lifespan import Lifespan
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Updated
from hypercorn.events import Event as TransportEvent
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.typing import ConnectionState
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

from gateway.core.asgi import App, Message, Receive, Scope, Send
from gateway.core.settings import Limits
from gateway.errors import TidegateError
from gateway.wire.asgi import Ends
from gateway.wire.listener import Listener, log
from gateway.wire.sweep import LINGER_VISITS, STALL_VISITS
from gateway.wire.tls import Extension

if TYPE_CHECKING:
    from hypercorn.typing import AppWrapper

    from gateway.wire.sweep import Member

_READ = 64 * 1024
_KEEP_ALIVE = 75
_FRAME_HEAD = 9
_STREAMS = 100  # RFC 9113 section 6.5.2 recommends no less


class Settled(Config):
    """Hypercorn's configuration."""

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        return []


def settle(limits: Limits) -> Config:
    """The configuration of every binding."""
    config = Settled()
    config.errorlog = log
    config.keep_alive_timeout = _KEEP_ALIVE
    config.h2_max_header_list_size = limits.header_bytes
    config.h2_max_concurrent_streams = _STREAMS
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
    """Connections of HTTP/2 of one server; `end` tells them that it stops."""

    def __init__(self) -> None:
        self._context = WorkerContext(None)

    async def end(self) -> None:
        await self._context.terminated.set()

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
        server.connection = connection
        listener.spawn(connection.run(server))


class _Http2Connection(asyncio.StreamReaderProtocol):
    """An HTTP/2 connection among the others. Idling is Hypercorn's concern; a client that stops reading is ours."""

    def __init__(
        self, listener: Listener, transport: asyncio.Transport, reader: asyncio.StreamReader, ends: Ends
    ) -> None:
        super().__init__(reader, loop=listener.loop)
        self.ends = ends
        self.closing = False
        self._listener = listener
        self._wire = transport
        self._reader = reader
        self._waiting = 0
        self._age = 0
        self.slot: set[Member] = listener.sweep.exchanges.place()
        self.slot.add(self)

    async def run(self, server: TCPServer) -> None:
        try:
            await server.run()
        except Exception as error:  # a client can cause it, so not a traceback for each
            log.warning("an HTTP/2 connection failed: %r", error)
        finally:
            self.hang_up()
            self._listener.done()

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

    def visit(self) -> None:
        waiting = self._wire.get_write_buffer_size()
        due = waiting == self._waiting and (waiting > 0 or self.closing)
        self._age = self._age + 1 if due else 0
        self._waiting = waiting
        if self._age > (STALL_VISITS if waiting else LINGER_VISITS):
            self.abort()

    def drain(self) -> None:
        """Nothing: `Http2.end` tells all connections at once."""

    def abort(self) -> None:
        self.closing = True
        self._wire.abort()


class _Server(TCPServer):
    """Hypercorn's connection when it is known to be HTTP/2."""

    connection: _Http2Connection

    async def run(self) -> None:
        ends = self.connection.ends
        secure = self.writer.get_extra_info("ssl_object") is not None
        state = ConnectionState(self.state)
        try:
            async with TaskGroup(self.loop) as group:
                self._task_group = group
                protocol = _Protocol(
                    self.app, self.config, self.context, group, state, secure, ends.client, ends.server,
                    self.protocol_send,
                )  # fmt: skip
                self.protocol = protocol  # type: ignore[assignment]  # Hypercorn wraps it to tell versions apart
                await protocol.initiate()
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
        await self.protocol.handle(Closed())
        self.connection.hang_up()


class _Protocol(H2Protocol):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: self.config.h2_max_concurrent_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: self.config.h2_max_header_list_size,
            },
        )

    async def handle(self, event: TransportEvent) -> None:
        await super().handle(event)
        # h2 refuses a frame that is too long only when it has all of it, and that may be 16 MB.
        if len(self.connection.incoming_buffer._data) > self.config.h2_max_inbound_frame_size + _FRAME_HEAD:
            await self.send(Closed())

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, StreamClosed):
            buffer = self.stream_buffers.get(event.stream_id)
            if buffer is not None and not buffer._complete:  # the application gave up: the client must not wait
                with contextlib.suppress(ProtocolError):
                    self.connection.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                await self._flush()
        await super().stream_send(event)

    async def _handle_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, DataReceived) and event.stream_id not in self.streams:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, RequestReceived) and not _acceptable(event):
                self.connection.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
            else:
                await super()._handle_events([event])
        await self._flush()


def _acceptable(request: RequestReceived) -> bool:
    """Whether Hypercorn can make a scope of it: no CONNECT, and a path of ASCII."""
    pseudo = {bytes(name): bytes(value) for name, value in request.headers if bytes(name[:1]) == b":"}
    path = pseudo.get(b":path", b"")
    return pseudo.get(b":method") != b"CONNECT" and path.isascii() and path != b""


def _dated(listener: Listener, tls: Extension | None) -> AppWrapper:
    """The application as Hypercorn calls it: told of TLS, and with a `date` where it gives none."""

    async def call(scope: Scope, receive: Receive, send: Send, *_: object) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if not any(name.lower() == b"date" for name, _ in headers):
                    headers.append((b"date", listener.sweep.date[len(b"date: ") : -2]))
                message = {**message, "headers": headers}
            await send(message)

        if tls is not None:
            scope["extensions"]["tls"] = tls
        try:
            await listener.app(scope, receive, dated)
        except TidegateError as error:
            log.debug("a response was broken off: %s", error)

    return cast("AppWrapper", call)
