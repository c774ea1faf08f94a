"""Who is let in over UDP, and the names of aioquic's that we rely on."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from pathlib import Path

import pytest
import trustme
from aioquic.h3.connection import H3Connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicPacketType, QuicProtocolVersion, pull_quic_header
from aioquic.quic.stream import QuicStream

from gateway.core.settings import ServerTls
from gateway.wire import quic
from tests.wire.quic_client import http3
from tests.wire.wired import responds, serving, soon


def test_the_names_we_use() -> None:
    assert list(inspect.signature(QuicConnection._write_stream_limits).parameters) == [
        "self", "builder", "space", "stream",
    ]  # fmt: skip
    connection = QuicConnection(configuration=QuicConfiguration())
    assert hasattr(connection, "_on_max_stream_data_delivery")
    assert connection._streams == {}
    h3 = H3Connection(connection)
    assert h3._stream.keys() <= {2, 6, 10}
    assert h3._local_control_stream_id is not None
    assert hasattr(h3, "_decoder")
    assert {"_get_local_settings", "_validate_settings", "handle_event", "send_headers", "send_data"} <= set(dir(h3))
    stream = QuicStream(stream_id=0, max_stream_data_local=5, max_stream_data_remote=5)
    assert stream.max_stream_data_local_sent == 5
    assert stream.receiver.highest_offset == 0
    stream.sender.write(b"abc")
    assert len(stream.sender._buffer) == 3


@pytest.fixture
def ca(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()


def initial(size: int, version: int, token: bytes = b"") -> bytes:
    """A first packet, as far as anybody can read it without keys."""
    head = bytes([0xC0]) + version.to_bytes(4) + b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8)
    if version == QuicProtocolVersion.VERSION_1:
        rest = size - len(head) - 3 - len(token)
        head += bytes([len(token)]) + token + (0x4000 | rest).to_bytes(2)
    return head.ljust(size, b"\x17")


async def answer(port: int, *packets: bytes) -> bytes:
    """What comes back for the last of these."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))
        for packet in packets:
            sock.send(packet)
        async with asyncio.timeout(10):
            return await loop.sock_recv(sock, 2000)


async def test_unknown_versions_are_told_the_known(tls: ServerTls) -> None:
    async with serving(responds(), tls=tls, http3=True) as running:
        told = await answer(running.port, b"", b"\xff" * 50, initial(1000, 0x1A2A3A4A), initial(1200, 0x1A2A3A4A))
        from aioquic._buffer import Buffer

        header = pull_quic_header(Buffer(data=told), host_cid_length=8)
        assert header.packet_type == QuicPacketType.VERSION_NEGOTIATION
        assert header.supported_versions == [QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2]
        assert running.stats.connections == 0


async def test_nonsense_leaves_nothing(tls: ServerTls, ca: bytes) -> None:
    async with serving(responds(200, [], b"hi"), tls=tls, http3=True) as running:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(200):
                sock.sendto(initial(1200, QuicProtocolVersion.VERSION_1), ("127.0.0.1", running.port))
            await soon(lambda: running.stats.accepted > 0)
            async with http3(running.urls[0], ca) as client:  # and others are served
                assert (await client.get("/")).body == b"hi"
        assert running.stats.connections <= quic.UNPROVEN + 1


async def test_in_a_storm_addresses_have_to_be_shown(
    tls: ServerTls, ca: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quic, "UNPROVEN", 0)
    async with serving(responds(200, [], b"hi"), tls=tls, http3=True) as running:
        from aioquic._buffer import Buffer

        told = await answer(running.port, initial(1200, QuicProtocolVersion.VERSION_1))
        assert pull_quic_header(Buffer(data=told), host_cid_length=8).packet_type == QuicPacketType.RETRY
        assert running.stats.accepted == 0
        async with http3(running.urls[0], ca) as client:
            assert client.quic._retry_count == 1
            assert (await client.get("/")).body == b"hi"
        assert running.stats.accepted == 1


async def test_a_token_of_somebody_else_is_worth_nothing(tls: ServerTls, ca: bytes) -> None:
    async with serving(responds(200, [], b"hi"), tls=tls, http3=True) as running:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            packet = initial(1200, QuicProtocolVersion.VERSION_1, os.urandom(60))
            sock.sendto(packet, ("127.0.0.1", running.port))
        async with http3(running.urls[0], ca) as client:
            assert (await client.get("/")).body == b"hi"
        assert running.stats.accepted == 1


async def test_clients_that_do_not_trust_us_are_counted(tls: ServerTls) -> None:
    stranger = trustme.CA().cert_pem.bytes()
    async with serving(responds(), tls=tls, http3=True) as running:
        with pytest.raises(ConnectionError):
            async with http3(running.urls[0], stranger):
                pass
        (counted,) = running.stats.tls.values()
        await soon(lambda: counted.failures["client_alert"] == 1)
        await soon(lambda: running.stats.connections == 0)


def _write(data: bytes, *files: str) -> None:
    for file in files:
        Path(file).write_bytes(data)


async def test_a_changed_certificate_is_shown(
    tls: ServerTls, ca: bytes, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    monkeypatch.setattr("gateway.wire.server.CERTIFICATES", 0.01)
    async with serving(responds(200, [], b"hi"), tls=tls, http3=True) as running:
        (counted,) = running.stats.tls.values()
        async with http3(running.urls[0], ca) as client:
            before = client.quic.tls._peer_certificate.serial_number
            new = authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.bytes()
            await asyncio.to_thread(_write, new, tls.cert, tls.key)
            await soon(lambda: counted.reloads["ok"] == 1)
            async with http3(running.urls[0], ca) as other:
                assert other.quic.tls._peer_certificate.serial_number != before
            assert (await client.get("/")).body == b"hi"  # who is connected stays


async def test_a_port_that_is_taken(tls: ServerTls) -> None:
    from gateway.core.settings import Listen
    from gateway.wire.sockets import open_datagrams, open_socket

    listen = Listen(address="127.0.0.1:0", tls=tls, http3=True)
    taken = pytest.raises(OSError, match=r"cannot listen on 127.0.0.1:0 for HTTP/3: Address already in use")
    with open_socket(listen) as sock, open_datagrams(sock, listen), taken:
        open_datagrams(sock, listen)
