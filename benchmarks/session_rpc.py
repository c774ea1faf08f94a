"""Small requests over one session, beside the same requests as REST with their credentials each time.

One at a time, and `--clients` of them on their way. Run it as `python -m benchmarks.session_rpc`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import ours, peers, procfs
from benchmarks.harness import main, options, progress, workplace
from benchmarks.peers import Server
from benchmarks.processes import BenchmarkError, cores, first_line, module, running
from benchmarks.report import Cell, median, ratio, save, table

KINDS = ("rest", "session")
_WARM_UP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the clients saw; `up` and `down` are bytes on the wire."""

    requests: int
    bad: int
    seconds: float
    up: int
    down: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One run: what the load saw and what the server used."""

    load: Load
    server_ns: int

    @property
    def us_per_request(self) -> float:
        """Server processor time."""
        return self.server_ns / self.load.requests / 1000


Runs = dict[tuple[str, int], list[Talk]]  # by kind and requests on their way


def session_rpc(args: argparse.Namespace) -> Runs:
    """Both ways in turn, as often as `--repeat` says."""
    runs: Runs = defaultdict(list)
    with workplace() as (stack, folder):
        server = ours.sessions(stack, folder, peers.canned_upstream(stack, folder))
        for kind in KINDS:
            _press(server, kind, args.clients, _WARM_UP, folder)
        for number in range(args.repeat):
            progress(server, number, args.repeat)
            for flight in (1, args.clients):
                for kind in KINDS:
                    runs[kind, flight].append(_measure(server, kind, flight, args.seconds, folder))
    return runs


def _measure(server: Server, kind: str, flight: int, seconds: float, folder: Path) -> Talk:
    before = procfs.cpu_ns(server.pid)
    load = _press(server, kind, flight, seconds, folder)
    if load.bad or not load.requests:
        raise BenchmarkError(f"{kind}: {load.bad} of {load.requests} requests failed")
    return Talk(load=load, server_ns=procfs.cpu_ns(server.pid) - before)


def _press(server: Server, kind: str, flight: int, seconds: float, folder: Path) -> Load:
    log = folder / "load.log"
    command = module("load_rpc", kind, str(server.port), str(flight), str(seconds))
    with running(command, log, core=cores()[1]) as child:
        return Load(**json.loads(first_line(child, log)))


def show(runs: Runs) -> None:
    """One table; the ratio is the median of the runs' own."""
    head = ["way", "at once", "CPU µs/request", "x REST", "req/s", "bytes up", "bytes down", "p50 ms", "p99 ms"]
    rows = [_row(kind, flight, runs) for kind, flight in runs]
    print("\n" + table("small requests with 600 bytes of credentials", head, rows), flush=True)


def _row(kind: str, flight: int, runs: Runs) -> list[Cell]:
    mine, rest = runs[kind, flight], runs["rest", flight]
    return [
        kind,
        flight,
        median([each.us_per_request for each in mine]),
        ratio([each.us_per_request for each in mine], [each.us_per_request for each in rest]),
        median([each.load.requests / each.load.seconds for each in mine]),
        median([each.load.up / each.load.requests for each in mine]),
        median([each.load.down / each.load.requests for each in mine]),
        median([each.load.p50_ms for each in mine]),
        median([each.load.p99_ms for each in mine]),
    ]


def results(runs: Runs) -> list[dict[str, object]]:
    """Every single run, for the JSON."""
    return [
        {
            "server": kind,
            "at_once": flight,
            "us_per_request": median([each.us_per_request for each in talks]),
            "runs": [{**asdict(each.load), "server_ns": each.server_ns} for each in talks],
        }
        for (kind, flight), talks in runs.items()
    ]


def run() -> None:
    args = options(__doc__ or "", clients=32, seconds=3.0, repeat=3).parse_args()
    runs = session_rpc(args)
    show(runs)
    print(f"\nwritten to {save('session_rpc', vars(args), results(runs), args.json)}")


if __name__ == "__main__":
    main(run)
