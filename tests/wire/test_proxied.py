"""The PROXY protocol on real sockets, on both event loops, with and without TLS behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from gateway.core.asgi import Receive, Scope, Send
from gateway.core.settings import Limits, ServerTls
from gateway.wire import proxied
from tests.wire.wired import Running, responds, serving, soon

LINE = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"
BINARY = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, 12) + bytes([192, 0, 2, 7, 192, 0, 2, 1])
BINARY += struct.pack("!HH", 4711, 443)
UNKNOWN = b"PROXY UNKNOWN\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LOOPBACK = ("127.0.0.0/8",)


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with both ends of the connection."""
    body = repr((scope["client"], scope["server"], scope["scheme"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected(running: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def talk(running: Running, *pieces: bytes) -> bytes:
    async with connected(running) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("header", [LINE, BINARY])
@pytest.mark.parametrize("cut", [0, 1, 10, 27])
async def test_what_a_proxy_tells_of_its_client(header: bytes, cut: int) -> None:
    async with serving(who, proxies=LOOPBACK) as running:
        data = await talk(running, header[:cut], header[cut:] + GET) if cut else await talk(running, header + GET)
        assert b"(('192.0.2.7', 4711), ('192.0.2.1', 443), 'http')" in data


@pytest.mark.parametrize("header", [LINE, BINARY])
async def test_byte_by_byte(header: bytes) -> None:
    async with serving(who, proxies=LOOPBACK) as running:
        assert b"192.0.2.7" in await talk(running, *[bytes([byte]) for byte in header + GET])


async def test_a_proxy_that_tells_nothing() -> None:
    async with serving(who, proxies=LOOPBACK) as running:
        assert b"('127.0.0.1', " in await talk(running, UNKNOWN + GET)


async def test_peers_that_are_no_proxies_are_clients() -> None:
    async with serving(who, proxies=("10.0.0.0/8",)) as running:
        assert b"('127.0.0.1', " in await talk(running, GET)
        assert (await talk(running, LINE + GET)).startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize("data", [GET, b"PROXY TCP4 x\r\n" + GET, LINE[:-2] + b"\n" + GET, b"\x16\x03\x01"])
async def test_anything_else_is_hung_up_on_and_counted(data: bytes) -> None:
    async with serving(who, proxies=LOOPBACK) as running:
        assert await talk(running, data) == b""
        assert running.stats.refused == {"proxy_protocol": 1}
        assert b"192.0.2.7" in await talk(running, LINE + GET)


async def test_half_a_header() -> None:
    async with serving(who, proxies=LOOPBACK) as running:
        async with connected(running) as (reader, writer):
            writer.write(LINE[:9])
            writer.write_eof()
            assert await reader.read() == b""
        assert running.stats.refused == {"proxy_protocol": 1}


async def test_a_health_check_that_says_nothing() -> None:
    async with serving(who, proxies=LOOPBACK) as running:
        async with connected(running) as (reader, writer):
            writer.write_eof()
            assert await reader.read() == b""
        assert running.stats.refused == {}


async def test_a_proxy_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxied, "PATIENCE", 0.01)
    async with serving(who, proxies=LOOPBACK) as running:
        assert await talk(running, LINE[:9]) == b""
        assert running.stats.refused == {"proxy_protocol": 1}


async def test_headers_before_tls(tls: ServerTls, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def ask(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(LINE)
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(GET)
                data = b""
                while piece := secure.recv(65536):
                    data += piece
                return data

    async with serving(who, tls=tls, proxies=LOOPBACK) as running:
        assert b"(('192.0.2.7', 4711), ('192.0.2.1', 443), 'https')" in await asyncio.to_thread(ask, running.port)


async def test_headers_before_http2() -> None:
    async with serving(who, proxies=LOOPBACK) as running, connected(running) as (reader, writer):
        writer.write(LINE + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
        assert (await reader.readexactly(9))[3] == 4, "a frame of settings"


async def test_those_who_wait_are_counted_among_the_connections() -> None:
    async with serving(responds(), proxies=LOOPBACK, limits=Limits(connections=1)) as running, connected(running):
        await soon(lambda: len(asyncio.all_tasks()) > 2)
        assert await talk(running, LINE + GET) == b""
        assert running.stats.refused == {"connections": 1}


async def test_who_waits_when_the_server_ends_is_hung_up_on() -> None:
    async with serving(responds(), proxies=LOOPBACK) as running, connected(running) as (reader, writer):
        writer.write(LINE[:9])
        await soon(lambda: len(asyncio.all_tasks()) > 2)
        running.stop.set()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
