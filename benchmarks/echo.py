"""Echo: what a WebSocket message costs a server, there and back, through a plain ASGI application.

Every client has one text on its way. Run it as `python -m benchmarks.echo`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

from benchmarks import ours, peers
from benchmarks.harness import guests, main, options, play, progress, workplace
from benchmarks.job import Job, Outcome, Phase
from benchmarks.report import Cell, median, ratio, save, table

_KNOWN = {"uvicorn": (peers.uvicorn_echo,), "hypercorn": (peers.hypercorn_echo,)}

Runs = dict[str, list[Outcome]]  # by server


def echo(args: argparse.Namespace) -> Runs:
    """Every server in turn, as often as `--repeat` says."""
    phase = Phase(name="echo", messages=args.messages, window=1, warmup=args.messages // 10)
    runs: Runs = defaultdict(list)
    with workplace() as (stack, folder):
        starts = [] if args.peers_only else [ours.echo, ours.tunnel]
        servers = [start(stack, folder) for start in [*starts, *guests(args.vs, _KNOWN)]]
        for number in range(args.repeat):
            for server in servers:
                progress(server, number, args.repeat)
                job = Job(
                    port=server.port,
                    path="/",
                    server=server.pid,
                    clients=args.clients,
                    size=args.size,
                    phases=(phase,),
                    seconds=args.seconds,
                )
                runs[server.name] += play(job, folder, "load_echo")
    return runs


def show(runs: Runs) -> None:
    """One table; the ratios are medians of the runs' own."""
    mine = [each.us_per_delivery for each in next(iter(runs.values()))]
    rows: list[list[Cell]] = []
    for name, outcomes in runs.items():
        cost = [each.us_per_delivery for each in outcomes]
        rows.append([name, median(cost), ratio(cost, mine), median([each.rate for each in outcomes])])
    print(
        "\n" + table("echo over WebSocket", ["server", "CPU µs/message", "x the first", "messages/s"], rows), flush=True
    )


def run() -> None:
    parser = options(__doc__ or "", clients=32, messages=50_000, seconds=10.0, repeat=3)
    parser.add_argument("--size", type=int, default=115, metavar="BYTES", help="of a text; default 115")
    args = parser.parse_args()
    runs = echo(args)
    show(runs)
    results = [
        {
            "server": name,
            "us_per_message": median([each.us_per_delivery for each in outcomes]),
            "runs": [{"messages": e.messages, "seconds": e.seconds, "server_ns": e.server_ns} for e in outcomes],
        }
        for name, outcomes in runs.items()
    ]
    print(f"\nwritten to {save('echo', vars(args), results, args.json)}")


if __name__ == "__main__":
    main(run)
