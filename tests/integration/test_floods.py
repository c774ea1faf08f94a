"""Floods of what asks for nothing, and beginnings that never end: others are served, and nothing is left of them.

HTTP/2 as prior knowledge, so that each byte is the attacker's; TLS and the PROXY protocol as they begin.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest
from hpack import Encoder

from gateway.core.flood import TOLD
from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import come
from tests.integration.test_tls import Trust, trust

__all__ = ["trust"]

CONFIG = """\
limits: {{connections_per_ip: 1000}}
upstreams:
  shop: {{url: "{url}"}}
routes:
  - {{path: /**, upstream: shop}}
"""
ATTACKERS = 20
ROUNDS = 5000
RECONNECTS = 50

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
ENHANCE_YOUR_CALM = 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + bytes([SETTINGS, 0]) + bytes(4)
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


_FIELDS = [(":method", "GET"), (":scheme", "http"), (":path", "/api/shirts"), (":authority", "shop.example")]
_BLOCK = Encoder().encode([(*pair, True) for pair in _FIELDS])  # never indexed: the same for each request


def request(stream: int, flags: int = END_STREAM | END_HEADERS) -> bytes:
    return frame(HEADERS, stream, _BLOCK, flags)


def streams() -> range:
    return range(1, 2 * ROUNDS, 2)


FLOODS: dict[str, Callable[[], bytes]] = {
    "rapid reset": lambda: b"".join(request(s) + frame(RESET, s, struct.pack("!I", 8)) for s in streams()),
    "settings": lambda: frame(SETTINGS, 0, struct.pack("!HI", 3, 100)) * ROUNDS,
    "pings": lambda: frame(PING, 0, bytes(8)) * ROUNDS,
    "priorities": lambda: frame(PRIORITY, 1, struct.pack("!IB", 3, 16)) * ROUNDS,
    "empty data": lambda: request(1, END_HEADERS) + frame(DATA, 1) * ROUNDS,
    "window updates": lambda: frame(WINDOW, 0, struct.pack("!I", 1)) * ROUNDS,
    "continuations": lambda: (
        frame(HEADERS, 1, b"\x82") + frame(CONTINUATION, 1, b"\0\x01a\x7f\xdd\x0a" + b"x" * 1500) * ROUNDS
    ),
    "empty continuations": lambda: frame(HEADERS, 1, b"\x82") + frame(CONTINUATION, 1) * ROUNDS,
    "unknown frames": lambda: frame(0xFA, 0) * ROUNDS,
    "a head of 70 KB": lambda: frame(HEADERS, 1, b"\x82\x87\x84") + frame(CONTINUATION, 1, b"x" * 10_000) * 7,
}


def connected(port: int) -> socket.socket | None:
    """A connection, as it is there at once on loopback; None where packets are dropped."""
    sock = socket.socket()
    sock.setblocking(False)
    with suppress(BlockingIOError):
        sock.connect(("127.0.0.1", port))
    if select.select([], [sock], [], 0)[1]:
        return sock
    sock.close()
    return None


async def flood(port: int, data: bytes) -> bytes:
    """Send it all, as far as it is taken, and read to the end."""
    sock = connected(port)
    if sock is None:
        return b""
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        got = asyncio.get_running_loop().create_task(_rest(reader))
        with suppress(OSError):
            writer.write(PREFACE + data)
            await writer.drain()
        return await asyncio.wait_for(got, 30)
    finally:
        writer.transport.abort()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    data = b""
    with suppress(OSError):
        while piece := await reader.read(65536):
            data += piece
    return data


def goaway(data: bytes) -> int | None:
    """The code of the GOAWAY among these frames."""
    at = 0
    while at + 9 <= len(data):
        size, kind = int.from_bytes(data[at : at + 3]), data[at + 3]
        if kind == GOAWAY:
            return int.from_bytes(data[at + 13 : at + 17])
        at += 9 + size
    return None


def files(running: Gateway) -> float:
    """Descriptors, but for connections to the backend that are kept."""
    return running.descriptors() - running.metrics()["tidegate_upstream_connections"]


async def unharmed(
    running: Gateway,
    url: str,
    attack: Callable[[], Awaitable[object]],
    *,
    verify: ssl.SSLContext | bool = True,
    http2: bool = False,
) -> None:
    """Others are served while it lasts, and afterwards the process has what it had before."""
    # Attackers are 127.0.0.1, and their address has to wait for a while.
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2", verify=verify, http1=not http2, http2=http2)
    async with httpx.AsyncClient(trust_env=False, timeout=20, transport=transport) as probe:
        await attack()  # what is made once has been made
        await running.idle()
        before = files(running)
        memory = running.resident()
        attacking = asyncio.gather(*(attack() for _ in range(ATTACKERS)))
        for _ in range(10):
            answer = await probe.get(f"{url}/api/shirts", headers={} if http2 else {"connection": "close"})
            assert answer.status_code == 200
        await attacking
    await running.idle()
    await come(lambda: files(running) <= before, "no descriptor is left")
    assert running.resident() < memory + 30 * 1024 * 1024


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_over_http2_ends_its_connection_and_nothing_else(
    name: str, gateway: Serve, backend: Backend
) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    data = FLOODS[name]()
    ends: list[int | None] = []

    async def attack() -> None:
        ends.append(goaway(await flood(running.port, data)))

    await unharmed(running, running.url, attack, http2=True)
    for _ in range(RECONNECTS):
        await attack()
    assert set(ends) <= {ENHANCE_YOUR_CALM, None}  # a reset may overtake it
    refused = {
        labels.get("reason"): count for name, labels, count in running.samples() if name == "tidegate_refused_total"
    }
    assert 2 + TOLD <= refused["http2_flood"] < ATTACKERS + 1 + RECONNECTS, "in the end they could not even connect"
    assert len(backend.asked) <= 11 + 250 * (ATTACKERS + 1)


# Beginnings that never end.

STALLS = {
    "nothing": b"",
    "half of a hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20),
    "a record that never comes": b"\x16\x03\x01\x40\x00",
}
CROWD = 200


async def stall(port: int, data: bytes) -> bool:
    """Begin and say no more; whether the gateway hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await asyncio.wait_for(_rest(reader), 30)
        return True
    finally:
        writer.transport.abort()


async def test_tls_handshakes_that_stall(gateway: Serve, backend: Backend, trust: Trust) -> None:
    running = gateway(CONFIG.format(url=backend.url), listen=trust.listen)
    everything = list(STALLS.values())

    async def attack() -> None:
        assert all(await asyncio.gather(*(stall(running.port, everything[n % 3]) for n in range(CROWD // ATTACKERS))))

    await unharmed(running, running.url, attack, verify=trust.client)
    failures = {labels.get("reason"): n for name, labels, n in running.samples() if "handshake_failures" in name}
    assert failures["timeout"] == CROWD + CROWD // ATTACKERS


BEGINNINGS = {
    "garbage": b"garbage " * 100,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without an end": b"PROXY TCP4 " + b"1" * 500,
    "half of a header": b"PROXY TCP4 192.0.2.1 192.0",
    "nothing": b"",
    "a length that never comes": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff" + bytes(100),
}


async def test_proxies_that_do_not_begin_as_they_must(gateway: Serve, backend: Backend) -> None:
    listen = '{address: "127.0.0.1:0", proxy_protocol: [127.0.0.1]}'
    running = gateway(CONFIG.format(url=backend.url), listen=listen)
    everything = list(BEGINNINGS.values())

    async def attack() -> None:
        assert all(await asyncio.gather(*(stall(running.port, data) for data in everything)))

    await unharmed(running, running.url, attack)  # 127.0.0.2 is no proxy
    refused = {labels.get("reason"): count for name, labels, count in running.samples() if "refused" in name}
    assert refused["proxy_protocol"] == len(everything) * (ATTACKERS + 1)
    assert len(backend.asked) == 10
