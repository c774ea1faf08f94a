"""Two connections joined: what comes from the one goes to the other, byte for byte, until either ends.

Neither side is read faster than the other takes it, a side that has said all may still listen, and a tunnel in which
nothing moves ends. No task, no timer: the server's sweep comes by. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from math import ceil
from typing import TYPE_CHECKING

from gateway.core.codes import GOING_AWAY, IDLE, NORMAL, RESTART, UPSTREAM_GONE, Disconnect
from gateway.wire.sweep import EXCHANGE_PERIOD, STALL_VISITS

if TYPE_CHECKING:
    from gateway.core.stats import StreamStats
    from gateway.wire.listener import Listener
    from gateway.wire.sweep import Member
    from gateway.wire.upgrade import Upgraded

_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024

# A peer that has vanished is found within two minutes though nobody speaks: seconds until the first probe, between
# probes, and how many may be lost.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class End(asyncio.Protocol):
    """One side of a tunnel; `moved` counts what came from it."""

    __slots__ = ("_done", "_gone", "_tunnel", "finished", "moved", "other", "transport")

    other: End

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport, *, done: Disconnect, gone: Disconnect) -> None:
        self._tunnel = tunnel
        self._done = done  # what it means when this side ends first,
        self._gone = gone  # and when it is lost
        self.transport = transport
        self.moved = 0
        self.finished = False  # it will say no more

    def data_received(self, data: bytes) -> None:
        self.moved += len(data)
        self._tunnel.age = 0
        to = self.other.transport
        if not to.is_closing():
            to.write(data)

    def pause_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """Tell the other side, and stay for what it still has to say; over TLS one can't be done without the other."""
        self.finished = True
        self._tunnel.because(self._done)
        to = self.other.transport
        if self.other.finished or to.is_closing() or not to.can_write_eof():
            self._tunnel.end(self._done)
            return False
        to.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.finished = True
        self._tunnel.lost(self, self._done if exc is None else self._gone)


class Tunnel:
    """Joins a client's connection with an upstream's. `wait` returns when both are closed.

    `sent` counts bytes to the client, `ending` is why it ended.
    """

    __slots__ = (
        "_closing",
        "_idle",
        "_known",
        "_left",
        "_listener",
        "_over",
        "_stats",
        "_told",
        "age",
        "ending",
        "far",
        "near",
        "slot",
    )

    def __init__(self, listener: Listener, transport: asyncio.Transport, far: Upgraded, stats: StreamStats) -> None:
        self._listener = listener
        self._idle = ceil(far.idle / EXCHANGE_PERIOD)
        self._stats = stats
        self._told = 0  # bytes to the client that are counted in `stats`
        self._left = 2  # connections that are not closed
        self._over: asyncio.Future[None] = listener.loop.create_future()
        self._closing = False
        self.age = 0  # visits since something moved
        self.ending = NORMAL
        self._known = False  # whether that is why
        # RFC 6455 section 7.1.1: after the closing handshake it is the server that closes.
        self.near = End(self, transport, done=GOING_AWAY, gone=GOING_AWAY)
        self.far = End(self, far.transport, done=NORMAL, gone=UPSTREAM_GONE)
        self.near.other, self.far.other = self.far, self.near
        self.slot: set[Member] = listener.sweep.exchanges.place()
        self.slot.add(self)

    @property
    def sent(self) -> int:
        return self.far.moved

    def start(self, from_client: bytes, from_upstream: bytes) -> None:
        """Join, beginning with what was read of both already; the client's connection must be open."""
        for end in (self.near, self.far):
            keep_alive(end.transport)
            end.transport.set_write_buffer_limits(_HIGH_WATER, _LOW_WATER)
            end.transport.set_protocol(end)
        for end, data in ((self.near, from_client), (self.far, from_upstream)):
            if data:
                end.data_received(data)
        for end in (self.near, self.far):
            full = end.other.transport.get_write_buffer_size() > _HIGH_WATER
            if not full and not end.transport.is_closing():
                end.transport.resume_reading()

    async def wait(self) -> None:
        try:
            await self._over
        finally:
            self.abort()

    # The ends.

    def because(self, why: Disconnect) -> None:
        """It ends, or will; only the first reason counts."""
        if not self._known:
            self._known = True
            self.ending = why

    def end(self, why: Disconnect) -> None:
        """Close both, when all that came has been written."""
        self.because(why)
        if not self._closing:
            self._closing = True
            self.age = 0
        for end in (self.near, self.far):
            end.transport.close()

    def lost(self, end: End, why: Disconnect) -> None:
        """One of the two is closed."""
        if end is self.near:
            self._listener.left(end.transport)
        self._count()
        self._left -= 1
        self.end(why)
        if not self._left:
            self.slot.discard(self)
            if not self._over.done():
                self._over.set_result(None)

    def _count(self) -> None:
        """Not for each piece, and not only at the end, which may be days away."""
        sent = self.sent
        self._stats.bytes += sent - self._told
        self._told = sent

    # The server.

    def visit(self) -> None:
        self._count()
        self.age += 1
        if self._closing:
            if self.age > STALL_VISITS:
                self.abort()
        elif self.age > self._idle:
            self.end(IDLE)

    def drain(self) -> None:
        self.end(RESTART)

    def abort(self) -> None:
        for end in (self.near, self.far):
            end.transport.abort()


def keep_alive(transport: asyncio.Transport) -> None:
    """Have the kernel find out whether the peer is still there."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):  # closed meanwhile
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, number in _KEEP_ALIVE:
            if hasattr(socket, name):  # not on every system
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)
