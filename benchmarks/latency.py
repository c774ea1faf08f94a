"""Latency: from publishing a message until the last of many clients has it, while the server has nothing else to do.

A message is published every `--pause` milliseconds, after the one before has reached everyone. The time includes the
load client's own, which reads from every socket on a core that it shares with the publisher.
Run it as `python -m benchmarks.latency`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

from benchmarks import ours
from benchmarks.fanout import lanes
from benchmarks.frames import COUNTERS
from benchmarks.harness import main, options, play, progress, workplace
from benchmarks.job import Job, Outcome, Phase
from benchmarks.report import Cell, median, save, table

Runs = dict[str, list[Outcome]]


def latency(args: argparse.Namespace) -> Runs:
    """Every transport in turn, as often as `--repeat` says."""
    phase = Phase(name="paced", messages=args.messages, window=1, warmup=5, pause=args.pause / 1000)
    runs: Runs = defaultdict(list)
    with workplace() as (stack, folder):
        gateway = ours.gateway(stack, folder)
        for number in range(args.repeat):
            for server, transport in lanes([gateway], list(COUNTERS)):
                progress(server, number, args.repeat)
                path, entrance = server.fresh()
                job = Job(
                    port=server.port,
                    path=path,
                    server=server.pid,
                    clients=args.clients,
                    entrance=entrance,
                    size=128 - server.adds + 60,
                    phases=(phase,),
                    seconds=args.seconds,
                    transport=transport,
                )
                runs[server.name] += play(job, folder)
    return runs


def run() -> None:
    parser = options(__doc__ or "", clients=1000, messages=200, seconds=30.0, repeat=3)
    parser.add_argument("--pause", type=int, default=20, metavar="MS", help="before each message; default 20")
    args = parser.parse_args()
    runs = latency(args)
    rows: list[list[Cell]] = [
        [name, median([each.p50_ms for each in outcomes]), median([each.p99_ms for each in outcomes])]
        for name, outcomes in runs.items()
    ]
    print("\n" + table(f"publish to the last of {args.clients} clients", ["server", "p50 ms", "p99 ms"], rows))
    results: list[dict[str, object]] = [
        {"server": name, "p50_ms": [e.p50_ms for e in each], "p99_ms": [e.p99_ms for e in each]}
        for name, each in runs.items()
    ]
    print(f"\nwritten to {save('latency', vars(args), results, args.json)}")


if __name__ == "__main__":
    main(run)
