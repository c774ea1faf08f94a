"""Memory: what an idle WebSocket with one subscription costs a server, in user memory (Pss).

A few connections come and go first, so that code and caches are loaded before the first reading; garbage is
collected before both. Run it as `python -m benchmarks.memory`.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks import ours, peers, procfs
from benchmarks.harness import guests, hold, main, options, progress, workplace
from benchmarks.job import Job
from benchmarks.peers import Server, Start
from benchmarks.report import Cell, median, save, table

_FIRST = 20
_SETTLE = 0.5
_KNOWN = {"nchan": (peers.nchan,), "starlette": (peers.starlette,)}

Runs = dict[str, list[float]]  # bytes for each connection, by server


def memory(args: argparse.Namespace) -> Runs:
    """Every server in turn, started anew for each run: freed memory would hide what the next run takes."""
    runs: Runs = defaultdict(list)
    with workplace() as (_, folder):
        starts = [*([] if args.peers_only else [ours.gateway]), *guests(args.vs, _KNOWN)]
        for number in range(args.repeat):
            for index, start in enumerate(starts):
                place = folder / f"{number}.{index}"
                place.mkdir()
                _measure(start, args, runs, place, number)
    return runs


def _measure(start: Start, args: argparse.Namespace, runs: Runs, folder: Path, number: int) -> None:
    with ExitStack() as stack:
        server = start(stack, folder)
        progress(server, number, args.repeat)
        with ExitStack() as brief:
            hold(_job(server, _FIRST), brief, folder)
        before = _reading(server)
        hold(_job(server, args.clients), stack, folder)
        runs[server.name].append((_reading(server) - before) / args.clients)


def _job(server: Server, clients: int) -> Job:
    return Job(port=server.port, path=server.fresh()[0], server=server.pid, clients=clients)


def _reading(server: Server) -> int:
    time.sleep(_SETTLE)
    server.collect()
    return procfs.pss(server.pid)


def run() -> None:
    args = options(__doc__ or "", clients=2000, repeat=3).parse_args()
    runs = memory(args)
    kilobytes = {name: [each / 1024 for each in found] for name, found in runs.items()}
    rows: list[list[Cell]] = [[name, median(found), min(found), max(found)] for name, found in kilobytes.items()]
    head = ["server", "KB/connection", "least", "most"]
    print("\n" + table("user memory of an idle WebSocket", head, rows), flush=True)
    results = [{"server": name, "kb": median(found), "runs": found} for name, found in kilobytes.items()]
    print(f"\nwritten to {save('memory', vars(args), results, args.json)}")


if __name__ == "__main__":
    main(run)
