"""The proxy between a client and an upstream that a test plays byte by byte, on our own server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from gateway.core.access import NoAccessLog
from gateway.core.asgi import App, Receive, Scope, Send
from gateway.core.route import parse_template
from gateway.core.settings import Route
from gateway.core.stats import RouteStats, Stats
from gateway.proxy.app import Proxy
from gateway.wire.upstream import HttpUpstream
from tests.wire.scripted import Script, Upstream, until, upstream
from tests.wire.wired import Answer, parse, serving

ROUTE = Route(name="/**", path=parse_template("/**"), upstream="shop")


@dataclass
class Log(NoAccessLog):
    """An access log that remembers (method, route, status, sent)."""

    lines: list[tuple[str, str, int, int]] = field(default_factory=list)

    def request(self, scope: Scope, route: str, status: int, sent: int, seconds: float) -> None:
        assert seconds >= 0
        self.lines.append((scope["method"], route, status, sent))


class Client:
    """A raw connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """All that comes until the gateway closes."""
        return await self.reader.read(-1)

    async def drop(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@dataclass
class Gate:
    """A running gateway with one route to one upstream."""

    port: int
    upstream: Upstream
    shop: HttpUpstream
    stats: Stats
    log: Log

    @property
    def counted(self) -> RouteStats:
        return self.stats.routes["/**"]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = Client(reader, writer)
        try:
            yield client
        finally:
            await client.drop()

    async def raw(self, *pieces: bytes) -> bytes:
        """Send these and the end of requests, and read to the end."""
        async with self.client() as client:
            await client.send(*pieces)
            return await client.rest()

    async def ask(self, request: bytes) -> Answer:
        """One request that ends its connection, and the answer as h11 reads it."""
        method = request.partition(b" ")[0].decode()
        return parse(await self.raw(request), (method,), closed=True)[0]


def get(path: bytes = b"/", *headers: bytes) -> bytes:
    """A request that ends its connection."""
    return b"\r\n".join(
        [b"GET " + path + b" HTTP/1.1", b"Host: gate.example", b"Connection: close", *headers, b"", b""]
    )


def post(*headers: bytes, method: bytes = b"POST") -> bytes:
    return b"\r\n".join([method + b" / HTTP/1.1", b"Host: gate.example", b"Connection: close", *headers, b"", b""])


def app_of(proxy: Proxy) -> App:
    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return proxy.forward(scope, receive, send, ROUTE)

    return app


@asynccontextmanager
async def gate(
    *scripts: Script, written: Callable[[Scope, Route], None] | None = None, **settings: object
) -> AsyncIterator[Gate]:
    """A gateway before an upstream that plays these scripts; nothing may be left of any request in the end."""
    stats, log = Stats(), Log()
    async with upstream(*scripts) as this:
        shop = HttpUpstream(this.settings(**settings), stats.upstreams["shop"])  # type: ignore[arg-type]
        proxy = Proxy({"shop": shop}, stats, log, time.monotonic, written)
        async with serving(app_of(proxy)) as server:
            yield Gate(server.port, this, shop, stats, log)
            await until(lambda: stats.routes["/**"].in_flight == 0)
            await shop.close()
            await until(lambda: this.running == 0)
        counted = stats.upstreams["shop"]
        assert (counted.connections, counted.idle) == (0, 0)
