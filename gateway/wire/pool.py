"""The connections of one upstream: the one used last is used next, at most `max`, and a bounded queue for one.

Decides who gets which connection; makes no request. A place is taken before connecting begins, so that no await
lies between looking at the limit and taking the place. One sweep looks at all deadlines.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from gateway.errors import UpstreamTimeout, UpstreamUnavailable
from gateway.wire.client1 import Connection
from gateway.wire.connect import Connector
from gateway.wire.turn import Turn

if TYPE_CHECKING:
    from gateway.core.settings import UpstreamSettings
    from gateway.core.stats import UpstreamStats
    from gateway.errors import UpstreamError

# Requests that wait for a connection, for each connection there may be: more would only time out in the queue.
WAITING_PER_CONNECTION = 16
# Seconds between visits; a timeout may be late by two of them. A sweep of 128 connections costs some 10 microseconds.
SWEEP = 0.5
# Seconds after which a client that does not read gives way to one that waits for a connection: reading 64 KB of what is
# buffered takes less at 100 kbit/s, and those who wait are given two seconds by default.
GIVE_WAY = 5.0


class Pool:
    """The owner of every connection to one upstream."""

    def __init__(self, settings: UpstreamSettings, stats: UpstreamStats) -> None:
        self._settings = settings
        self._stats = stats
        self.connector = Connector(settings)
        self._all: set[Connection] = set()
        self._places = 0  # taken for connections being made
        self._idle: list[Connection] = []
        self._waiting: deque[tuple[float, asyncio.Future[Connection | None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._writes: Turn | None = None  # made when the loop runs
        self._closed = False
        self._empty = asyncio.Event()
        limits = settings.timeouts
        self._period = min(SWEEP, limits.connect / 4, limits.response / 4, limits.idle / 4)

    def __repr__(self) -> str:
        return (
            f"<Pool of {self._settings.name!r}: {len(self._all)} of {self._settings.pool.max} connections, "
            f"{len(self._idle)} idle, {len(self._waiting)} waiting>"
        )

    def take(self) -> Connection | None:
        """An idle connection, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            self._stats.idle -= 1
            if connection.open:
                return connection
        return None

    async def acquire(self) -> Connection:
        """A connection that was not idle: a new one, or the next to become free. Raises UpstreamError."""
        while True:
            if self._closed:
                raise self._unavailable("is no longer used")
            if self._full and self._idle:
                self._evict()
            if self._full:
                connection = await self._turn()
            else:
                self._places += 1
                connection = None
            if connection is None:
                return await self._connect()
            if connection.open:
                return connection

    async def close(self) -> None:
        """Close everything; requests under way and waiting ones fail."""
        self._closed = True
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(self._unavailable("is no longer used"))
        self._waiting.clear()
        for connection in list(self._all):
            connection.shut()
        self._settle()
        await self._empty.wait()

    # Connections call these.

    def idle(self, connection: Connection) -> None:
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return
        if len(self._idle) < self._settings.pool.idle and not self._closed:
            self._idle.append(connection)
            self._stats.idle += 1
        else:
            connection.abort()

    def gone(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            self._stats.idle -= 1
        self._forget(connection)
        self._settle()

    def broke_off(self, error: UpstreamError) -> None:
        self._stats.failures[error.code] += 1

    @property
    def _full(self) -> bool:
        return len(self._all) + self._places >= self._settings.pool.max

    def _unavailable(self, words: str) -> UpstreamUnavailable:
        return UpstreamUnavailable(f"upstream {self._settings.name!r} {words}")

    def _evict(self) -> None:
        """Give up the connection that has been idle longest."""
        connection = self._idle.pop(0)
        self._stats.idle -= 1
        self._forget(connection)
        connection.abort()

    def _add(self, connection: Connection) -> None:
        """It is ours from here on, and not from `connection_made` on: until connecting has returned it may be given
        up, by a cancelled request or the timeout, and then uvloop closes it without a `connection_lost`.
        """
        if connection.open:
            self._all.add(connection)
            self._stats.connections += 1
            self._watch()

    def _forget(self, connection: Connection) -> None:
        if connection in self._all:
            self._all.remove(connection)
            self._stats.connections -= 1

    async def _connect(self) -> Connection:
        """Make a connection, for which a place was taken."""
        if self._writes is None:
            self._writes = Turn(asyncio.get_running_loop())
        turn = self._writes
        try:
            connection = await self.connector.connect(
                lambda: Connection(self._settings.name, self._settings.timeouts, self, turn)
            )
            self._add(connection)
        finally:
            self._places -= 1
            self._settle()
        if self._closed:
            connection.abort()
        if not connection.open:
            raise self._unavailable("closed the connection at once")
        return connection

    async def _turn(self) -> Connection | None:
        """Wait in the queue for a connection, or (None) for a place that was taken for us."""
        if len(self._waiting) >= self._settings.pool.max * WAITING_PER_CONNECTION:
            raise self._unavailable("has too many requests waiting for a connection")
        future: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((monotonic() + self._settings.timeouts.connect, future))
        self._watch()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._give_back(future.result())
            raise

    def _give_back(self, connection: Connection | None) -> None:
        if connection is None:
            self._places -= 1
            self._settle()
        elif connection.open:
            self.idle(connection)

    def _settle(self) -> None:
        """Places may have become free: hand them to those who wait."""
        while self._waiting and not self._full:
            _, future = self._waiting.popleft()
            if not future.done():
                self._places += 1
                future.set_result(None)
        if self._closed and not self._all and not self._places:
            self._empty.set()
            if self._timer is not None:
                self._timer.cancel()

    def _make_way(self, now: float) -> None:
        """Slow clients, however many, do not keep others from the upstream: the slowest go first."""
        if self._waiting:
            slow = [(held, connection) for connection in self._all if (held := connection.held(now)) > GIVE_WAY]
            slow.sort(key=lambda pair: pair[0], reverse=True)
            for _, connection in slow[: len(self._waiting)]:
                connection.give_way()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._period, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = monotonic()
        for connection in list(self._all):
            connection.visit(now)
        self._make_way(now)
        while self._waiting and self._waiting[0][0] < now:
            _, future = self._waiting.popleft()
            if not future.done():
                words = f"upstream {self._settings.name!r} had no free connection in time"
                future.set_exception(UpstreamTimeout(words))
        if self._all or self._waiting:
            self._watch()
