"""Pass-through: what a small GET costs between a load generator and a backend that answers at once.

The gateway has routing, metrics and its access log on; the peers have their access logs on. Run it as
`python -m benchmarks.proxy`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks import ours, peers, procfs
from benchmarks.harness import guests, main, options, progress, workplace
from benchmarks.load_http import Load, press
from benchmarks.peers import Server, Start
from benchmarks.processes import BenchmarkError
from benchmarks.report import Cell, median, ratio, save, table

_WARM_UP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One run: what the load saw and what the server used."""

    load: Load
    server_ns: int
    wait_ns: int

    @property
    def us_per_request(self) -> float:
        """Server processor time."""
        return self.server_ns / self.load.requests / 1000

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.load.requests / self.load.seconds

    @property
    def idle(self) -> float:
        """The share of time in which the server had nothing to do: the load or the backend was the limit."""
        return max(0.0, 1 - (self.server_ns + self.wait_ns) / self.load.seconds / 1e9)


Runs = dict[str, list[Pass]]


def proxy(args: argparse.Namespace) -> Runs:
    """Every server in turn, as often as `--repeat` says."""
    runs: Runs = defaultdict(list)
    with workplace() as (stack, folder):
        upstream = peers.canned_upstream(stack, folder, numbered=args.numbered)
        starts: list[Start] = [] if args.peers_only else [partial(ours.proxy, upstream=upstream)]
        servers = [start(stack, folder) for start in [*starts, *guests(args.vs, _known(upstream))]]
        for server in servers:
            press(server.port, args.clients, _WARM_UP, folder)
        for number in range(args.repeat):
            for server in servers:
                progress(server, number, args.repeat)
                runs[server.name].append(measure(server, args, folder))
    return runs


def _known(upstream: int) -> dict[str, tuple[Start, ...]]:
    clients = ("aiohttp", "httpx2")
    return {
        "nginx": (partial(peers.nginx_proxy, upstream=upstream),),
        "starlette": tuple(partial(peers.starlette_proxy, upstream=upstream, client=each) for each in clients),
    }


def measure(server: Server, args: argparse.Namespace, folder: Path) -> Pass:
    """One run of one server."""
    ran, waited = procfs.cpu_ns(server.pid), procfs.wait_ns(server.pid)
    load = press(server.port, args.clients, args.seconds, folder)
    if load.bad or not load.requests:
        raise BenchmarkError(f"{server.name} failed {load.bad} of {load.requests} requests")
    ran, waited = procfs.cpu_ns(server.pid) - ran, procfs.wait_ns(server.pid) - waited
    return Pass(load=load, server_ns=ran, wait_ns=waited)


def show(runs: Runs) -> None:
    """One table; ratios to nginx are medians of the runs' own."""
    head = ["server", "CPU µs/request", "CPU x nginx", "req/s", "rate x nginx", "idle", "p50 ms", "p99 ms"]
    print("\n" + table("pass-through of a small GET", head, [_row(name, runs) for name in runs]), flush=True)


def _row(name: str, runs: Runs) -> list[Cell]:
    mine, nginx = runs[name], runs.get("nginx", [])
    return [
        name,
        median([each.us_per_request for each in mine]),
        ratio([each.us_per_request for each in mine], [each.us_per_request for each in nginx]),
        median([each.rate for each in mine]),
        ratio([each.rate for each in mine], [each.rate for each in nginx]),
        median([each.idle for each in mine]),
        median([each.load.p50_ms for each in mine]),
        median([each.load.p99_ms for each in mine]),
    ]


def results(runs: Runs) -> list[dict[str, object]]:
    """Every single run, for the JSON."""
    return [
        {
            "server": name,
            "us_per_request": median([each.us_per_request for each in passes]),
            "requests_per_second": median([each.rate for each in passes]),
            "runs": [{**asdict(each.load), "server_ns": each.server_ns, "idle": each.idle} for each in passes],
        }
        for name, passes in runs.items()
    ]


def run() -> None:
    parser = options(__doc__ or "", clients=32, seconds=5.0, repeat=3)
    parser.add_argument("--numbered", action="store_true", help="no two answers of the backend have the same head")
    args = parser.parse_args()
    runs = proxy(args)
    show(runs)
    print(f"\nwritten to {save('proxy', vars(args), results(runs), args.json)}")


if __name__ == "__main__":
    main(run)
