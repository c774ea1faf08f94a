"""HTTP/3 over real datagrams: aioquic's own client against the whole server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from gateway.core.asgi import App, Headers, Receive, Scope, Send
from gateway.core.settings import Limits, ServerTls
from gateway.errors import UpstreamProtocolError
from gateway.wire import quic, quic_connection
from gateway.wire.http3 import HIGH_WATER
from gateway.wire.quic_connection import WINDOW
from gateway.wire.sweep import STALL_VISITS
from tests.wire.quic_client import Client, http3
from tests.wire.wired import Play, Running, begun, responds, serving, settle, soon

REJECTED, CANCELLED, INTERNAL, NO_ERROR, OVERLOAD = 0x10B, 0x10C, 0x102, 0x100, 0x107


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it was asked, with the body that came."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    asked = f"{scope['http_version']} {scope['scheme']} {scope['method']} {scope['path']} {scope['client'][0]} "
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Seen", b"yes"), (b"connection", b"x")]})
    await send({"type": "http.response.body", "body": asked.encode() + body})


@pytest.fixture
def ca(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()


@asynccontextmanager
async def connected(
    app: App, tls: ServerTls, ca: bytes, limits: Limits | None = None, **options: object
) -> AsyncIterator[tuple[Running, Client]]:
    async with (
        serving(app, tls=tls, http3=True, limits=limits) as running,
        http3(running.urls[0], ca, **options) as client,
    ):
        yield running, client


async def test_requests(tls: ServerTls, ca: bytes) -> None:
    async with connected(echo, tls, ca) as (running, client):
        answers = [client.ask(f"/caf%C3%A9/{number}?a", method="POST", body=b"hi") for number in range(5)]
        for number, answer in enumerate(answers):
            await answer.over()
            assert answer.status == 200
            assert answer.body.decode() == f"3 https POST /café/{number} 127.0.0.1 hi"
            assert answer[b"x-seen"] == b"yes"
            assert answer[b"connection"] is None
            assert answer[b"date"]
        assert running.stats.connections == 1
        (counted,) = running.stats.tls.values()
        assert counted.handshakes == 1
        assert not counted.failures


async def test_the_scope(tls: ServerTls, ca: bytes) -> None:
    play = Play()
    async with connected(play, tls, ca) as (running, client):
        asked = client.ask("/a?", headers=[(b"x-a", b"1"), (b"x-a", b"2")])
        await soon(lambda: play.exchanges)
        scope = play.last.scope
        assert scope["headers"] == [(b"host", client.authority), (b"x-a", b"1"), (b"x-a", b"2")]
        assert (scope["raw_path"], scope["query_string"]) == (b"/a", b"")
        assert "tidegate.bare_query" in scope["extensions"]
        assert scope["client"][0] == "127.0.0.1"
        assert scope["server"] == ("127.0.0.1", running.port)
        told = scope["extensions"]["tls"]
        assert told["tls_version"] == 0x0304
        assert told["cipher_suite"] in (0x1301, 0x1302, 0x1303)
        assert "BEGIN CERTIFICATE" in told["server_cert"]
        await play.last.start(204)
        await play.last.body(b"", more=False)
        await play.last.end()
        await asked.over()
        assert (asked.status, asked.body) == (204, b"")


async def test_a_large_body_both_ways(tls: ServerTls, ca: bytes) -> None:
    async with connected(echo, tls, ca) as (_, client):
        answer = await client.get("/", method="POST", body=b"x" * 300_000)
        assert len(answer.body) == 300_000 + len("3 https POST / 127.0.0.1 ")


async def test_head_has_no_body(tls: ServerTls, ca: bytes) -> None:
    async with connected(responds(200, [(b"etag", b"5")], b"hello"), tls, ca) as (_, client):
        answer = await client.get("/", method="HEAD")
        assert (answer[b"etag"], answer.body) == (b"5", b"")


async def test_trailers(tls: ServerTls, ca: bytes) -> None:
    play = Play()
    async with connected(play, tls, ca) as (_, client):
        asked = client.ask()
        await soon(lambda: play.exchanges)
        await play.last.start(trailers=True)
        await play.last.body(b"hi", more=False)
        await play.last.send({"type": "http.response.trailers", "headers": [(b"X-Sum", b"1")]})
        await play.last.end()
        await asked.over()
        assert asked.body == b"hi"
        assert asked.heads[1] == [(b"x-sum", b"1")]


async def test_http1_and_http2_tell_of_it(tls: ServerTls, ca: bytes, authority: trustme.CA) -> None:
    import ssl

    import httpx2

    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with serving(echo, tls=tls, http3=True) as running:
        for http2 in (False, True):
            async with httpx2.AsyncClient(http2=http2, verify=trust, trust_env=False) as http:
                answer = await http.get(running.urls[0])
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                assert answer.headers.get_list("alt-svc") == [f'h3=":{running.port}"; ma=86400']
    async with serving(echo, tls=tls) as running:
        for http2 in (False, True):
            async with httpx2.AsyncClient(http2=http2, verify=trust, trust_env=False) as http:
                assert "alt-svc" not in (await http.get(running.urls[0])).headers


# What goes wrong.


async def test_an_application_that_fails(tls: ServerTls, ca: bytes, caplog: pytest.LogCaptureFixture) -> None:
    play = Play()
    async with connected(play, tls, ca) as (_, client):
        asked = client.ask()
        await soon(lambda: play.exchanges)
        await play.last.end(RuntimeError("a bug"))
        await asked.over()
        assert asked.status == 500
        assert b'"internal"' in asked.body
        half = client.ask()
        await soon(lambda: len(play.exchanges) == 2)
        await play.last.start()
        await play.last.body(b"half")
        await play.last.end(UpstreamProtocolError("the backend left"))
        await half.over()
        assert half.reset == INTERNAL
        silent = client.ask()
        await soon(lambda: len(play.exchanges) == 3)
        await play.last.end()
        await silent.over()
        assert silent.status == 500
    assert "the application failed" in caplog.text


@pytest.mark.parametrize(
    ("headers", "path", "status", "code"),
    [
        ([(b"x", b"y" * 2000)], "/", 431, b"headers"),
        ([(b"x", b"y")] * 30, "/", 431, b"headers"),
        ([], "/" + "a" * 2000, 414, b"target_length"),
        ([], "nowhere", 400, b"bad_target"),
        ([], "/a#b", 400, b"bad_target"),
    ],
)
async def test_requests_that_are_refused(
    headers: Headers, path: str, status: int, code: bytes, tls: ServerTls, ca: bytes
) -> None:
    limits = Limits(header_value=1000, header_count=20, target=1000)
    async with connected(echo, tls, ca, limits) as (running, client):
        answer = await client.get(path, headers=headers)
        assert answer.status == status
        assert code in answer.body
        assert running.stats.refused[code.decode()] == 1
        assert running.log.requests == [("GET", path[:1024], status)]
        assert (await client.get("/after")).status == 200


async def test_a_head_that_does_not_end(tls: ServerTls, ca: bytes) -> None:
    async with connected(echo, tls, ca, Limits(header_bytes=5000)) as (_, client):
        client.quic.send_stream_data(0, b"\x01\x80\x01\x00\x00" + b"x" * 6000)  # HEADERS of 64 KB
        client.transmit()
        await soon(lambda: client.closed is not None)
        assert client.closed == OVERLOAD


async def test_a_client_that_gives_up(tls: ServerTls, ca: bytes) -> None:
    play = Play()
    async with connected(play, tls, ca) as (running, client):
        asked = client.ask()
        await soon(lambda: play.exchanges)
        await play.last.receive()
        disconnected = begun(play.last.receive())
        client.quic.reset_stream(asked.stream, CANCELLED)
        client.quic.stop_stream(asked.stream, CANCELLED)
        client.transmit()
        assert (await disconnected)["type"] == "http.disconnect"
        await play.last.start()  # into the void
        await play.last.body(b"hi", more=False)
        await play.last.end()
        other = client.ask("/b")
        await soon(lambda: len(play.exchanges) == 2)
        await play.last.start()
        await play.last.body(b"on", more=False)
        await play.last.end()
        assert (await other.over()).body == b"on"
        assert running.stats.connections == 1


async def test_a_body_that_nobody_wants(tls: ServerTls, ca: bytes) -> None:
    async with connected(responds(200, [], b"no"), tls, ca) as (_, client):
        asked = client.ask("/", method="POST", body=None)
        await asked.over()
        assert asked.body == b"no"
        await soon(lambda: asked.stopped is not None)
        assert asked.stopped == NO_ERROR


async def test_a_body_waits_for_the_application(tls: ServerTls, ca: bytes) -> None:
    play = Play()
    size = 5 * WINDOW
    async with connected(play, tls, ca) as (running, client):
        asked = client.ask("/", method="POST", body=None)
        client.more(asked, b"x" * size, last=True)
        await soon(lambda: play.exchanges)
        request = play.last.receive.__self__  # type: ignore[attr-defined]
        await soon(lambda: request.unread > HIGH_WATER)
        for _ in range(5):  # whatever is under way arrives
            await client.ping()
        assert request.unread <= HIGH_WATER + 2 * WINDOW
        got = 0
        while (message := await play.last.receive())["type"] == "http.request":
            got += len(message["body"])
            if not message["more_body"]:
                break
        assert got == size
        await play.last.start()
        await play.last.body(b"", more=False)
        await play.last.end()
        await asked.over()
        assert running.stats.connections == 1


async def test_an_answer_waits_for_the_client(tls: ServerTls, ca: bytes) -> None:
    """A client whose window is small acknowledges no more; the application waits, and we keep little."""
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while sent < 30:
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with connected(app, tls, ca, max_stream_data=20_000, max_data=20_000) as (_, client):
        write = client.quic._write_stream_limits
        whole = client.quic._write_connection_limits
        client.quic._write_stream_limits = client.quic._write_connection_limits = lambda **_: None  # reads nothing
        asked = client.ask()
        await soon(lambda: len(asked.body) > 15_000)
        for _ in range(5):
            await client.ping()
        assert sent <= (HIGH_WATER + 20_000) // 10_000 + 1
        client.quic._write_stream_limits, client.quic._write_connection_limits = write, whole
        client.transmit()
        assert len((await asked.over()).body) == 300_000


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[quic_connection.Connection]:
    """The server's connections."""
    connections: list[quic_connection.Connection] = []

    class Recorded(quic_connection.Connection):
        def __init__(
            self, endpoint: quic.Quic, bounded: quic_connection.Bounded, addr: quic_connection.Address
        ) -> None:
            super().__init__(endpoint, bounded, addr)
            connections.append(self)

    monkeypatch.setattr(quic, "Connection", Recorded)
    return connections


async def test_a_client_that_reads_nothing_is_dropped(
    tls: ServerTls, ca: bytes, made: list[quic_connection.Connection]
) -> None:
    play = Play()
    async with connected(play, tls, ca, max_stream_data=20_000, max_data=20_000) as (running, client):
        client.quic._write_stream_limits = client.quic._write_connection_limits = lambda **_: None
        asked = client.ask()
        await soon(lambda: play.exchanges)
        await play.last.start()
        writing = begun(play.last.body(b"x" * 200_000))
        await soon(lambda: len(asked.body) > 15_000)
        for _ in range(3):
            await client.ping()
        for _ in range(STALL_VISITS + 1):
            made[0].visit()
        assert running.stats.connections == 1
        made[0].visit()
        assert running.stats.connections == 0
        await writing
        assert (await play.last.receive())["type"] == "http.disconnect"
        await play.last.end()


async def test_an_idle_client_is_dropped(tls: ServerTls, ca: bytes, made: list[quic_connection.Connection]) -> None:
    async with connected(echo, tls, ca, Limits(idle_time=20)) as (running, client):
        await client.get("/")
        await soon(lambda: not made[0].requests)
        for _ in range(4):
            made[0].visit()
        assert running.stats.connections == 1
        made[0].visit()
        await soon(lambda: client.closed is not None)
        assert client.closed == NO_ERROR


async def test_an_old_connection_takes_no_new_requests(
    tls: ServerTls, ca: bytes, made: list[quic_connection.Connection]
) -> None:
    play = Play()
    async with connected(play, tls, ca, Limits(connection_time=5)) as (_, client):
        asked = client.ask()
        await soon(lambda: play.exchanges)
        made[0].visit()
        made[0].visit()
        assert (await client.ask("/late").over()).reset == REJECTED
        await play.last.start()
        await play.last.body(b"old", more=False)
        await play.last.end()
        assert (await asked.over()).body == b"old"
        await soon(lambda: client.closed is not None)


async def test_a_handshake_that_hangs(tls: ServerTls, made: list[quic_connection.Connection]) -> None:
    async with serving(echo, tls=tls, http3=True) as running:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"\xc0\x00\x00\x00\x01\x08" + b"c" * 8 + b"\x00\x00\x44\x80".ljust(1186, b"x"),
                        ("127.0.0.1", running.port))  # fmt: skip
            await soon(lambda: running.stats.accepted == 1)
            (counted,) = running.stats.tls.values()
            if running.stats.connections:
                for _ in range(2):
                    made[0].visit()
            assert sum(counted.failures.values()) == 1
            assert running.stats.connections == 0


# Limits and the end.


async def test_too_many_connections(tls: ServerTls, ca: bytes) -> None:
    async with connected(echo, tls, ca, Limits(connections=1)) as (running, client):
        assert (await client.get("/")).status == 200
        second = begun(_once(running, ca))
        await soon(lambda: running.stats.refused["connections"] > 0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert running.stats.connections == 1


async def _once(running: Running, ca: bytes) -> None:
    async with http3(running.urls[0], ca):
        pass


async def test_too_many_requests_at_once(tls: ServerTls, ca: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic_connection, "_STREAMS", 5)
    play = Play()
    async with connected(play, tls, ca) as (_, client):
        asked = [client.ask() for _ in range(6)]
        await asked[-1].over()
        assert asked[-1].reset == REJECTED
        assert len(play.exchanges) == 5
        for call in play.exchanges:
            await call.start()
            await call.body(b"", more=False)
            call.over.set()
        for one in asked[:5]:
            assert (await one.over()).status == 200
        again = client.ask()
        await soon(lambda: len(play.exchanges) == 6)
        await play.last.start()
        await play.last.body(b"", more=False)
        await play.last.end()
        assert (await again.over()).status == 200


async def test_it_stops_when_what_was_halfis_done(tls: ServerTls, ca: bytes) -> None:
    play = Play()
    async with connected(play, tls, ca) as (running, client):
        asked = client.ask()
        await soon(lambda: play.exchanges)
        running.stop.set()
        await settle()
        rejected = await client.ask("/late").over()
        assert rejected.reset == REJECTED
        await play.last.start()
        await play.last.body(b"the end", more=False)
        await play.last.end()
        assert (await asked.over()).body == b"the end"
        await running.done
        await soon(lambda: client.closed is not None)
        assert client.closed == NO_ERROR


async def test_an_idle_connection_is_closed_at_once(tls: ServerTls, ca: bytes) -> None:
    async with connected(echo, tls, ca) as (running, client):
        await client.get("/")
        running.stop.set()
        await running.done
        await soon(lambda: client.closed is not None)


async def test_what_does_not_end_is_cut_off(tls: ServerTls, ca: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wire.server.DRAIN", 0.05)
    play = Play()
    async with connected(play, tls, ca) as (running, client):
        asked = client.ask()
        await soon(lambda: play.exchanges)
        running.stop.set()
        await running.done
        await soon(lambda: asked.reset is not None)


async def test_a_client_that_leaves(tls: ServerTls, ca: bytes) -> None:
    play = Play()
    async with serving(play, tls=tls, http3=True) as running:
        async with http3(running.urls[0], ca) as client:
            client.ask()
            await soon(lambda: play.exchanges)
            await play.last.receive()
        assert (await play.last.receive())["type"] == "http.disconnect"
        await play.last.end()
        await soon(lambda: running.stats.connections == 0)
