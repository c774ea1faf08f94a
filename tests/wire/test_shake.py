"""TLS handshakes on real sockets: who comes through, and how failures are counted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from gateway.core import flood
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.rate import Rate
from gateway.core.settings import Limits, ServerTls
from gateway.core.stats import TlsStats
from gateway.wire import server, shake
from tests.wire.wired import Running, responds, serving, soon

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def counted(running: Running) -> TlsStats:
    (stats,) = running.stats.tls.values()
    return stats


async def ask(port: int, context: ssl.SSLContext, host: str = "localhost") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    writer.write(GET)
    answer = await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer


async def test_what_the_application_is_told(
    tls: ServerTls, authority: trustme.CA, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await responds(200, [(b"content-length", b"0")])(scope, receive, send)

    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    known = ServerTls(cert=tls.cert, key=tls.key, client_ca=str(tmp_path / "ca.pem"), client_cert="optional")
    async with serving(app, tls=known) as running:
        await ask(running.port, trust)
        authority.issue_cert("device", common_name="device").configure_cert(trust)
        await ask(running.port, trust)
        assert counted(running).handshakes == 2
    plain, shown = (scope["extensions"]["tls"] for scope in seen)
    assert (plain["client_cert_name"], plain["client_cert_chain"]) == (None, ())
    assert shown["client_cert_name"].startswith("CN=device,")
    assert shown["tls_version"] == 0x0304


async def test_without_tls_nothing_is_told() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await responds(200, [(b"content-length", b"0")])(scope, receive, send)

    async with serving(app) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(GET)
        await reader.read()
        writer.close()
    assert "tls" not in seen[0]["extensions"]


def says(data: bytes) -> Callable[[socket.socket], None]:
    return lambda sock: sock.sendall(data)


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (says(GET), "plain_http"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n" * 3), "not_tls"),
        (says(b"\x16\x03\x01\x02"), "disconnected"),
        (says(b""), "disconnected"),
    ],
)
async def test_no_handshake(act: Callable[[socket.socket], None], why: str, tls: ServerTls) -> None:
    async with serving(responds(), tls=tls) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as sock:
            act(sock)
            sock.shutdown(socket.SHUT_WR)
            await soon(lambda: counted(running).failures[why] == 1)
        assert sum(counted(running).failures.values()) == 1
        assert counted(running).handshakes == 0


async def test_a_client_that_does_not_trust_us(tls: ServerTls) -> None:
    def connect(port: int) -> None:
        """OpenSSL's own client tells why it leaves; asyncio's does not."""
        with socket.create_connection(("127.0.0.1", port)) as sock, pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")

    async with serving(responds(), tls=tls) as running:
        await asyncio.to_thread(connect, running.port)
        await soon(lambda: counted(running).failures["client_alert"] == 1)


async def test_a_handshake_that_takes_too_long(tls: ServerTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shake, "HANDSHAKE", 0.05)
    async with serving(responds(), tls=tls) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as sock:
            sock.sendall(b"\x16\x03\x01")
            await soon(lambda: counted(running).failures["timeout"] == 1)
            sock.settimeout(5)
            assert sock.recv(100) == b""


async def test_handshakes_take_places(tls: ServerTls, trust: ssl.SSLContext) -> None:
    async with serving(responds(200, [(b"content-length", b"0")]), tls=tls, limits=Limits(connections=2)) as running:
        hanging = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        with contextlib.suppress(OSError):
            await ask(running.port, trust)
        await soon(lambda: running.stats.refused["connections"] == 1)
        for sock in hanging:
            sock.close()
        await soon(lambda: counted(running).failures["disconnected"] == 2)
        assert (await ask(running.port, trust)).startswith(b"HTTP/1.1 200")


async def test_a_stop_does_not_wait_for_handshakes(tls: ServerTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN", 60.0)
    async with serving(responds(), tls=tls) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as sock:
            sock.sendall(b"\x16\x03\x01")
            await asyncio.sleep(0)
            running.stop.set()
            async with asyncio.timeout(5):
                await running.done


async def test_a_new_certificate_while_others_are_open(
    tls: ServerTls, authority: trustme.CA, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CERTIFICATES", 0.01)
    async with serving(responds(200, [(b"content-length", b"2")], b"ok"), tls=tls) as running:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", running.port, ssl=trust, server_hostname="localhost"
        )
        issued = authority.issue_cert("new.example")
        issued.private_key_pem.write_to_path(tls.key)
        issued.cert_chain_pems[0].write_to_path(tls.cert)
        await soon(lambda: counted(running).reloads["ok"])
        assert (await ask(running.port, trust, "new.example")).startswith(b"HTTP/1.1 200")
        writer.write(GET)
        assert (await reader.read()).endswith(b"ok")
        writer.close()


async def test_handshakes_that_fail_are_a_flood(
    tls: ServerTls, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flood, "POINTS", Rate(0, 10 * flood.FAILED))
    monkeypatch.setattr(flood, "PAUSE", 3600.0)
    caplog.set_level("DEBUG", "tidegate.wire")

    async def garbage() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        with contextlib.suppress(OSError):
            writer.write(b"garbage" * 10)
            await reader.read()
        writer.transport.abort()

    async with serving(responds(200, [(b"content-length", b"0")]), tls=tls) as running:
        for _ in range(10):
            await garbage()
        assert running.stats.refused == {}
        assert (await ask(running.port, trust)).startswith(b"HTTP/1.1 200")
        for _ in range(1 + flood.TOLD):
            await garbage()
        assert running.stats.refused == {"http2_flood": 1 + flood.TOLD}
        assert "too many TLS handshakes that fail" in caplog.text
        before = sum(counted(running).failures.values())
        await garbage()
        assert running.stats.refused == {"http2_flood": 2 + flood.TOLD}
        assert sum(counted(running).failures.values()) == before == 11 + flood.TOLD
