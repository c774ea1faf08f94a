"""Small requests over one session, beside the same requests as REST with their credentials each time.

One at a time, and `--clients` of them on their way; to a backend that looks at the credentials itself, and on routes
where the gateway does: at those of each REST request, and once at those of the session. Run it as
`python -m benchmarks.session_rpc`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import ours, peers, procfs
from benchmarks.harness import main, options, progress, workplace
from benchmarks.load_rpc import CREDENTIALS
from benchmarks.peers import Server
from benchmarks.processes import BenchmarkError, cores, first_line, module, running
from benchmarks.report import Cell, median, ratio, save, table

KINDS = ("rest", "session")
CHECKS = ("backend", "gateway")  # who looks at the credentials
_WARM_UP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the clients saw; `up` and `down` are bytes on the wire, `answers` the bodies that came."""

    requests: int
    bad: int
    seconds: float
    up: int
    down: int
    p50_ms: float
    p99_ms: float
    answers: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One run: what the load saw and what the server used."""

    load: Load
    server_ns: int

    @property
    def us_per_request(self) -> float:
        """Server processor time."""
        return self.server_ns / self.load.requests / 1000


@dataclass(frozen=True, slots=True)
class Way:
    """How requests are made: as what, how many at once, and who looks at their credentials."""

    kind: str
    flight: int
    checks: str

    @property
    def rest(self) -> Way:
        """The same as REST."""
        return replace(self, kind="rest")


Runs = dict[Way, list[Talk]]


def session_rpc(args: argparse.Namespace) -> Runs:
    """All ways in turn, as often as `--repeat` says."""
    runs: Runs = defaultdict(list)
    ways = [Way(kind, flight, checks) for checks in CHECKS for flight in (1, args.clients) for kind in KINDS]
    with workplace() as (stack, folder):
        server = ours.sessions(stack, folder, peers.canned_upstream(stack, folder))
        for way in ways:
            if way.flight == args.clients:
                _press(server, way, _WARM_UP, folder)
        for number in range(args.repeat):
            progress(server, number, args.repeat)
            for way in ways:
                runs[way].append(_measure(server, way, args.seconds, folder))
    answers = {answer for talks in runs.values() for talk in talks for answer in talk.load.answers}
    if len(answers) != 1:
        raise BenchmarkError(f"the ways have different answers: {sorted(answers)}")
    return runs


def _measure(server: Server, way: Way, seconds: float, folder: Path) -> Talk:
    before = procfs.cpu_ns(server.pid)
    load = _press(server, way, seconds, folder)
    if load.bad or not load.requests:
        raise BenchmarkError(f"{way}: {load.bad} of {load.requests} requests failed")
    return Talk(load=load, server_ns=procfs.cpu_ns(server.pid) - before)


def _press(server: Server, way: Way, seconds: float, folder: Path) -> Load:
    log = folder / "load.log"
    token = [ours.token()] if way.checks == "gateway" else []
    command = module("load_rpc", way.kind, str(server.port), str(way.flight), str(seconds), *token)
    with running(command, log, core=cores()[1]) as child:
        return Load(**json.loads(first_line(child, log)))


def show(runs: Runs) -> None:
    """One table; the ratio is the median of the runs' own."""
    costs = ["CPU µs/request", "x REST", "req/s", "bytes up", "bytes down", "p50 ms", "p99 ms"]
    rows = [_row(way, runs) for way in runs]
    title = f"small requests with {CREDENTIALS} bytes of credentials"
    print("\n" + table(title, ["checked by", "at once", "way", *costs], rows), flush=True)


def _row(way: Way, runs: Runs) -> list[Cell]:
    mine, rest = runs[way], runs[way.rest]
    return [
        way.checks,
        way.flight,
        way.kind,
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
            "server": way.kind,
            "at_once": way.flight,
            "checked_by": way.checks,
            "us_per_request": median([each.us_per_request for each in talks]),
            "runs": [{**asdict(each.load), "server_ns": each.server_ns} for each in talks],
        }
        for way, talks in runs.items()
    ]


def run() -> None:
    args = options(__doc__ or "", clients=32, seconds=3.0, repeat=3).parse_args()
    runs = session_rpc(args)
    show(runs)
    print(f"\nwritten to {save('session_rpc', vars(args), results(runs), args.json)}")


if __name__ == "__main__":
    main(run)
