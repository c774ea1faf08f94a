"""The load of `proxy`: wrk where it is installed, else a client of our own, which is slower and says so.

As a program it is that client: `python -m benchmarks.load_http PORT CONNECTIONS SECONDS`.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.processes import BenchmarkError, cores, first_line, module, running

PATH = "/api/orders/7"
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}
_REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: benchmark\r\n\r\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the load saw: answers, those that were not 2xx, and how long they took."""

    tool: str
    requests: int
    bad: int
    seconds: float
    p50_ms: float
    p99_ms: float


def press(port: int, connections: int, seconds: float, folder: Path) -> Load:
    """Small GETs on kept-alive connections."""
    return (_wrk if shutil.which("wrk") else _own)(port, connections, seconds, folder)


def _wrk(port: int, connections: int, seconds: float, folder: Path) -> Load:
    url = f"http://127.0.0.1:{port}{PATH}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", url]
    with running(command, folder / "wrk.log", core=cores()[1]) as child:
        assert child.stdout is not None
        return read_wrk(child.stdout.read())


def read_wrk(text: str) -> Load:
    """wrk's report."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    if total is None:
        raise BenchmarkError(f"wrk said: {text[-500:]!r}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        tool="wrk",
        requests=int(total[1]),
        bad=(int(refused[1]) if refused else 0) + sum(map(int, errors.groups()) if errors else ()),
        seconds=float(total[2]) * _UNITS[total[3]] / 1000,
        p50_ms=_percentile(text, 50),
        p99_ms=_percentile(text, 99),
    )


def _percentile(text: str, which: int) -> float:
    found = re.search(rf"{which}%\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(found[1]) * _UNITS[found[2]] if found else float("nan")


def _own(port: int, connections: int, seconds: float, folder: Path) -> Load:
    log = folder / "requests.log"
    command = module("load_http", str(port), str(connections), str(seconds))
    with running(command, log, core=cores()[1]) as child:
        return Load(**json.loads(first_line(child, log)))


class Asker(asyncio.Protocol):
    """One connection: a request, its answer, and the next request, until told to stop."""

    def __init__(self, times: list[float]) -> None:
        self._times = times
        self._began = 0.0
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None
        self.bad = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._ask()

    def _ask(self) -> None:
        if self._transport is not None:
            self._began = time.perf_counter()
            self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, blank, body = self._data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if not blank or (length and len(body) < int(length[1])):
            return
        self._data = b""
        self.bad += not head.startswith(b"HTTP/1.1 2")
        self._times.append(time.perf_counter() - self._began)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self._transport is not None
        self._transport = None

    def stop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


async def ask(port: int, connections: int, seconds: float) -> dict[str, object]:
    """Our own client's whole work; the fields of a `Load`."""
    times: list[float] = []
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Asker(times), "127.0.0.1", port) for _ in range(connections)]
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    askers = [asker for _, asker in made]
    for asker in askers:
        asker.stop()
    times.sort()
    milliseconds = [times[len(times) * which // 100] * 1000 for which in (50, 99)] if times else [0.0, 0.0]
    return {
        "tool": "own client",
        "requests": len(times),
        "bad": sum(asker.bad + asker.lost for asker in askers),
        "seconds": took,
        "p50_ms": milliseconds[0],
        "p99_ms": milliseconds[1],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(ask(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))), flush=True)
