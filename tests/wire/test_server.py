"""The server on real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
import websockets

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Message, Receive, Scope, Send
from gateway.core.settings import Limits, Listen, ServerTls
from gateway.core.stats import Stats
from gateway.errors import TidegateError
from gateway.wire import server
from gateway.wire.frames import close_frame
from gateway.wire.http1 import Connection
from gateway.wire.server import Binding, serve
from gateway.wire.sweep import Sweep
from gateway.wire.websocket import WebSocket
from tests.wire.wired import begun, parse, responds, serving, soon

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def connected(
    port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Send, and read until the server closes."""
    async with connected(port, tls) as (reader, writer):
        writer.write(data)
        return await reader.read()


def closing(request: bytes) -> bytes:
    return request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Echoes bodies as they come, and WebSocket messages."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        await send({**message, "type": "http.response.body"})


async def test_a_request() -> None:
    async with serving(responds(200, [(b"content-length", b"5")], b"hello")) as running:
        (answer,) = parse(await ask(running.port, closing(GET)), ("GET",), closed=True)
        assert (answer.status, answer.body) == (200, b"hello")
        assert running.stats.accepted == 1


async def test_many_requests_on_one_connection() -> None:
    async with serving(echo) as running:
        data = await ask(running.port, GET * 50 + closing(GET))
        assert len(parse(data, ("GET",) * 51, closed=True)) == 51


async def test_a_large_body_both_ways() -> None:
    size = 5_000_000
    async with serving(echo) as running, connected(running.port) as (reader, writer):
        writer.write(closing(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size))
        sending = begun(write_all(writer, os.urandom(1000) * (size // 1000)))
        data = await reader.read()
        await sending
        (answer,) = parse(data, ("POST",), closed=True)
        assert len(answer.body) == size


async def write_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    for at in range(0, len(data), 65536):
        writer.write(data[at : at + 65536])
        await writer.drain()


async def test_a_slow_client_holds_the_application_back() -> None:
    written = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal written
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            written += 100_000
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as running:
        async with connected(running.port) as (reader, writer):
            writer.write(GET)
            await reader.read(1000)
            stalled = -1
            while stalled != written:
                stalled = written
                await asyncio.sleep(0.05)
            assert written < 50_000_000
        await soon(lambda: running.stats.connections == 0)


async def test_a_refused_upload_can_still_read_its_answer() -> None:
    app = responds(413, [(b"content-length", b"5")], b"large")
    async with serving(app) as running, connected(running.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(20):
            writer.write(b"x" * 65536)
            await asyncio.sleep(0)
        (answer,) = parse(await reader.read(), ("POST",), closed=True)
        assert (answer.status, answer.body) == (413, b"large")


async def test_a_stream_notices_that_its_client_is_gone() -> None:
    over = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        over.set()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with serving(app) as running:
        async with connected(running.port) as (reader, writer):
            writer.write(GET)
            await reader.readuntil(b"data: 1\n\n")
        async with asyncio.timeout(5):
            await over.wait()


async def test_websockets() -> None:
    async with serving(echo) as running:
        async with websockets.connect(f"ws://127.0.0.1:{running.port}/", compression=None) as client:
            for message in ("né", b"\xff" * 60_000, ""):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["a", "b", "c"])
            assert await client.recv() == "abc"
            await (await client.ping())
        await soon(lambda: running.stats.connections == 0)


async def test_an_oversized_message_is_told_so() -> None:
    async with (
        serving(echo, limits=Limits(message=1000)) as running,
        websockets.connect(f"ws://127.0.0.1:{running.port}/", compression=None) as client,
    ):
        await client.send("x" * 500_000)
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1009, "message over 1000 bytes")


async def test_tls(tls: ServerTls, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serving(echo, tls=tls) as running:
        assert running.urls[0].startswith("https://127.0.0.1:")
        data = await ask(running.port, closing(GET), context)
        assert parse(data, ("GET",), closed=True)[0].status == 200
        url = f"wss://127.0.0.1:{running.port}/"
        async with websockets.connect(url, ssl=context, compression=None) as client:
            await client.send("hello")
            assert await client.recv() == "hello"


async def test_after_a_protocol_error_tls_ends_at_once(
    tls: ServerTls, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for the sweep: there is none."""
    monkeypatch.setattr(Sweep, "start", lambda self, loop: None)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serving(echo, tls=tls) as running, connected(running.port, context) as (reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x00")
        async with asyncio.timeout(5):
            assert await reader.read() == close_frame(1002, "frame is not masked")


async def test_what_is_not_tls_on_a_tls_port(tls: ServerTls) -> None:
    async with serving(echo, tls=tls) as running:
        with contextlib.suppress(OSError):
            await ask(running.port, GET)


async def test_too_many_connections() -> None:
    async with serving(echo, limits=Limits(connections=1)) as running:
        async with connected(running.port) as (_, _):
            await soon(lambda: running.stats.connections == 1)
            (answer,) = parse(await ask(running.port, b""), ("GET",), closed=True)
            assert answer.status == 503
        await soon(lambda: running.stats.connections == 0)
        data = await ask(running.port, closing(GET))
        assert parse(data, ("GET",), closed=True)[0].status == 200


async def test_addresses_are_told_in_order() -> None:
    async with serving(echo, count=3) as running:
        ports = [int(url.rpartition(":")[2]) for url in running.urls]
        assert len(set(ports)) == 3
        for port in ports:
            assert await ask(port, closing(GET))


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "gateway.sock")
    stop, urls = asyncio.Event(), asyncio.get_running_loop().create_future()
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await responds(200, [(b"content-length", b"0")])(scope, receive, send)

    serving_it = begun(
        serve(
            [Binding(app=app, listen=Listen(address=f"unix:{path}"), lifespan=False)],
            limits=Limits(),
            stats=Stats(),
            access=NoAccessLog(),
            stop=stop,
            started=urls.set_result,
        )
    )
    assert await urls == [f"unix:{path}"]
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(closing(GET))
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    writer.close()
    await writer.wait_closed()
    assert (seen[0]["client"], seen[0]["server"]) == (None, (path, None))
    stop.set()
    await serving_it
    with pytest.raises(FileNotFoundError):
        await asyncio.open_unix_connection(path)


# Starting.


async def start(*bindings: Binding) -> None:
    def never(urls: list[str]) -> None:
        raise AssertionError("it started")

    before = asyncio.all_tasks()
    try:
        await serve(bindings, limits=Limits(), stats=Stats(), access=NoAccessLog(), stop=asyncio.Event(), started=never)
    finally:
        assert asyncio.all_tasks() == before


async def test_an_address_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        free = Binding(app=echo, listen=Listen(address="127.0.0.1:0"), lifespan=False)
        with pytest.raises(OSError, match=f"cannot listen on {address}: Address already in use"):
            await start(free, Binding(app=echo, listen=Listen(address=address), lifespan=False))
    gc.collect()  # a socket that was left open would warn


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    nothing = str(tmp_path / "nothing.pem")
    listen = Listen(address="127.0.0.1:0", tls=ServerTls(cert=nothing, key=nothing))
    with pytest.raises(OSError, match=r"cannot use the certificate for 127\.0\.0\.1:0"):
        await start(Binding(app=echo, listen=listen, lifespan=False))


async def test_an_application_that_fails_to_start(caplog: pytest.LogCaptureFixture) -> None:
    async def says_so(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def crashes(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ValueError("no database")

    for app in (says_so, crashes):
        with pytest.raises(TidegateError, match="the application could not start: no database"):
            await start(Binding(app=app, listen=Listen(address="127.0.0.1:0"), lifespan=True))


# Stopping.


class Living:
    """An application with a lifespan; `held` requests wait until `go`."""

    def __init__(self) -> None:
        self.life: list[str] = []
        self.held = asyncio.Event()
        self.go = asyncio.Event()
        self.disconnected = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            self.held.set()
            assert scope["state"] == {"made": "at startup"}
            await self.go.wait()
            await responds(200, [(b"content-length", b"2")], b"ok")(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        message: Message = await receive()
        self.life.append(message["type"])
        scope["state"]["made"] = "at startup"
        await send({"type": "lifespan.startup.complete"})
        message = await receive()
        self.life.append(message["type"])
        self.go.set()
        await send({"type": "lifespan.shutdown.complete"})


async def test_a_request_ends_before_the_server_does() -> None:
    app = Living()
    async with serving(app, lifespan=True, count=2) as running:
        assert app.life == ["lifespan.startup"]
        second = int(running.urls[1].rpartition(":")[2])
        asking = begun(ask(second, GET))
        await app.held.wait()
        running.stop.set()
        (answer,) = parse(await asking, ("GET",), closed=True)
        assert answer.body == b"ok"
        assert answer[b"connection"] == b"close"
        await running.done
        with pytest.raises(OSError):  # noqa: PT011 - whichever the system says
            await asyncio.open_connection("127.0.0.1", running.port)
    assert app.life == ["lifespan.startup", "lifespan.shutdown"]


async def test_idle_connections_are_closed() -> None:
    async with serving(echo) as running, connected(running.port) as (reader, _):
        await soon(lambda: running.stats.connections == 1)
        running.stop.set()
        assert await reader.read() == b""
        await running.done


@pytest.mark.parametrize(
    "request_",
    [
        GET,
        UPGRADE,
    ],
)
async def test_what_does_not_end_is_cut_off(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN", 0.05)
    cancelled = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(app) as running, connected(running.port) as (reader, writer):
        writer.write(request_)
        await reader.readuntil(b"\r\n\r\n")
        running.stop.set()
        await running.done
        assert cancelled.is_set()
        with contextlib.suppress(OSError):
            await reader.read()


async def test_cancelling_the_server_ends_it() -> None:
    async with serving(echo) as running, connected(running.port) as (reader, _):
        await soon(lambda: running.stats.connections == 1)
        running.done.cancel()
        with contextlib.suppress(OSError):
            assert await reader.read() == b""


async def test_nothing_is_left_of_connections() -> None:
    async with serving(echo) as running:
        await ask(running.port, closing(GET))
        async with websockets.connect(f"ws://127.0.0.1:{running.port}/", compression=None) as client:
            await client.send("a")
            await client.recv()
        await ask(running.port, b"nonsense\r\n\r\n")
        await soon(lambda: running.stats.connections == 0)
    gc.collect()
    left = [item for item in gc.get_objects() if isinstance(item, Connection | WebSocket)]
    assert left == []
