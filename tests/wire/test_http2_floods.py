"""Floods over HTTP/2: refused before they are parsed, and the address's, not the connection's."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import sys

import h2.connection
import h2.events
import pytest
import trustme
from h2.errors import ErrorCodes

from gateway.core import flood
from gateway.core.flood import RESET, TOLD, Allowance
from gateway.core.rate import Rate
from gateway.core.settings import ServerTls
from gateway.wire.http2_frames import CALM, PREFACE
from tests.wire.test_http2 import GET, Peer, Told, narrow, peer
from tests.wire.test_proxied import LOOPBACK
from tests.wire.wired import Running, serving

ALL = int(flood.POINTS.burst)
SETTINGS = bytes(3) + b"\4\0" + bytes(4)
PING = bytes(2) + b"\x08\6\0" + bytes(4) + b"a ping: "
CALLED = {"http2_flood": 1}


@pytest.fixture(autouse=True)
def _frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no time went by: nothing is refilled, and a pause does not end."""
    monkeypatch.setattr(flood, "POINTS", Rate(0, ALL))
    monkeypatch.setattr(flood, "PAUSE", 3600.0)


async def talk(running: Running, data: bytes, source: str = "127.0.0.1") -> bytes:
    """Send it, and read to the end, also when that is a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, local_addr=(source, 0))
    got = b""
    with contextlib.suppress(OSError):
        writer.write(data)
        while piece := await reader.read(65536):
            got += piece
    writer.transport.abort()
    return got


async def served(running: Running, source: str) -> bool:
    """Whether a request over HTTP/2 is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, local_addr=(source, 0))
    http = Peer(reader, writer)
    await ask(http, 1)
    writer.transport.abort()
    return http.status[1][":status"] == "200"


async def ask(http: Peer, stream: int) -> None:
    http.http.send_headers(stream, GET, end_stream=True)
    await http.until(lambda: stream in http.ended)


async def test_a_flood_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    receive = h2.connection.H2Connection.receive_data

    def watched(self: h2.connection.H2Connection, data: bytes) -> list[h2.events.Event]:
        parsed.append(data)
        return receive(self, data)

    monkeypatch.setattr(h2.connection.H2Connection, "receive_data", watched)
    async with serving(Told()) as running:
        await talk(running, PREFACE + SETTINGS + PING * (ALL + flood.GREETING))
        assert running.stats.refused == CALLED
    assert parsed == []


async def test_the_client_is_told() -> None:
    async with serving(Told()) as running, peer(running) as http:
        await ask(http, 1)
        for _ in range(2 * ALL):
            http.http.ping(b"a ping: ")
        ended: list[int | None] = []
        note = http._note

        def noted(event: h2.events.Event) -> None:
            if isinstance(event, h2.events.ConnectionTerminated):
                ended.append(event.error_code)
            note(event)

        http._note = noted  # type: ignore[method-assign]
        await http.until(lambda: ended)
        assert ended == [ErrorCodes.ENHANCE_YOUR_CALM]
        assert running.stats.refused == CALLED


async def test_to_come_back_is_no_remedy(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "tidegate.wire")
    async with serving(Told()) as running:
        half = PREFACE + SETTINGS + PING * (ALL // 2 + flood.GREETING)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(half)
        await reader.readuntil(PING[9:])
        assert running.stats.refused == {}
        await talk(running, half)
        assert running.stats.refused == CALLED
        assert "too many frames that ask for nothing" in caplog.text
        assert await talk(running, PREFACE + SETTINGS) == CALM
        assert running.stats.refused == {"http2_flood": 2}
        writer.transport.abort()
        assert "too soon after a flood" in caplog.text
        assert await served(running, "127.0.0.2"), "somebody else"


async def pause(running: Running, begin: bytes = b"") -> None:
    """Let 127.0.0.1, or who is named at the beginning, begin its pause."""
    await talk(running, begin + PREFACE + SETTINGS + PING * (ALL + flood.GREETING))
    assert running.stats.refused == CALLED


async def test_neighbours_that_speak_http1_are_served_until_somebody_insists() -> None:
    plain = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving(Told()) as running:
        await pause(running)
        for _ in range(TOLD):
            assert (await talk(running, plain)).startswith(b"HTTP/1.1 200")
            assert await talk(running, PREFACE) == CALM
        assert await talk(running, plain) == b""
        assert running.stats.refused == {"http2_flood": TOLD + 2}
        assert (await talk(running, plain, "127.0.0.2")).startswith(b"HTTP/1.1 200")


def connects(port: int) -> bool:
    """Whether a connection is there at once, as it is on loopback."""
    with socket.socket() as sock:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(("127.0.0.1", port))
        return bool(select.select([], [sock], [], 0)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
async def test_who_insists_cannot_even_connect() -> None:
    async with serving(Told()) as running:
        await pause(running)
        for _ in range(TOLD):
            await talk(running, PREFACE)
        assert connects(running.port)
        await talk(running, PREFACE)
        assert not connects(running.port)
        assert await served(running, "127.0.0.2")


@pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
async def test_a_proxy_connects_for_others() -> None:
    first, second = (b"PROXY TCP4 127.0.0.%d 192.0.2.1 4711 443\r\n" % last for last in (1, 2))
    async with serving(Told(), proxies=LOOPBACK) as running:
        await pause(running, first)
        for _ in range(TOLD):
            assert await talk(running, first + PREFACE) == CALM
        assert await talk(running, first + PREFACE) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(second)
        await ask(Peer(reader, writer), 1)
        writer.transport.abort()


WASTED = {
    "nothing": b"",
    "settings": SETTINGS,
    "data of no stream": bytes(2) + b"\1" + bytes(6) + b"x",
    "an endless frame": b"\xff\xff\xff" + b"x" * 65536,
}


@pytest.mark.parametrize("words", WASTED.values(), ids=WASTED)
async def test_connections_that_come_to_nothing_are_a_flood(words: bytes) -> None:
    async with serving(Told()) as running:
        for _ in range(2 * ALL // (flood.WASTED - flood.GREETING)):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(PREFACE + words)
            await reader.readexactly(9)
            if words in (b"", SETTINGS):
                writer.write_eof()
            with contextlib.suppress(OSError):
                while got := await reader.read(65536):
                    last = got
            writer.transport.abort()
            if CALM.endswith(last):
                break
        assert running.stats.refused["http2_flood"] >= 1
        assert await talk(running, PREFACE) == CALM


async def test_connections_on_which_something_is_asked_are_none() -> None:
    async with serving(Told()) as running:
        for _ in range(2 * ALL // (flood.WASTED - flood.GREETING)):
            assert await served(running, "127.0.0.1")
        assert running.stats.refused == {}


async def test_over_tls_there_is_no_handshake_for_those_who_insist(tls: ServerTls, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])

    def say(port: int, data: bytes) -> bytes:
        got = b""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.sendall(data)
            while piece := secure.recv(65536):
                got += piece
        return got

    async with serving(Told(), tls=tls) as running:
        await asyncio.to_thread(say, running.port, PREFACE + SETTINGS + PING * (ALL + flood.GREETING))
        assert running.stats.refused == CALLED
        for _ in range(TOLD):
            assert await asyncio.to_thread(say, running.port, PREFACE) == CALM
        (stats,) = running.stats.tls.values()
        before = stats.handshakes
        assert await asyncio.to_thread(say, running.port, PREFACE) == b""
        assert (stats.handshakes, sum(stats.failures.values())) == (before, 0)
        assert running.stats.refused == {"http2_flood": TOLD + 2}


async def test_it_is_the_address_that_a_proxy_tells_of() -> None:
    first, second = (b"PROXY TCP4 192.0.2.%d 192.0.2.1 4711 443\r\n" % last for last in (7, 8))
    async with serving(Told(), proxies=LOOPBACK) as running:
        await pause(running, first)
        assert await talk(running, first + PREFACE) == CALM
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(second)
        await ask(Peer(reader, writer), 1)
        writer.transport.abort()


async def test_responses_earn_resets_and_window_updates() -> None:
    async with serving(Told()) as running, peer(running) as http:
        stream = 1
        for _ in range(2):
            for _ in range(110):
                http.http.send_headers(stream, GET)
                http.http.reset_stream(stream)
                stream += 2
            for _ in range(30):
                await ask(http, stream)
                stream += 2
        assert running.stats.refused == {}


async def test_responses_that_are_reset_earn_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    earned: list[int] = []
    monkeypatch.setattr(Allowance, "earn", lambda self, points: earned.append(points))
    async with serving(Told()) as running, peer(running) as http:
        await narrow(http, 1)
        http.http.reset_stream(1)
        http.flush()
        await http.until(lambda: http.settings)
        http.http.increment_flow_control_window(100)
        await ask_narrow(http, 3)
        assert earned[0] == flood.GREETING
        assert earned[1:] in ([flood.ANSWERED], [flood.SENT, flood.ANSWERED])


async def ask_narrow(http: Peer, stream: int) -> None:
    http.http.send_headers(stream, GET, end_stream=True)
    http.http.increment_flow_control_window(100, stream)
    await http.until(lambda: stream in http.ended)


async def test_requests_that_are_none_cost_as_much_as_resets() -> None:
    async with serving(Told()) as running, peer(running) as http:
        await http.until(lambda: http.settings)
        bad = [pair if pair[0] != ":path" else (":path", "/é") for pair in GET]
        stream = 1
        while not http.over:
            http.http.send_headers(stream, bad, end_stream=True)
            await http.until(lambda stream=stream: http.over or stream in http.reset)
            stream += 2
        assert running.stats.refused["http2_flood"] == 1
        assert 0 <= running.stats.refused["http2_request"] - ALL // RESET <= flood.GREETING // RESET
