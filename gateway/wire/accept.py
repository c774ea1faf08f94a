"""Accepts connections of a listening socket as raw sockets, for those that need more than the event loop's accept.

Decides nothing about a connection; owns the listening socket from `start` until `close`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from gateway.wire.listener import log

# Accepted in one turn of the loop, so that a storm of arrivals does not stop those who are connected.
_BATCH = 64
# What asyncio waits, too, when there are no files left: closing takes some time.
_PAUSE = 1.0
_OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Calls `take` with each connection, not blocking, until `close`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, take: Callable[[socket.socket], None]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._take = take
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._loop.add_reader(self._sock, self._ready)

    def close(self) -> None:
        """Accept no more; who has not been accepted yet is refused."""
        if self._sock.fileno() < 0:
            return
        self._rest()
        self._sock.close()

    def _rest(self) -> None:
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _ready(self) -> None:
        for _ in range(_BATCH):
            try:
                connection, _ = self._sock.accept()
            except OSError as error:
                if error.errno in _OUT_OF:
                    self._out_of(error)
                return  # nobody is left, or who was next has gone; if somebody is, the loop calls again
            connection.setblocking(False)
            self._take(connection)

    def _out_of(self, error: OSError) -> None:
        log.error("cannot accept connections: %s", error.strerror)
        self._rest()
        self._pause = self._loop.call_later(_PAUSE, self.start)
