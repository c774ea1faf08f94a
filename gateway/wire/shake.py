"""TLS handshakes of one listener: from a raw socket to a connection, or to a reason why not.

A handshake is bounded in time, and counts as a connection while it lasts; who fails costs a counter and a debug line.
"""

from __future__ import annotations

import asyncio
import socket

from gateway.core.flood import FAILED
from gateway.core.proxy_protocol import Told
from gateway.core.stats import TlsStats
from gateway.wire.http1 import Connection
from gateway.wire.listener import Listener, log
from gateway.wire.sockets import peer
from gateway.wire.tls import Certificates, reason

# A slow phone on a bad network needs 3 s; whoever needs more is holding a place that others want.
HANDSHAKE = 10.0
# The event loop counts the flushing of the last response in; the sweep is sooner with a client that only has to close.
SHUTDOWN = 60.0


class Handshakes:
    """`take` is given each accepted socket, `end` gives up on those that are still shaking hands."""

    def __init__(self, listener: Listener, certificates: Certificates, stats: TlsStats) -> None:
        self._listener = listener
        self._certificates = certificates
        self._stats = stats
        self._waiting = 0  # sockets whose handshake has not ended
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, sock: socket.socket, told: Told | None = None) -> None:
        """`told` is what a proxy's header has told of the connection."""
        listener = self._listener
        address = told.client[0] if told is not None and told.client else peer(sock)
        error = listener.room(address, self._waiting)
        if listener.deaf(address):
            sock.close()
            return
        if error is not None:
            # Nothing could be told without a handshake, which is what there is no room for.
            listener.stats.refused[error.code] += 1
            log.debug("a connection was refused before its TLS handshake: %s", error.detail)
            sock.close()
            return
        self._waiting += 1
        listener.spawn(self._shake(sock, told, address))

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _shake(self, sock: socket.socket, told: Told | None, address: str | None) -> None:
        task = asyncio.current_task(self._listener.loop)
        assert task is not None
        self._tasks.add(task)
        try:
            if self._listener.closing:
                sock.close()
            else:
                await self._connect(sock, told)
        except OSError as error:
            why = reason(error)
            self._stats.failures[why] += 1
            log.debug("a TLS handshake failed (%s): %r", why, error)
            self._listener.wasted(address, FAILED, "TLS handshakes that fail")
        finally:
            self._waiting -= 1
            self._tasks.discard(task)
            self._listener.done()

    async def _connect(self, sock: socket.socket, told: Told | None) -> None:
        connection = Connection(self._listener, told)
        await self._listener.loop.connect_accepted_socket(
            lambda: connection,
            sock,
            ssl=self._certificates.context,
            ssl_handshake_timeout=HANDSHAKE,
            ssl_shutdown_timeout=SHUTDOWN,
        )
        if not connection.begun:
            raise ConnectionResetError("lost at the end of the handshake")
        self._stats.handshakes += 1
