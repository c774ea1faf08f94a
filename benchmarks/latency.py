"""Latency: from publishing a message until the last of many clients has it, while the server has nothing else to do.

A message is published every `--pause` milliseconds, after the one before has reached everyone. The time includes the
load client's own, which reads from every socket on a core that it shares with the publisher. `--from webhook` posts
signed deliveries in place of that, whose messages sessions follow, and says what one costs that nobody follows.
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
SOCKET, WEBHOOK = "socket", "webhook"


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


def webhooks(args: argparse.Namespace) -> Runs:
    """Deliveries to sessions, and alone."""
    phase = Phase(name="paced", messages=args.messages, window=1, warmup=5, pause=args.pause / 1000)
    runs: Runs = defaultdict(list)
    with workplace() as (stack, folder):
        server = ours.webhooks(stack, folder)
        for number in range(args.repeat):
            progress(server, number, args.repeat)
            job = Job(
                port=server.port,
                path=server.path,
                server=server.pid,
                clients=args.clients,
                entrance=server.entrance,
                size=128,
                phases=(phase,),
                seconds=args.seconds,
            )
            for outcome in play(job, folder, "load_webhooks"):
                runs[f"{server.name}, {outcome.phase}"].append(outcome)
    return runs


def run() -> None:
    parser = options(__doc__ or "", clients=1000, messages=200, seconds=30.0, repeat=3)
    parser.add_argument("--pause", type=int, default=20, metavar="MS", help="before each message; default 20")
    parser.add_argument("--from", dest="origin", choices=(SOCKET, WEBHOOK), default=SOCKET, help="default: socket")
    args = parser.parse_args()
    runs = webhooks(args) if args.origin == WEBHOOK else latency(args)
    rows: list[list[Cell]] = [
        [
            name,
            median([each.p50_ms for each in outcomes]),
            median([each.p99_ms for each in outcomes]),
            median([each.server_ns / each.messages / 1000 for each in outcomes]),
        ]
        for name, outcomes in runs.items()
    ]
    origin = "webhook in" if args.origin == WEBHOOK else "publish"
    head = ["server", "p50 ms", "p99 ms", "CPU µs/message"]
    print("\n" + table(f"{origin} to the last of {args.clients} clients", head, rows))
    results: list[dict[str, object]] = [
        {
            "server": name,
            "p50_ms": [e.p50_ms for e in each],
            "p99_ms": [e.p99_ms for e in each],
            "us_per_message": [e.server_ns / e.messages / 1000 for e in each],
        }
        for name, each in runs.items()
    ]
    print(f"\nwritten to {save('latency', vars(args), results, args.json)}")


if __name__ == "__main__":
    main(run)
