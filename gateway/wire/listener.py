"""What all connections of one binding share: the application, the limits, the counters, the clock.

A plain record with a little bookkeeping; it opens nothing (`server`) and parses nothing (`http1`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.core.access import AccessLog
from gateway.core.asgi import App, Scope
from gateway.core.rate import Rate
from gateway.core.settings import Limits, Listen
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.wire.sweep import Sweep
from gateway.wire.turn import Turn

if TYPE_CHECKING:
    from gateway.wire.asgi import Ends

log = logging.getLogger("tidegate.wire")


TakeOver = Callable[["Listener", asyncio.Transport, bytes, "Ends"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """An application on an address. `lifespan` says whether this binding runs the application's lifespan."""

    app: App
    listen: Listen
    lifespan: bool


@dataclass(slots=True, kw_only=True, eq=False)
class Listener:
    """`state` is the lifespan's, `http2` takes a transport and the bytes already read from it.

    `messages` and `bytes` are what one WebSocket may send: a second's worth at once, and one message besides.

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
    open: int = 0
    closing: bool = False
    turn: Turn = field(init=False)
    messages: Rate = field(init=False)
    bytes: Rate = field(init=False)

    def __post_init__(self) -> None:
        self.turn = Turn(self.loop)
        limits = self.limits
        self.messages = Rate(limits.messages_per_second, limits.messages_per_second + 1)
        self.bytes = Rate(limits.bytes_per_second, limits.bytes_per_second + limits.message)

    def spawn(self, exchange: Coroutine[object, object, None]) -> None:
        """Run an exchange that calls `done` as its last act."""
        self.tasks.add(self.loop.create_task(exchange, name="exchange"))  # asyncio's own names are counted

    def done(self) -> None:
        """The running task is an exchange that ends now."""
        task = asyncio.current_task(self.loop)  # without it, asyncio asks the kernel for our pid
        if task is not None:
            self.tasks.discard(task)

    def arrived(self) -> bool:
        """Count a new connection; whether it may stay."""
        self.stats.connections += 1
        self.stats.accepted += 1
        self.open += 1
        return self.open <= self.limits.connections

    def left(self) -> None:
        """Count a connection that is gone."""
        self.stats.connections -= 1
        self.open -= 1

    def refused(self, error: ClientError, scope: Scope, sent: int) -> None:
        """Tell counters and access log of a request that reached no application."""
        self.stats.refused[error.code] += 1
        log.debug("refused with %d: %s: %s", error.status, error.code, error.detail)
        self.access.request(scope, "", error.status, sent, 0.0)
