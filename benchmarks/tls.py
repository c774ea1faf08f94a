"""TLS: what a handshake, a megabyte and an idle WebSocket cost the server with it, and without.

The client is this program, on the load's core: blocking sockets, one after the other. Run it as
`python -m benchmarks.tls`.
"""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import time
from collections import defaultdict
from contextlib import ExitStack

from benchmarks import ours, procfs
from benchmarks.harness import main, options, workplace
from benchmarks.processes import BenchmarkError, cores
from benchmarks.report import Cell, median, save, table

_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_OPEN = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_SETTLE = 0.5
_FIRST = 20

Runs = dict[str, list[dict[str, float]]]


def connect(port: int, *, secure: bool) -> socket.socket:
    """A connection; with TLS its handshake is done, and in full: each has a context of its own."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    if not secure:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(sock, server_hostname="localhost")


def handshakes(pid: int, port: int, count: int, *, secure: bool) -> dict[str, float]:
    """Connections made and closed, one after the other."""
    before, began = procfs.cpu_ns(pid), time.perf_counter()
    for _ in range(count):
        connect(port, secure=secure).close()
    seconds = time.perf_counter() - began
    time.sleep(_SETTLE)
    cost = (procfs.cpu_ns(pid) - before) / count / 1000
    return {
        "us_per_connection": cost,
        "connections_per_core_second": 1e6 / cost,
        "connections_per_second": count / seconds,
    }


def bulk(pid: int, port: int, *, secure: bool) -> dict[str, float]:
    """One large answer."""
    with connect(port, secure=secure) as sock:
        before, size = procfs.cpu_ns(pid), 0
        sock.sendall(_GET)
        while data := sock.recv(256 * 1024):
            size += len(data)
        cost = procfs.cpu_ns(pid) - before
    return {"us_per_megabyte": cost / 1000 / (size / 2**20), "megabytes_per_core_second": size / 2**20 / (cost / 1e9)}


def idle(pid: int, port: int, count: int, *, secure: bool) -> dict[str, float]:
    """WebSockets that are open and silent."""
    with ExitStack() as stack:
        for number in range(_FIRST + count):
            if number == _FIRST:
                time.sleep(_SETTLE)
                before = procfs.pss(pid)
            sock = stack.enter_context(connect(port, secure=secure))
            sock.sendall(_OPEN)
            if not sock.recv(1024).startswith(b"HTTP/1.1 101"):
                raise BenchmarkError("the server opened no WebSocket")
        time.sleep(_SETTLE)
        return {"bytes_per_websocket": (procfs.pss(pid) - before) / count}


def tls(args: argparse.Namespace) -> Runs:
    """Without and with, in turn; a server of its own for each run, because freed memory would hide the next."""
    runs: Runs = defaultdict(list)
    core = cores()[1]
    if core is not None:
        os.sched_setaffinity(0, {core})
    for number in range(args.repeat):
        for name, secure in (("without", False), ("with TLS", True)):
            with workplace() as (stack, folder):
                pid, plain, port = ours.tls(stack, folder)
                target = port if secure else plain
                handshakes(pid, target, _FIRST, secure=secure)
                figures = idle(pid, target, args.clients, secure=secure)
                figures |= handshakes(pid, target, args.clients, secure=secure)
                figures |= bulk(pid, target, secure=secure)
                runs[name].append(figures)
            print(f"run {number + 1} of {args.repeat}: {name}", flush=True)
    return runs


def figure(runs: Runs, name: str, key: str) -> float:
    return median([run[key] for run in runs[name]])


def show(runs: Runs) -> None:
    rows: list[list[Cell]] = [
        [
            name,
            figure(runs, name, "us_per_connection"),
            figure(runs, name, "connections_per_core_second"),
            figure(runs, name, "us_per_megabyte"),
            figure(runs, name, "megabytes_per_core_second"),
            figure(runs, name, "bytes_per_websocket") / 1024,
        ]
        for name in runs
    ]
    head = ["", "CPU µs/connection", "connections/s of a core", "CPU µs/MB sent", "MB/s of a core", "KB/idle WebSocket"]
    print("\n" + table("TLS", head, rows), flush=True)


def run() -> None:
    args = options(__doc__ or "", clients=1000, repeat=3).parse_args()
    runs = tls(args)
    show(runs)
    results = [{"server": name, "runs": figures} for name, figures in runs.items()]
    print(f"\nwritten to {save('tls', vars(args), results, args.json)}")


if __name__ == "__main__":
    main(run)
