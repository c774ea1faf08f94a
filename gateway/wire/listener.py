"""What all connections of one binding share: the application, the limits, the counters, the clock.

A plain record with a little bookkeeping; it opens nothing (`server`) and parses nothing (`http1`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.core.access import AccessLog
from gateway.core.asgi import App, Scope
from gateway.core.crowd import Crowd
from gateway.core.flood import Floods
from gateway.core.rate import Rate
from gateway.core.settings import Limits, Listen
from gateway.core.stats import Stats
from gateway.core.trust import Trusted
from gateway.errors import ClientError
from gateway.wire.sweep import Patience, Sweep
from gateway.wire.turn import Turn

if TYPE_CHECKING:
    from gateway.wire.asgi import Ends

_SOON = (b"retry-after", b"1")

log = logging.getLogger("tidegate.wire")


TakeOver = Callable[["Listener", asyncio.Transport, bytes, "Ends"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """An application on an address. `lifespan` says whether this binding runs the application's lifespan.

    `crowded` are peers that may have any number of connections, because many clients come by them.
    """

    app: App
    listen: Listen
    lifespan: bool
    crowded: Trusted = field(default_factory=lambda: Trusted(()))


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """`state` is the lifespan's, `http2` takes a transport and the bytes already read from it.

    `http3` is the value of Alt-Svc where that is spoken, too, and `end` what ends the head of a response.

    `messages` and `bytes` are what one WebSocket may send: a second's worth at once, and one message besides.

    `shun` is told of addresses that no connection shall be taken from, and until when.

    `turn` puts off small writes. `tasks` are the exchanges that run: a task is started here and here only, removes
    itself when it ends, lets no exception escape, and is cancelled when the server has waited long enough for it.
    """

    app: App
    limits: Limits
    stats: Stats
    access: AccessLog
    sweep: Sweep
    scheme: str
    loop: asyncio.AbstractEventLoop
    http2: TakeOver
    state: dict[str, object]
    tasks: set[asyncio.Task[None]]
    crowded: Trusted = field(default_factory=lambda: Trusted(()))
    http3: bytes = b""
    shun: Callable[[str, float], None] = lambda _address, _until: None
    open: int = 0
    closing: bool = False
    end: bytes = field(init=False)
    turn: Turn = field(init=False)
    messages: Rate = field(init=False)
    bytes: Rate = field(init=False)
    floods: Floods = field(init=False)
    patience: Patience = field(init=False)
    _crowd: Crowd = field(init=False)
    _places: dict[Hashable, str] = field(init=False)  # by what each is known to the crowd

    def __post_init__(self) -> None:
        self.end = b"alt-svc: " + self.http3 + b"\r\n\r\n" if self.http3 else b"\r\n"
        self.turn = Turn(self.loop)
        limits = self.limits
        self.messages = Rate(limits.messages_per_second, limits.messages_per_second + 1)
        self.bytes = Rate(limits.bytes_per_second, limits.bytes_per_second + limits.message)
        self.patience = Patience.of(limits)
        self.floods = Floods(self.crowded)
        self._crowd = Crowd(limits.connections_per_ip, self.crowded)
        self._places = {}

    def spawn(self, exchange: Coroutine[object, object, None]) -> None:
        """Run an exchange that calls `done` as its last act."""
        self.tasks.add(self.loop.create_task(exchange, name="exchange"))  # asyncio's own names are counted

    def done(self) -> None:
        """The running task is an exchange that ends now."""
        task = asyncio.current_task(self.loop)  # without it, asyncio asks the kernel for our pid
        if task is not None:
            self.tasks.discard(task)

    def room(self, address: str | None, waiting: int = 0) -> ClientError | None:
        """Why there is none for another connection; `waiting` are those that have not arrived yet."""
        if self.open + waiting >= self.limits.connections:
            return ClientError(503, "connections", "too many connections").with_headers(_SOON)
        if address is not None and self._crowd.full(address):
            return ClientError(429, "connections_per_ip", "too many connections from one address").with_headers(_SOON)
        return None

    def arrived(self, connection: Hashable, address: str | None) -> ClientError | None:
        """Count a new connection, from an address unless it is a local one; why it may not stay."""
        error = self.room(address)
        self.stats.connections += 1
        self.stats.accepted += 1
        self.open += 1
        if address is not None:
            self._places[connection] = address
            self._crowd.enter(address)
        return error

    def left(self, connection: Hashable) -> None:
        """Count a connection that is gone."""
        self.stats.connections -= 1
        self.open -= 1
        address = self._places.pop(connection, None)
        if address is not None:
            self._crowd.leave(address)

    def early(self, address: str | None) -> bool:
        """Whether a connection of HTTP/2 comes too soon after a flood from its address."""
        return self._counted(self.floods.early(address, self.loop.time()))

    def deaf(self, address: str | None) -> bool:
        """Whether a connection, of whatever kind, comes too soon from an address that goes on and on."""
        now = self.loop.time()
        deaf = self._counted(self.floods.deaf(address, now))
        if deaf and address is not None:
            self.shun(address, self.floods.until(address, now))
        return deaf

    def wasted(self, address: str | None, points: int, words: str) -> None:
        """A connection from this address has come to nothing: too many of them are a flood, too."""
        now = self.loop.time()
        if not self.floods.of(address, now).spend(points, now):
            self.stats.refused["http2_flood"] += 1
            log.debug("refused: http2_flood: too many %s", words)

    def _counted(self, refused: bool) -> bool:
        if refused:
            self.stats.refused["http2_flood"] += 1
            log.debug("a connection was refused: http2_flood: too soon after a flood from its address")
        return refused

    def cut_off(self, error: ClientError) -> None:
        """Count a refusal that can be answered no more: its response has begun, and is in the application's log."""
        self.stats.refused[error.code] += 1
        log.debug("cut off in the middle of a response: %s: %s", error.code, error.detail)

    def refused(self, error: ClientError, scope: Scope, sent: int) -> None:
        """Tell counters and access log of a request that reached no application."""
        self.stats.refused[error.code] += 1
        log.debug("refused with %d: %s: %s", error.status, error.code, error.detail)
        self.access.request(scope, "", error.status, sent, 0.0)
