"""Connections of proxies that tell by the PROXY protocol who connected to them, before anything else is said.

The header is read from the raw socket, and not a byte more, because TLS begins right after it. A proxy that does not
begin with one is hung up on and counted: what it sends may be anybody's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from gateway.core.proxy_protocol import LONGEST, Told, told
from gateway.core.trust import LOCAL, Trusted
from gateway.wire.http1 import Connection
from gateway.wire.listener import Listener, log
from gateway.wire.sockets import peer

# It is the first thing that a proxy sends, in one piece; HAProxy's own recommendation is 3 s at least.
PATIENCE = 5.0

Next = Callable[[socket.socket, Told | None], None]


class Proxied:
    """`take` is given each accepted socket; `then` gets it with what its header told, None if it is no proxy's."""

    def __init__(self, listener: Listener, proxies: Trusted, then: Next) -> None:
        self._listener = listener
        self._proxies = proxies
        self._then = then
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, sock: socket.socket) -> None:
        listener = self._listener
        if (LOCAL if sock.family == socket.AF_UNIX else peer(sock)) not in self._proxies:
            self._then(sock, None)
        elif (error := listener.room(None, len(self._tasks))) is not None:
            self._refuse(sock, error.code, error.detail)
        else:
            listener.spawn(self._greet(sock))

    def end(self) -> None:
        """Hang up on those that have not told yet."""
        for task in self._tasks:
            task.cancel()

    async def _greet(self, sock: socket.socket) -> None:
        task = asyncio.current_task(self._listener.loop)
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                header = await read(self._listener.loop, sock)
        except (TimeoutError, ValueError, OSError) as error:
            self._refuse(sock, "proxy_protocol", str(error) or "no header in time")
        except BaseException:
            sock.close()
            raise
        else:
            if header is None:  # gone without a word, as health checks are
                sock.close()
            else:
                self._then(sock, header)
        finally:
            self._tasks.discard(task)
            self._listener.done()

    def _refuse(self, sock: socket.socket, code: str, detail: str) -> None:
        self._listener.stats.refused[code] += 1
        log.debug("a proxy's connection was refused: %s: %s", code, detail)
        sock.close()


async def read(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> Told | None:
    """The header, taken off the socket; None when the peer closes instead. Raises ValueError for anything else."""
    seen = b""
    while True:
        await _readable(loop, sock)
        ahead = sock.recv(LONGEST, socket.MSG_PEEK)
        if not ahead:
            if seen:
                raise ValueError("closed in the middle of the header")
            return None
        header = told(seen + ahead)
        size = len(ahead) if header is None else header.size - len(seen)
        seen += sock.recv(size)
        if header is not None:
            return header


async def _readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    waiter: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not waiter.done():
            waiter.set_result(None)

    loop.add_reader(sock, ready)
    try:
        await waiter
    finally:
        loop.remove_reader(sock)


def join(listener: Listener, sock: socket.socket, header: Told | None = None) -> None:
    """Serve an accepted socket without TLS."""

    async def connect() -> None:
        try:
            if listener.closing:
                sock.close()
            else:
                await listener.loop.connect_accepted_socket(lambda: Connection(listener, header), sock)
        except OSError as error:
            log.debug("a connection was lost before it was served: %s", error)
            sock.close()
        finally:
            listener.done()

    listener.spawn(connect())
