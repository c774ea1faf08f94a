"""The server: applications on addresses, from the first socket to the last task.

It decides the order of starting and stopping and nothing else. When `serve` returns or raises, nothing of it is
left: no socket, no task, no timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.core.access import AccessLog
from gateway.core.settings import Limits
from gateway.core.stats import Stats
from gateway.wire.http1 import Connection
from gateway.wire.hypercorn import Http2, Life, settle
from gateway.wire.listener import Binding, Listener, log
from gateway.wire.sockets import BACKLOG, allow_files, close_socket, open_socket, url
from gateway.wire.sweep import Sweep

if TYPE_CHECKING:
    import socket

    from hypercorn.config import Config

__all__ = ["Binding", "serve"]

# How long exchanges may take to end after `stop`; what is left then is cut off.
DRAIN = 7.0
# How long clients may take to close, once all exchanges have ended.
_CLOSE = 3.0
# How long tasks may take to end that were cancelled.
_CANCEL = 5.0
_POLL = 0.02

# Files beside a connection for each client and one for each request upstream: logs, sockets, libraries.
_OTHER_FILES = 1000

_TLS_HANDSHAKE = 10.0
# The event loop counts the flushing of the last response in; the sweep is sooner with a client that only has to close.
_TLS_SHUTDOWN = 60.0


async def serve(
    bindings: Sequence[Binding],
    *,
    limits: Limits,
    stats: Stats,
    access: AccessLog,
    stop: asyncio.Event,
    started: Callable[[list[str]], None],
) -> None:
    """Serve until `stop` is set; then let applications end their streams, finish requests, and return.

    `started` is given the URLs with their real ports, in the order of `bindings`, once connections are accepted.
    Raises OSError for an address or a certificate that can't be used, TidegateError when an application can't start.
    """
    server = _Server(limits, stats, access)
    try:
        for binding in bindings:
            server.bind(binding)
        await server.start()
        started(server.urls)
        await stop.wait()
        await server.drain()
    finally:
        await server.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """A binding, its socket, and what its connections share."""

    binding: Binding
    config: Config
    tls: ssl.SSLContext | None
    sock: socket.socket
    listener: Listener


class _Server:
    def __init__(self, limits: Limits, stats: Stats, access: AccessLog) -> None:
        self._limits = limits
        self._stats = stats
        self._access = access
        self._loop = asyncio.get_running_loop()
        self._sweep = Sweep()
        self._http2 = Http2()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bound: list[_Bound] = []
        self._states: dict[int, dict[str, Any]] = {}  # an application's addresses share its lifespan's state
        self._lives: list[Life] = []
        self._servers: list[asyncio.Server] = []

    @property
    def urls(self) -> list[str]:
        return [url(bound.sock, bound.listener.scheme) for bound in self._bound]

    def bind(self, binding: Binding) -> None:
        """Open its socket; nothing is accepted yet."""
        config = settle(binding.listen, self._limits)
        try:
            tls = config.create_ssl_context()
        except OSError as error:
            raise OSError(f"cannot use the certificate for {binding.listen.address}: {error}") from error
        listener = Listener(
            app=binding.app,
            limits=self._limits,
            stats=self._stats,
            access=self._access,
            sweep=self._sweep,
            scheme="http" if tls is None else "https",
            loop=self._loop,
            http2=partial(self._http2.take, config),
            state=self._states.setdefault(id(binding.app), {}),
            tasks=self._tasks,
        )
        sock = open_socket(binding.listen)
        self._bound.append(_Bound(binding=binding, config=config, tls=tls, sock=sock, listener=listener))

    async def start(self) -> None:
        """Start the applications, then accept."""
        allow_files(2 * self._limits.connections + _OTHER_FILES)
        for bound in self._bound:
            if bound.binding.lifespan:
                life = Life(bound.binding.app, bound.config, bound.listener.state)
                await life.start()
                self._lives.append(life)
        self._sweep.start(self._loop)
        for bound in self._bound:
            self._servers.append(await self._accept(bound))

    async def _accept(self, bound: _Bound) -> asyncio.Server:
        loop, make = self._loop, partial(Connection, bound.listener)
        create = loop.create_unix_server if isinstance(bound.sock.getsockname(), str) else loop.create_server
        options: dict[str, Any] = {"sock": bound.sock, "backlog": BACKLOG}
        if bound.tls is not None:
            options |= {
                "ssl": bound.tls,
                "ssl_handshake_timeout": _TLS_HANDSHAKE,
                "ssl_shutdown_timeout": _TLS_SHUTDOWN,
            }
        return await create(make, **options)

    async def drain(self) -> None:
        """Accept no more, and give what was begun its time to end."""
        self._refuse()
        await self._http2.end()
        for member in self._sweep.members():
            member.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                while self._lives:
                    await self._lives.pop().stop()
                await _until(lambda: not self._tasks)
            async with asyncio.timeout(_CLOSE):
                await _until(lambda: not self._sweep.members())

    def _refuse(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for bound in self._bound:
            bound.listener.closing = True

    async def end(self) -> None:
        """Cut off what is left."""
        self._refuse()
        for member in self._sweep.members():
            member.abort()
        await self._cancel()
        for life in self._lives:
            await life.stop()
        self._sweep.stop()
        for bound in self._bound:
            close_socket(bound.sock, bound.binding.listen)

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            async with asyncio.timeout(_CANCEL):
                await _until(lambda: not self._tasks and not self._sweep.members())
        except TimeoutError:
            log.error("%d exchanges do not end though they were cancelled", len(self._tasks))


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - once, at the end; an event would cost every request
        await asyncio.sleep(_POLL)
