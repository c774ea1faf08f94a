"""Fan-out: what it costs a server to bring one message to many WebSocket clients.

Two regimes: one message at a time, each only after the one before reached everyone; and saturated, with
`--window` messages on their way. Run it as `python -m benchmarks.fanout`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from benchmarks import ours, peers
from benchmarks.frames import COUNTERS
from benchmarks.harness import guests, main, options, play, progress, workplace
from benchmarks.job import Job, Outcome, Phase
from benchmarks.report import Cell, median, ratio, save, table

ONE, MANY = "one at a time", "saturated"
_KNOWN = {
    "loop": (peers.c_loop, peers.joined_c_loop, peers.python_loop),
    "nchan": (peers.nchan,),
    "starlette": (peers.starlette,),
}
_SESSION = len('{"op":"event","channel":"/feeds/10","event":}')  # what sessions write around an event
_SATURATED_FACTOR = 10  # saturated messages are so much cheaper that as many would be over within a blink

Runs = dict[str, dict[str, list[Outcome]]]  # by phase, then by server


def fanout(args: argparse.Namespace) -> Runs:
    """Every server in turn, as often as `--repeat` says."""
    phases = (
        Phase(name=ONE, messages=args.messages, window=1, warmup=min(20, args.messages)),
        Phase(name=MANY, messages=args.messages * _SATURATED_FACTOR, window=args.window, warmup=args.window),
    )
    runs: Runs = defaultdict(lambda: defaultdict(list))
    with workplace() as (stack, folder):
        starts = [] if args.peers_only else [ours.gateway, ours.wire]
        servers = [start(stack, folder) for start in [*starts, *guests(args.vs, _KNOWN)]]
        for number in range(args.repeat):
            for server, transport in lanes(servers, args.transport):
                progress(server, number, args.repeat)
                for outcome in play(_job(server, args, phases, transport), folder):
                    runs[outcome.phase][server.name].append(outcome)
            for server in servers if args.channels else ():
                if server.name == ours.NAME:
                    name = f"{ours.NAME}, {args.each} of {args.channels} channels"
                    progress(replace(server, name=name), number, args.repeat)
                    for outcome in play(_scattered(server, args, phases), folder, "load_channels"):
                        runs[outcome.phase][name].append(outcome)
    return runs


def lanes(servers: list[peers.Server], transports: list[str]) -> Iterator[tuple[peers.Server, str]]:
    """Each server with what its clients speak: the gateway with every transport, the others with their only one."""
    for server in servers:
        if server.name != ours.NAME:
            yield server, "websocket"
            continue
        for transport in transports:
            name = ours.NAME if transport == "websocket" else f"{ours.NAME}, {transport}"
            yield replace(server, name=name), transport


def _job(server: peers.Server, args: argparse.Namespace, phases: tuple[Phase, ...], transport: str) -> Job:
    path, entrance = server.fresh()
    return Job(
        port=server.port,
        path=path,
        server=server.pid,
        clients=args.clients,
        entrance=entrance,
        size=max(args.size - server.adds, 10),
        phases=phases,
        seconds=args.seconds,
        transport=transport,
        stalled=args.clients * args.slow // 100 if server.name.startswith(ours.NAME) else 0,
    )


def _scattered(server: peers.Server, args: argparse.Namespace, phases: tuple[Phase, ...]) -> Job:
    """Sessions that follow some of many channels."""
    job = _job(server, args, phases, "websocket")
    return replace(
        job, path="/live", size=max(job.size - _SESSION, 10), stalled=0, channels=args.channels, each=args.each
    )


def show(runs: Runs) -> None:
    """A table for each regime; the ratios are medians of the runs' own."""
    head = ["server", "CPU µs/delivery", "x C loop", "x Nchan", "deliveries/s", "p50 ms", "p99 ms", "bytes"]
    for phase, servers in runs.items():
        rows = [_row(name, servers, phase) for name in servers]
        print("\n" + table(f"fan-out, {phase}", head, rows), flush=True)


def _row(name: str, servers: dict[str, list[Outcome]], phase: str) -> list[Cell]:
    mine = servers[name]
    cost = [each.us_per_delivery for each in mine]
    latency = [median([e.p50_ms for e in mine]), median([e.p99_ms for e in mine])]
    return [
        name,
        median(cost),
        ratio(cost, [each.us_per_delivery for each in servers.get("C loop", [])]),
        ratio(cost, [each.us_per_delivery for each in servers.get("nginx + Nchan", [])]),
        median([each.rate for each in mine]),
        *(latency if phase == ONE else (None, None)),
        median([each.wire_bytes / each.deliveries for each in mine]),
    ]


def results(runs: Runs) -> list[dict[str, object]]:
    """Every single run, for the JSON."""
    return [
        {
            "regime": phase,
            "server": name,
            "us_per_delivery": median([each.us_per_delivery for each in outcomes]),
            "deliveries_per_second": median([each.rate for each in outcomes]),
            "runs": [_single(each) for each in outcomes],
        }
        for phase, servers in runs.items()
        for name, outcomes in servers.items()
    ]


def _single(outcome: Outcome) -> dict[str, object]:
    fields = ("messages", "deliveries", "seconds", "server_ns", "client_ns", "wire_bytes", "p50_ms", "p99_ms")
    single: dict[str, object] = {name: getattr(outcome, name) for name in fields}
    return {**single, "us_per_delivery": outcome.us_per_delivery}


def _transports(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= COUNTERS.keys():
        raise argparse.ArgumentTypeError(f"expected some of {','.join(COUNTERS)}")
    return names


def run() -> None:
    parser = options(__doc__ or "", clients=1000, messages=300, seconds=5.0, repeat=3)
    parser.add_argument("--window", type=int, default=32, metavar="N", help="messages on their way; default 32")
    parser.add_argument("--size", type=int, default=128, metavar="BYTES", help="of a message; default 128")
    parser.add_argument(
        "--transport", type=_transports, default=["websocket"], metavar="NAMES", help=f"of {','.join(COUNTERS)}"
    )
    parser.add_argument("--slow", type=int, default=0, metavar="PERCENT", help="more clients that never read")
    parser.add_argument(
        "--channels", type=int, default=0, metavar="N", help="also sessions that follow --each of so many channels"
    )
    parser.add_argument("--each", type=int, default=20, metavar="N", help="channels of one session; default 20")
    args = parser.parse_args()
    if args.channels and (args.channels % args.each or args.clients % (args.channels // args.each)):
        parser.error("--channels has to be a multiple of --each, and --clients of how many times it is")
    runs = fanout(args)
    show(runs)
    print(f"\nwritten to {save('fanout', vars(args), results(runs), args.json)}")


if __name__ == "__main__":
    main(run)
