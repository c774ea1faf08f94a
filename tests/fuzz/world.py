"""The gateway on an event loop that has no sockets: a client played by hand, and a backend that is a function call.

Everything runs until nothing is ready to run, so that each input has one outcome. After it, `rest` asserts that the
gateway has no connection, no task and no error more than it had before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway.app import Application
from gateway.core.settings import Listen
from gateway.wire.http1 import Connection
from gateway.wire.hypercorn import Life, settle
from gateway.wire.listener import Listener
from gateway.wire.websocket import WebSocket
from tests.integration.test_corpus import settings_for
from tests.wire.wired import Line, Log, listener_for

_MANY_TURNS = 10_000  # of the loop, for one input; what needs more never comes to rest
_LATER = 100.0  # seconds, more than any timer has
_SILENCE = 40  # visits of the sweep, more than any deadline has


class Backend(Protocol):
    """One connection's other end."""

    def received(self, data: bytes, /) -> None: ...

    def ended(self) -> None:
        """The gateway has closed."""


class Hose(Line):
    """The gateway's end of a connection to a backend."""

    backend: Backend

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        if not self.aborted:
            self.loop.call_soon(self.backend.received, bytes(data))

    def say(self, data: bytes) -> None:
        """The backend sends."""
        if not self.closing:
            self.protocol.data_received(data)

    def hang_up(self) -> None:
        """The backend half-closes."""
        if not self.closing and not self.protocol.eof_received():
            self.close()

    def lose(self, error: Exception | None = None) -> None:
        if not self._lost:
            self.loop.call_soon(self.backend.ended)
        super().lose(error)


class Loop(asyncio.SelectorEventLoop):
    """Every address is that of a backend which `connect` makes."""

    _ready: deque[asyncio.Handle]

    def __init__(self, connect: Callable[[Hose], Backend]) -> None:
        super().__init__()
        self._connect = connect
        self.hoses: list[Hose] = []
        self.errors: list[str] = []
        self.ahead = 0.0  # of the real time
        self.set_exception_handler(lambda _, context: self.errors.append(repr(context)))

    def time(self) -> float:
        return super().time() + self.ahead

    async def getaddrinfo(self, *_: object, **__: object) -> list[Any]:
        return [(0, 0, 0, "", ("192.0.2.3", 80))]

    async def create_connection(self, make: Callable[..., Any], *_: object, **__: object) -> Any:  # type: ignore[override]
        # its many arguments mean nothing here
        protocol = make()
        hose = Hose()
        hose.protocol = protocol
        hose.backend = self._connect(hose)
        self.hoses.append(hose)
        protocol.connection_made(hose)
        return hose, protocol

    def rest(self) -> None:
        """Run until nothing is ready; timers don't count."""
        for _ in range(_MANY_TURNS):
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready:
                return
        raise AssertionError("it never comes to rest")


class _Complaints(logging.Handler):
    """What the gateway logs as an error is a bug."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        self._errors.append(record.getMessage() + repr(record.exc_info))


class World:
    """A gateway that passes everything to one backend, or another application in its place."""

    def __init__(self, connect: Callable[[Hose], Backend], app: Any = None, **changed: Any) -> None:
        self.loop = Loop(connect)
        self.gateway = Application(settings_for(80))
        self._log = _Complaints(self.loop.errors)
        logging.getLogger("tidegate").addHandler(self._log)
        self.life, self.listener = self.run(self._begin(app or self.gateway.lead, changed))

    async def _begin(self, app: Any, changed: dict[str, Any]) -> tuple[Life, Listener]:
        listener = listener_for(app, **changed)
        life = Life(self.gateway.lead, settle(listener.limits, Listen(address="")), listener.state)
        await life.start()
        return life, listener

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(doing)

    def close(self) -> None:
        """Stop it; nothing remains."""
        self.run(self.life.stop())
        self.rest()
        assert not asyncio.all_tasks(self.loop), "a task outlives the gateway"
        assert all(hose.closing for hose in self.loop.hoses), "a connection outlives the gateway"
        logging.getLogger("tidegate").removeHandler(self._log)
        self.loop.close()

    def rest(self) -> None:
        """Let everything happen that is to happen; nothing of it is an error."""
        self.loop.rest()
        errors = self.loop.errors[:]
        self.loop.errors.clear()
        assert not errors, errors

    def client(self) -> Visitor:
        return Visitor(self)

    def leftovers(self) -> None:
        """Assert that what came is gone: clients, exchanges, and connections to the backend that nothing uses."""
        self.loop.ahead += _LATER
        self.rest()
        listener = self.listener
        assert isinstance(listener.access, Log)
        listener.access.requests.clear()
        assert not listener.tasks, listener.tasks
        assert listener.open == listener.stats.connections == 0
        assert not listener.sweep.members()
        assert not listener._places
        pool = self.gateway.stats.upstreams["shop"]
        self.loop.hoses = [hose for hose in self.loop.hoses if not hose.closing]
        assert pool.connections == pool.idle == len(self.loop.hoses)
        assert not any(route.in_flight for route in self.gateway.stats.routes.values())


class Visitor:
    """One client's connection."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.line: Line = world.run(self._connect())

    async def _connect(self) -> Line:
        line = Line()
        line.protocol = Connection(self.world.listener)
        line.protocol.connection_made(line)
        return line

    @property
    def sent(self) -> bytes:
        """All that the gateway said."""
        return self.line.sent

    def say(self, *pieces: bytes) -> bool:
        """Send each as one read of the gateway; False when it reads no more, because it closes."""
        for piece in pieces:
            self.world.rest()
            if self.line.closing or not self.line.reading:
                return False
            self.world.loop.call_soon(self.line.protocol.data_received, piece)
        self.world.rest()
        return True

    def leave(self, manner: int) -> None:
        """Be cut off, send the end and then be cut off, or fall silent for so long that the gateway ends it."""
        line, loop = self.line, self.world.loop
        if manner == 0 and not line.closing:
            loop.call_soon(self._end)
            self.world.rest()
        elif manner == 1:
            for _ in range(_SILENCE):
                member = line.protocol
                assert isinstance(member, Connection | WebSocket)
                if not line.closing:
                    loop.call_soon(member.visit)
                    self.world.rest()
            assert line.closing, "a silent client stays for ever"
        loop.call_soon(line.lose)
        self.world.rest()

    def _end(self) -> None:
        if not self.line.protocol.eof_received():
            self.line.close()
