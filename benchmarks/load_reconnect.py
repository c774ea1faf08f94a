"""The clients of `reconnect`: `load_reconnect PORT PATH CLIENTS SECONDS` prints one line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

from benchmarks.processes import raise_file_limit

# Of the 28,000 ports that an address has to give.
_PER_ADDRESS = 2000


class Comer(asyncio.Protocol):
    """A client that asks for a WebSocket and notes when it has it."""

    def __init__(self, request: bytes, began: float, upgraded: list[float], full: asyncio.Event, count: int) -> None:
        self._request = request
        self._began = began
        self._upgraded = upgraded
        self._full = full
        self._count = count
        self._head = b""
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return  # frames are of no interest
        self._head += data
        self._answered = b"\r\n\r\n" in self._head
        if self._answered and self._head.startswith(b"HTTP/1.1 101 "):
            self._upgraded.append(time.monotonic() - self._began)
            if len(self._upgraded) == self._count:
                self._full.set()


async def storm(port: int, path: str, clients: int, seconds: float) -> dict[str, object]:
    """All at once; what became of them."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    loop, full = asyncio.get_running_loop(), asyncio.Event()
    times: list[float] = []
    began = time.monotonic()

    async def come(number: int) -> asyncio.BaseTransport:
        address = f"127.0.0.{2 + number // _PER_ADDRESS}"
        comer = Comer(request, began, times, full, clients)
        transport, _ = await loop.create_connection(lambda: comer, "127.0.0.1", port, local_addr=(address, 0))
        return transport

    comings = asyncio.gather(*map(come, range(clients)), return_exceptions=True)
    try:
        async with asyncio.timeout(seconds):
            came = await comings
            await full.wait()
    except TimeoutError:
        came = []
    took = time.monotonic() - began
    for transport in came:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
    times.sort()
    percentiles = {name: times[len(times) * which // 100] if times else 0.0 for name, which in _SHOWN}
    return {"upgraded": len(times), "seconds": took, **percentiles}


_SHOWN = (("p50", 50), ("p99", 99))

if __name__ == "__main__":
    raise_file_limit()
    port, path, clients, seconds = sys.argv[1:]
    print(json.dumps(uvloop.run(storm(int(port), path, int(clients), float(seconds)))), flush=True)
