"""The server: applications on addresses, from the first socket to the last task.

It decides the order of starting and stopping and nothing else. When `serve` returns or raises, nothing of it is
left: no socket, no task, no timer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.core.access import AccessLog
from gateway.core.settings import Limits, Listen
from gateway.core.stats import Stats
from gateway.core.trust import Trusted
from gateway.wire.accept import Acceptor
from gateway.wire.http1 import Connection
from gateway.wire.hypercorn import Http2, Life, settle
from gateway.wire.listener import Binding, Listener, log
from gateway.wire.proxied import Next, Proxied, join
from gateway.wire.shake import Handshakes
from gateway.wire.socket_filter import SocketFilter
from gateway.wire.sockets import BACKLOG, allow_files, alternative, close_socket, open_datagrams, open_socket, url
from gateway.wire.sweep import Sweep
from gateway.wire.tls import Certificates

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

# How often certificate files are looked at: some microseconds each, and a new certificate is never that urgent.
CERTIFICATES = 5.0


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
    certificates: Certificates | None
    sock: socket.socket
    datagrams: socket.socket | None
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
        self._servers: list[asyncio.Server | Acceptor] = []
        self._beginnings: list[Handshakes | Proxied] = []
        self._filters: list[SocketFilter] = []
        self._quic: list[asyncio.BaseTransport] = []
        self._look: asyncio.TimerHandle | None = None

    @property
    def urls(self) -> list[str]:
        return [url(bound.sock, bound.listener.scheme) for bound in self._bound]

    def bind(self, binding: Binding) -> None:
        """Open its socket; nothing is accepted yet."""
        config = settle(self._limits, binding.listen)
        certificates = self._certificates(binding.listen)
        sock = open_socket(binding.listen)
        try:
            datagrams = open_datagrams(sock, binding.listen) if binding.listen.http3 else None
        except OSError:
            close_socket(sock, binding.listen)
            raise
        listener = Listener(
            app=binding.app,
            limits=self._limits,
            stats=self._stats,
            access=self._access,
            sweep=self._sweep,
            scheme="http" if certificates is None else "https",
            loop=self._loop,
            http2=partial(self._http2.take, config),
            state=self._states.setdefault(id(binding.app), {}),
            tasks=self._tasks,
            crowded=binding.crowded,
            http3=b"" if datagrams is None else alternative(datagrams),
        )
        if not binding.listen.proxy_protocol:  # there, packets come from a proxy
            filtered = SocketFilter(self._loop, sock)
            listener.shun = filtered.refuse
            self._filters.append(filtered)
        self._bound.append(
            _Bound(
                binding=binding,
                config=config,
                certificates=certificates,
                sock=sock,
                datagrams=datagrams,
                listener=listener,
            )
        )

    def _certificates(self, listen: Listen) -> Certificates | None:
        if listen.tls is None:
            return None
        try:
            return Certificates(listen, listen.tls, self._stats.tls[listen.address])
        except (OSError, ValueError) as error:
            raise OSError(f"cannot use the certificate for {listen.address}: {error}") from error

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
            if bound.certificates is None and not bound.binding.listen.proxy_protocol:
                self._servers.append(await self._accept(bound))
            else:
                self._accept_raw(bound)
            if bound.datagrams is not None:
                self._quic.append(await self._open_quic(bound, bound.datagrams))
        self._look_at_files()

    async def _accept(self, bound: _Bound) -> asyncio.Server:
        loop, make = self._loop, partial(Connection, bound.listener)
        create = loop.create_unix_server if isinstance(bound.sock.getsockname(), str) else loop.create_server
        return await create(make, sock=bound.sock, backlog=BACKLOG)

    def _accept_raw(self, bound: _Bound) -> None:
        """Accept what begins with a proxy's header, a TLS handshake, or one after the other."""
        listen = bound.binding.listen
        then: Next = partial(join, bound.listener)
        if bound.certificates is not None:
            handshakes = Handshakes(bound.listener, bound.certificates, self._stats.tls[listen.address])
            self._beginnings.append(handshakes)
            then = handshakes.take
        take: Callable[..., None] = then
        if listen.proxy_protocol:
            proxied = Proxied(bound.listener, Trusted(listen.proxy_protocol), then)
            self._beginnings.append(proxied)
            take = proxied.take
        acceptor = Acceptor(self._loop, bound.sock, take)
        acceptor.start()
        self._servers.append(acceptor)

    async def _open_quic(self, bound: _Bound, sock: socket.socket) -> asyncio.BaseTransport:
        from gateway.wire.quic import Quic  # an extra: installed where it is asked for, as `check` has seen

        listen, certificates = bound.binding.listen, bound.certificates
        assert listen.tls is not None
        assert certificates is not None
        try:
            quic = Quic(bound.listener, certificates, listen.tls, self._stats.tls[listen.address])
        except ValueError as error:
            raise OSError(f"cannot use the certificate for {listen.address} over HTTP/3: {error}") from error
        transport, _ = await self._loop.create_datagram_endpoint(lambda: quic, sock=sock)
        return transport

    def _look_at_files(self) -> None:
        """Take certificates whose files have changed, now and then."""
        certificates = [bound.certificates for bound in self._bound if bound.certificates is not None]
        if certificates:
            self._look = self._loop.call_later(CERTIFICATES, self._look_at_files)
        for one in certificates:
            one.refresh()

    async def drain(self) -> None:
        """Accept no more, and give what was begun its time to end."""
        self._refuse()
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
        for filtered in self._filters:
            filtered.close()
        for beginning in self._beginnings:
            beginning.end()
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
        if self._look is not None:
            self._look.cancel()
        for transport in self._quic:
            transport.close()
        for bound in self._bound:
            close_socket(bound.sock, bound.binding.listen)
            if bound.datagrams is not None and not self._quic:
                bound.datagrams.close()

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
