"""Hello: what a request costs when nothing is done for it: a plain ASGI application on HTTP/1.1.

Our server and its peers run the same few lines (`hello_app`), without access logs. Run it as
`python -m benchmarks.hello`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks import peers
from benchmarks.harness import guests, main, options, progress, workplace
from benchmarks.load_http import press
from benchmarks.peers import Server
from benchmarks.processes import cores, first_line, module, running
from benchmarks.proxy import Runs, measure, results
from benchmarks.report import Cell, median, ratio, save, table

_WARM_UP = 1.0
_KNOWN = {"uvicorn": (peers.uvicorn_hello,), "hypercorn": (peers.hypercorn_hello,)}


def wire(stack: ExitStack, folder: Path) -> Server:
    """Our server below the application."""
    log = folder / "hello.log"
    child = stack.enter_context(running(module("hello_app"), log, core=cores()[0]))
    return Server(name="tidegate, wire only", pid=child.pid, port=int(first_line(child, log)))


def hello(args: argparse.Namespace) -> Runs:
    """Every server in turn, as often as `--repeat` says."""
    runs: Runs = defaultdict(list)
    with workplace() as (stack, folder):
        starts = [*([] if args.peers_only else [wire]), *guests(args.vs, _KNOWN)]
        servers = [start(stack, folder) for start in starts]
        for server in servers:
            press(server.port, args.clients, _WARM_UP, folder)
        for number in range(args.repeat):
            for server in servers:
                progress(server, number, args.repeat)
                runs[server.name].append(measure(server, args, folder))
    return runs


def run() -> None:
    args = options(__doc__ or "", clients=32, seconds=3.0, repeat=3).parse_args()
    runs = hello(args)
    ours = [each.us_per_request for each in runs.get("tidegate, wire only", [])]
    rows: list[list[Cell]] = []
    for name, passes in runs.items():
        cpu = [each.us_per_request for each in passes]
        rate = median([each.rate for each in passes])
        rows.append([name, median(cpu), ratio(cpu, ours), rate, median([each.load.p99_ms for each in passes])])
    head = ["server", "CPU µs/request", "CPU x ours", "req/s", "p99 ms"]
    print("\n" + table("hello of a plain ASGI application", head, rows), flush=True)
    print(f"\nwritten to {save('hello', vars(args), results(runs), args.json)}")


if __name__ == "__main__":
    main(run)
