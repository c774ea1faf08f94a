"""The connections of one upstream: the one used last is used next, at most `max`, and bounded lines of who waits.

Decides who gets which connection; makes no request. A place is taken before connecting begins, so that no await
lies between looking at the limit and taking the place. One sweep looks at all deadlines.

While requests wait, clients that are slow to read hold no connections: what is to come of an answer is read to its
end as far as there is memory for it, then the slowest give way, and those who hold more than their share first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

from gateway.core.fair import Lines, beyond_share, give_way
from gateway.errors import UpstreamTimeout, UpstreamUnavailable
from gateway.wire.client1 import Connection
from gateway.wire.connect import Connector
from gateway.wire.repeats import Repeats
from gateway.wire.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.settings import UpstreamSettings
    from gateway.core.stats import UpstreamStats
    from gateway.errors import UpstreamError
    from gateway.wire.call import Call

# Requests that wait for a connection, for each connection there may be: more would only time out in the queue.
WAITING_PER_CONNECTION = 16
# Seconds between visits; a timeout may be late by two of them. A sweep of 128 connections costs some 10 microseconds.
SWEEP = 0.5
# Seconds after which a client that does not read gives way to one that waits for a connection: reading 64 KB of what is
# buffered takes less at 100 kbit/s, and those who wait are given two seconds by default.
GIVE_WAY = 5.0
# The same for a client that holds more than its share while others wait: a visit of the sweep has seen it, and another.
GIVE_WAY_SOON = 0.5
# Bytes of one answer that are read ahead of a slow client when others wait; what is larger is a file.
AHEAD = 1024 * 1024
# And of all such answers of an upstream: one of 256 KB for each of its connections. nginx writes up to 1 GB to files.
ALL_AHEAD = 32 * 1024 * 1024

_Waiting: TypeAlias = "tuple[float, asyncio.Future[Connection | None]]"


class Pool:
    """The owner of every connection to one upstream."""

    def __init__(self, settings: UpstreamSettings, stats: UpstreamStats) -> None:
        self._settings = settings
        self._stats = stats
        self.connector = Connector(settings)
        self._all: set[Connection] = set()
        self._places = 0  # taken for connections being made
        self._idle: list[Connection] = []
        self._waiting: Lines[_Waiting] = Lines(settings.pool.max * WAITING_PER_CONNECTION)
        self._beyond: Mapping[str, int] = {}  # who holds more than its share, as the last sweep saw it
        self._ahead: list[Call] = []  # read ahead of their clients
        self._ahead_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writes: Turn | None = None  # made when the loop runs
        self._repeats = Repeats()
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

    async def acquire(self, client: str = "") -> Connection:
        """A connection that was not idle: a new one, or the next to become free. Raises UpstreamError.

        `client` is in whose line it is waited for.
        """
        while True:
            if self._closed:
                raise self._unavailable("is no longer used")
            if self._full and self._idle:
                self._evict()
            if self._full:
                connection = await self._turn(client)
            else:
                self._places += 1
                connection = None
            if connection is None:
                return await self._connect()
            if connection.open:
                return connection

    @property
    def busy(self) -> bool:
        """Whether anything uses it, or waits to."""
        return bool(len(self._all) > len(self._idle) or self._places or self._waiting)

    async def close(self) -> None:
        """Close everything; requests under way and waiting ones fail."""
        self._closed = True
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(self._unavailable("is no longer used"))
        self._waiting.clear()
        self._ahead.clear()
        for connection in list(self._all):
            connection.shut()
        self._settle()
        await self._empty.wait()

    # Connections call these.

    def idle(self, connection: Connection) -> None:
        while self._waiting:
            _, future = self._waiting.next(self._beyond)
            if not future.done():
                future.set_result(connection)
                return
        if len(self._idle) < self._settings.pool.idle and not self._closed:
            self._idle.append(connection)
            self._stats.idle += 1
        else:
            connection.abort()

    def may_read_ahead(self, connection: Connection) -> bool:
        call = connection.call
        if not self._waiting or call is None or call.rest is None:
            return False
        size = call.buffered + call.rest
        if size > AHEAD or self._ahead_bytes + size > ALL_AHEAD:
            return False
        self._ahead.append(call)
        self._ahead_bytes += size
        return True

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
                lambda: Connection(self._settings.name, self._settings.timeouts, self, turn, self._repeats)
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

    async def _turn(self, client: str) -> Connection | None:
        """Wait in line for a connection, or (None) for a place that was taken for us."""
        future: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        out = self._waiting.join(client, (monotonic() + self._settings.timeouts.connect, future))
        if out is not None and not out[1].done():
            out[1].set_exception(self._unavailable("has too many requests waiting for a connection"))
        if len(self._waiting) == 1:
            self._read_ahead()
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
            _, future = self._waiting.next(self._beyond)
            if not future.done():
                self._places += 1
                future.set_result(None)
        if self._closed and not self._all and not self._places:
            self._empty.set()
            if self._timer is not None:
                self._timer.cancel()

    def _make_way(self, now: float) -> None:
        """Slow clients, however many, do not keep others from the upstream."""
        self._beyond = {}
        if self._waiting:
            self._read_ahead()
            held = Counter(connection.client for connection in self._all)
            self._beyond = beyond_share(self._settings.pool.max, held, self._waiting.clients)
            slow = [(connection, seconds) for connection in self._all if (seconds := connection.held(now))]
            clients = [(connection.client, seconds) for connection, seconds in slow]
            for index in give_way(clients, self._beyond, self._waiting, soon=GIVE_WAY_SOON, late=GIVE_WAY):
                slow[index][0].give_way()

    def _read_ahead(self) -> None:
        """Let the connections go on whose clients are slow, so that they become free."""
        for connection in self._all:
            connection.read_ahead()

    def _count_ahead(self) -> None:
        self._ahead = [call for call in self._ahead if call.outstanding]
        self._ahead_bytes = sum(call.outstanding for call in self._ahead)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._period, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = monotonic()
        for connection in list(self._all):
            connection.visit(now)
        self._count_ahead()
        self._make_way(now)
        for _, future in self._waiting.leave(lambda one: one[0] < now):
            if not future.done():
                words = f"upstream {self._settings.name!r} had no free connection in time"
                future.set_exception(UpstreamTimeout(words))
        if self._all or self._waiting or self._ahead:
            self._watch()
