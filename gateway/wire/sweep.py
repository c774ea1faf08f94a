"""Time for all connections of a server: one timer, however many there are.

A connection is visited once in each period and counts its visits; it holds no timer and asks no clock. The
members of a ring are spread over slots, so that a storm of arrivals is not a storm of visits later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

from gateway.core.settings import Limits

TICK = 0.25

# Deadlines are counted in visits, so this is also how late one of them may be.
EXCHANGE_PERIOD = 5.0
# A client that does not read what HTTP/2 has for it is given 60 s, as by nginx; one that must only close, 5 to 10 s.
STALL_VISITS = 12
LINGER_VISITS = 1

# Below the 60 s after which nginx, HAProxy and most load balancers drop a silent connection.
HEARTBEAT = 25.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How many visits a client is given; `rate` is how much of a body makes up for one."""

    head: int
    idle: int
    stall: int
    life: int
    rate: int

    @classmethod
    def of(cls, limits: Limits) -> Patience:
        times = (limits.head_time, limits.idle_time, limits.stall_time, limits.connection_time)
        head, idle, stall, life = (max(1, round(time / EXCHANGE_PERIOD)) for time in times)
        return cls(head, idle, stall, life, round(limits.body_rate * EXCHANGE_PERIOD))


class Member(Protocol):
    """A connection, as the server's clock and its shutdown see it. It adds itself to its slot, and takes itself out."""

    slot: set[Member]

    def visit(self) -> None:
        """A period is over."""

    def drain(self) -> None:
        """The server stops: end as soon as what was begun is done."""

    def abort(self) -> None:
        """End now."""


class Ring:
    """Members in slots; each turn visits the members of the next one.

    New ones are spread over the quarter that was visited last: their first visit is far, and a storm of arrivals thin.
    """

    __slots__ = ("_fill", "_slots", "_turn")

    def __init__(self, slots: int) -> None:
        self._slots: list[set[Member]] = [set() for _ in range(slots)]
        self._turn = 0
        self._fill = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def __iter__(self) -> Iterator[Member]:
        return iter([member for slot in self._slots for member in slot])

    def place(self) -> set[Member]:
        """The slot for a new member."""
        self._fill = (self._fill + 1) % max(len(self._slots) // 4, 1)
        return self._slots[self._turn - self._fill]

    def turn(self) -> None:
        """Visit one slot."""
        self._turn = (self._turn + 1) % len(self._slots)
        for member in list(self._slots[self._turn]):
            member.visit()


class Sweep:
    """The timer; a ring for HTTP and for what closes, one for open WebSockets; this second's `date` header line.

    `now` is the loop's time at the last tick, for those to whom a quarter of a second makes no difference.
    """

    __slots__ = ("_handle", "_second", "date", "exchanges", "now", "sockets")

    def __init__(self) -> None:
        self.exchanges = Ring(round(EXCHANGE_PERIOD / TICK))
        self.sockets = Ring(round(HEARTBEAT / TICK))
        self._handle: asyncio.TimerHandle | None = None
        self._second = 0
        self.now = 0.0
        self.date = b""
        self._tell_date(time.time())

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tick until `stop`."""
        self._handle = loop.call_later(TICK, self._tick, loop)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def members(self) -> list[Member]:
        """Every connection."""
        return [*self.exchanges, *self.sockets]

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.start(loop)
        self.now = loop.time()
        self._tell_date(time.time())
        self.exchanges.turn()
        self.sockets.turn()

    def _tell_date(self, now: float) -> None:
        if int(now) != self._second:
            self._second = int(now)
            self.date = b"date: " + formatdate(now, usegmt=True).encode() + b"\r\n"
