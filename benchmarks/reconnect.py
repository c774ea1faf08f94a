"""Reconnect: everybody comes back at once, as after a restart: how long until all have their WebSocket again.

The clients connect in one go, each with its own handshake, from several addresses of loopback, because one has no
more than 28,000 ports. Nobody may be refused. Run it as `python -m benchmarks.reconnect`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ours, procfs
from benchmarks.harness import main, options, progress, workplace
from benchmarks.peers import Server
from benchmarks.processes import BenchmarkError, cores, first_line, module, running
from benchmarks.report import Cell, median, save, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """`seconds` until the last was upgraded; `p50` and `p99` of the clients' own waiting; `server_ns` for all."""

    clients: int
    upgraded: int
    seconds: float
    p50: float
    p99: float
    server_ns: int


def reconnect(args: argparse.Namespace) -> list[Storm]:
    """The same storm several times, on one server."""
    storms = []
    with workplace() as (stack, folder):
        server = ours.gateway(stack, folder)
        for number in range(args.repeat):
            progress(server, number, args.repeat)
            storms.append(_storm(server, args, folder))
    return storms


def _storm(server: Server, args: argparse.Namespace, folder: Path) -> Storm:
    log = folder / "storm.log"
    before = procfs.cpu_ns(server.pid)
    command = module("load_reconnect", str(server.port), server.path, str(args.clients), str(args.seconds))
    with running(command, log, core=cores()[1]) as child:
        seen = json.loads(first_line(child, log))
        storm = Storm(**seen, clients=args.clients, server_ns=procfs.cpu_ns(server.pid) - before)
    if storm.upgraded < storm.clients:
        raise BenchmarkError(f"{storm.clients - storm.upgraded} of {storm.clients} were not upgraded")
    return storm


def run() -> None:
    args = options(__doc__ or "", clients=10_000, seconds=30.0, repeat=3).parse_args()
    storms = reconnect(args)
    rows: list[list[Cell]] = [
        [
            args.clients,
            median([each.seconds for each in storms]),
            max(each.seconds for each in storms),
            median([each.p50 for each in storms]),
            median([each.p99 for each in storms]),
            median([each.server_ns / each.clients / 1000 for each in storms]),
        ]
    ]
    head = ["clients", "all after s", "worst s", "p50 s", "p99 s", "server CPU µs each"]
    print("\n" + table("everybody comes back at once", head, rows), flush=True)
    kept = [{"server": "tidegate", **{name: getattr(each, name) for name in Storm.__slots__}} for each in storms]
    print(f"\nwritten to {save('reconnect', vars(args), kept, args.json)}")


if __name__ == "__main__":
    main(run)
