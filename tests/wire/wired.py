"""A server connection whose client the test plays by hand, and a whole server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import h11
from websockets.frames import Frame, Opcode
from websockets.utils import apply_mask

from gateway.core.asgi import App, Headers, Receive, Scope, Send
from gateway.core.settings import Limits, Listen, ServerTls
from gateway.core.stats import Stats
from gateway.core.trust import Trusted
from gateway.wire.http1 import Connection
from gateway.wire.listener import Listener
from gateway.wire.server import Binding, serve
from gateway.wire.sweep import Sweep
from gateway.wire.websocket import WebSocket

T = TypeVar("T")


class Line(asyncio.Transport):
    """A transport without a network. `sent` is all that the server wrote; while `stalled`, the client reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.sent = b""
        self.writes = 0
        self.reading = True
        self.eof = False
        self.closing = False
        self.aborted = False
        self.stalled = False
        self.waiting = 0
        self.half_closes = True
        self.extra: dict[str, object] = {"peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)}
        self._full = False
        self._lost = False
        self.protocol: asyncio.Protocol

    def get_extra_info(self, name: str, default: object = None) -> Any:
        return self.extra.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high, self.low = high or 0, low or 0

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._lost, "written after the connection was lost"
        assert not self.eof, "written after the end"
        if self.aborted:
            return
        self.writes += 1
        self.sent += bytes(data)
        if self.stalled:
            self.waiting += len(data)
            if self.waiting > self.high and not self._full:
                self._full = True
                self.protocol.pause_writing()

    def read_all(self) -> None:
        """The client reads what was written."""
        self.stalled, self.waiting = False, 0
        if self._full:
            self._full = False
            self.protocol.resume_writing()
        if self.closing:
            self.lose()

    def can_write_eof(self) -> bool:
        return self.half_closes

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        assert self.reading, "paused twice"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "resumed twice"
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self.waiting:
                self.lose()

    def abort(self) -> None:
        self.closing = self.aborted = True
        self.lose()

    def lose(self, error: Exception | None = None) -> None:
        """The connection is gone."""
        if not self._lost:
            self._lost = True
            self.closing = True
            self.loop.call_soon(self.protocol.connection_lost, error)


@dataclass
class Log:
    """An access log that remembers."""

    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def request(self, scope: Scope, route: str, status: int, sent: int, seconds: float) -> None:
        self.requests.append((scope["method"], scope["path"], status))

    def opened(self, stream: str, scope: Scope, route: str, transport: str) -> None: ...

    def closed(self, stream: str, route: str, transport: str, end: object) -> None: ...


def listener_for(app: App, limits: Limits | None = None, crowded: Trusted | None = None) -> Listener:
    def no_http2(*_: object) -> None:
        raise AssertionError("handed over to HTTP/2")

    return Listener(
        app=app,
        limits=limits or Limits(),
        stats=Stats(),
        access=Log(),
        sweep=Sweep(),
        scheme="http",
        loop=asyncio.get_running_loop(),
        http2=no_http2,
        state={"from": "lifespan"},
        tasks=set(),
        crowded=crowded or Trusted(()),
    )


class Client:
    """One connection to an application, played by hand."""

    def __init__(self, app: App, limits: Limits | None = None, *, listener: Listener | None = None) -> None:
        self.listener = listener or listener_for(app, limits)
        self.line = Line()
        self.connection = Connection(self.listener)
        self.line.protocol = self.connection
        self.connection.connection_made(self.line)

    async def send(self, *parts: bytes) -> None:
        """Send pieces, each as one read of the server; it must be reading."""
        for part in parts:
            assert self.line.reading, "the server does not read now"
            self.line.protocol.data_received(part)
        await settle()

    async def drop(self) -> None:
        self.line.lose()
        await settle()

    async def visits(self, count: int) -> None:
        """Let time pass: that many visits of the server's sweep."""
        for _ in range(count):
            member = self.line.protocol
            assert isinstance(member, Connection | WebSocket)
            member.visit()
        await settle()

    @property
    def log(self) -> Log:
        assert isinstance(self.listener.access, Log)
        return self.listener.access

    def answers(self, *methods: str) -> list[Answer]:
        """What the server sent, as a client of these requests reads it."""
        return parse(self.line.sent, methods or ("GET",), closed=self.line.eof or self.line.closing)

    def answer(self, method: str = "GET") -> Answer:
        (answer,) = self.answers(method)
        return answer

    def clean(self) -> None:
        """Nothing is left of the connection once it is gone."""
        assert not self.listener.tasks
        assert self.listener.open == 0
        assert self.listener.stats.connections == 0
        assert not self.listener.sweep.members()


@dataclass
class Answer:
    """A response; `informational` are those before it."""

    status: int
    headers: Headers
    body: bytes
    trailers: Headers
    informational: list[tuple[int, Headers]]
    reason: bytes = b""

    def __getitem__(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def parse(data: bytes, methods: tuple[str, ...], *, closed: bool) -> list[Answer]:
    """Responses as h11 reads them; the test fails when they are not HTTP."""
    answers = []
    for method in methods:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        if closed:
            client.receive_data(b"")
        answers.append(_one(client))
        data = client.trailing_data[0]
    assert not data, f"more than was asked for: {data!r}"
    return answers


def _one(client: h11.Connection) -> Answer:
    answer = Answer(0, [], b"", [], [])
    while True:
        event = client.next_event()
        if isinstance(event, h11.InformationalResponse):
            answer.informational.append((event.status_code, event.headers.raw_items()))
        elif isinstance(event, h11.Response):
            answer.status, answer.headers = event.status_code, event.headers.raw_items()
            answer.reason = bytes(event.reason)
        elif isinstance(event, h11.Data):
            answer.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            answer.trailers = event.headers.raw_items()
            return answer
        else:
            raise AssertionError(f"no whole response: {event!r}")


def begun(doing: Awaitable[T]) -> asyncio.Task[T]:
    """Something that goes on while the test does; the test awaits it."""

    async def go() -> T:
        return await doing

    return asyncio.get_running_loop().create_task(go())


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


def responds(status: int = 200, headers: Headers | None = None, *body: bytes) -> App:
    """An application with one answer, its body in these pieces."""
    pieces = body or (b"",)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers or []})
        for index, piece in enumerate(pieces):
            more = index < len(pieces) - 1
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    return app


@dataclass
class Play:
    """An application whose side the test plays: `exchanges` are the calls it had, in order."""

    exchanges: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send)
        self.exchanges.append(call)
        await call.over.wait()
        if call.error is not None:
            raise call.error

    @property
    def last(self) -> Call:
        return self.exchanges[-1]


class Call:
    """One call of the application. It returns when `over` is set, with `error` if there is one."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.over = asyncio.Event()
        self.error: Exception | None = None

    @property
    def wire(self) -> Any:
        return self.scope["extensions"]["tidegate.wire"]

    async def start(self, status: int = 200, headers: Headers | None = None, **more: object) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers or [], **more})

    async def body(self, data: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def end(self, error: Exception | None = None) -> None:
        self.error = error
        self.over.set()
        await settle()


MASK = b"\x37\xfa\x21\x3d"  # of RFC 6455 section 5.7; always the same, so that a test is


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame, made by another hand."""
    plain = Frame(Opcode(opcode), payload, fin=fin).serialize(mask=False)
    head = plain[: len(plain) - len(payload)]
    return head[:1] + bytes([head[1] | 0x80]) + head[2:] + MASK + apply_mask(payload, MASK)


async def soon(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until it holds; for what real sockets do in their own time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - whatever is waited for has no event
            await asyncio.sleep(0.002)


@dataclass
class Running:
    """A server that runs: its URLs, and how to stop it."""

    urls: list[str]
    stop: asyncio.Event
    stats: Stats
    log: Log
    done: asyncio.Task[None]

    @property
    def port(self) -> int:
        return int(self.urls[0].rpartition(":")[2])


@asynccontextmanager
async def serving(  # noqa: PLR0913 - what a test may want to be otherwise
    app: App,
    *,
    lifespan: bool = False,
    limits: Limits | None = None,
    tls: ServerTls | None = None,
    count: int = 1,
    proxies: tuple[str, ...] = (),
    http2_websockets: bool = False,
    http3: bool = False,
) -> AsyncIterator[Running]:
    """The application on `count` free ports of loopback, until the block ends; then nothing may be left."""
    stop, stats, log = asyncio.Event(), Stats(), Log()
    urls: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    bindings = [
        Binding(
            app=app,
            listen=Listen(
                address="127.0.0.1:0", tls=tls, proxy_protocol=proxies, http2_websockets=http2_websockets, http3=http3
            ),
            lifespan=lifespan and not index,
        )
        for index in range(count)
    ]
    before = asyncio.all_tasks() - {asyncio.current_task()}
    async with asyncio.TaskGroup() as group:
        done = group.create_task(
            serve(bindings, limits=limits or Limits(), stats=stats, access=log, stop=stop, started=urls.set_result)
        )
        yield Running(await urls, stop, stats, log, done)
        stop.set()
    after = asyncio.all_tasks() - {asyncio.current_task()}  # a fixture ends in another task than it began in
    assert after == before, "a task was left behind"
    assert stats.connections == 0, "a connection was left behind"
