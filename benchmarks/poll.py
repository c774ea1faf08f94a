"""Polling: what a 304 costs, what thousands of resources cost that are watched at once, and what the backend is spared.

The gateway's polling side (channels, scheduler, poll source, upstream client) runs in this process against a backend
in another; there are no clients' sockets. Run it as `python -m benchmarks.poll`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.conditional import NOT_MODIFIED, WHOLE
from benchmarks.harness import main, options, workplace
from benchmarks.processes import cores, first_line, module, running
from benchmarks.report import Cell, save, table
from gateway.build import SystemClock, make, make_all
from gateway.core.http import Request
from gateway.core.route import parse_template
from gateway.core.settings import Limits, LiveSettings, PluginUse, Route, UpstreamSettings
from gateway.core.stats import Stats
from gateway.live.channels import Channels, LiveRoute
from gateway.live.supervisor import Supervisor
from gateway.plugin import Broker, Codec, Context, WatchingSource
from gateway.plugin.registry import find
from gateway.wire.upstream import HttpUpstream

KEYS = 10_000
LOOKS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`core` is the share of one core that `keys` resources take at 10 s; requests and bytes are the backend's."""

    us_per_304: float
    keys: int
    polls_per_second: float
    core: float
    late: float
    us_per_poll: float
    clients: int
    intervals: float
    requests: int
    answer_bytes: int


class Side:
    """The polling side of one gateway with one route."""

    def __init__(self, port: int, interval: str) -> None:
        self.stats = Stats()
        self.supervisor = Supervisor()
        clock = SystemClock()
        codecs = cast("dict[str, Codec]", make_all("codecs", Context(clock=clock), {}))
        context = Context(clock=clock, codecs=codecs)
        plugin = find("sources")["poll"].load()
        use = PluginUse(name="poll", options=plugin.options.model_validate({"interval": interval}))
        settings = UpstreamSettings(name="shop", scheme="http", host="127.0.0.1", port=port, host_header="upstream")
        self.upstream = HttpUpstream(settings, self.stats.upstreams["shop"])
        live = LiveSettings(source=use)
        route = Route(name="list", path=parse_template("/list"), upstream="shop", live=live)
        self.source = cast("WatchingSource", make("sources", use, context))
        self.live = LiveRoute(route=route, settings=live, source=self.source, upstream=self.upstream)
        limits = Limits(channels=10 * KEYS, channels_per_route=10 * KEYS)
        memory = find("brokers")["memory"].load()
        broker = cast("Broker", memory.make(memory.options(), context))
        self.channels = Channels(broker, self.stats, clock, limits, self.supervisor)

    @property
    def polls(self) -> int:
        return sum(self.stats.routes["list"].polls.values())

    def follow(self, number: int) -> None:
        target = b"/list?n=%d" % number
        request = Request(kind="http", method="GET", target=target, headers=(), params={}, options={})
        self.channels.get(self.live, request)

    async def close(self) -> None:
        await self.supervisor.close()
        await self.upstream.close()


async def _cost_of_304(port: int, looks: int) -> float:
    """Microseconds of this process' time for one look that ends in 304: request, answer, and when to look next."""
    side = Side(port, "1h")
    side.follow(0)
    await _until(lambda: side.polls >= 1)
    (running_,) = side.channels._running.values()
    looking = running_.looking
    assert looking is not None
    used = time.process_time()
    for _ in range(looks):
        await looking.watch.look()
    used = time.process_time() - used
    await side.close()
    return used / looks * 1e6


async def _many(port: int, keys: int, seconds: float) -> tuple[float, float, float, float]:
    """Polls a second, the share of a core, how many were late, and microseconds a poll; all are followed at first."""
    side = Side(port, "10s")
    for number in range(keys):
        side.follow(number)
    await _until(lambda: side.polls >= keys)
    await asyncio.sleep(min(10.0, seconds))  # the second polls are spread over the interval: then it is even
    before, used, began = side.polls, time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    await _until(lambda: side.polls > before)  # few resources may all have their turn later
    took, used, polls = time.monotonic() - began, time.process_time() - used, side.polls - before
    await side.close()
    return polls / took, used / took, 1 - polls / took / (keys / 10.0), used / polls * 1e6


async def _one_list(port: int, clients: int, seconds: float) -> tuple[int, int, float]:
    """Requests and bytes of the backend while so many follow one list at 1 s, and the intervals that passed."""
    side = Side(port, "1s")
    began = time.monotonic()
    for _ in range(clients):
        side.follow(0)
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    answers = dict(side.stats.upstreams["shop"].answers)
    await side.close()
    return sum(answers.values()), answers.get(200, 0) * len(WHOLE) + answers.get(304, 0) * len(NOT_MODIFIED), took


async def _until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)


def poll(args: argparse.Namespace, stack: ExitStack, folder: Path) -> Figures:
    log = folder / "conditional.log"
    child = stack.enter_context(running(module("conditional"), log, core=cores()[1]))
    port = int(first_line(child, log))
    gc.freeze()
    us = uvloop.run(_cost_of_304(port, args.looks))
    rate, core, late, each = uvloop.run(_many(port, args.keys, args.seconds))
    requests, size, intervals = uvloop.run(_one_list(port, args.clients, args.seconds))
    return Figures(
        us_per_304=us,
        keys=args.keys,
        polls_per_second=rate,
        core=core,
        late=late,
        us_per_poll=each,
        clients=args.clients,
        intervals=intervals,
        requests=requests,
        answer_bytes=size,
    )


def show(figures: Figures) -> None:
    """What polling costs the gateway, and what the backend is asked with it and without."""
    print("\n" + table("a look that ends in 304", ["", "CPU µs"], [["tidegate", figures.us_per_304]]))
    head: list[str] = ["", "keys", "polls/s", "CPU µs/poll", "of a core", "late"]
    row: list[Cell] = [
        "tidegate",
        figures.keys,
        figures.polls_per_second,
        figures.us_per_poll,
        figures.core,
        figures.late,
    ]
    print("\n" + table("resources watched at 10 s", head, [row]))
    alone = round(figures.clients * figures.intervals)
    about = f"{figures.clients} clients on one list at 1 s, {figures.intervals:.0f} s"
    head = [about, "requests", "bytes of answers"]
    rows: list[list[Cell]] = [
        ["through tidegate, counted", figures.requests, figures.answer_bytes],
        ["each polls by itself, with ETags, reckoned", alone, alone * len(NOT_MODIFIED)],
        ["each polls by itself, without, reckoned", alone, alone * len(WHOLE)],
    ]
    print("\n" + table("what the backend is asked", head, rows), flush=True)


def run() -> None:
    parser = options(__doc__ or "", clients=1000, seconds=10.0)
    parser.add_argument("--keys", type=int, default=KEYS, metavar="N", help=f"default {KEYS}")
    parser.add_argument("--looks", type=int, default=LOOKS, metavar="N", help=f"looks that end in 304, default {LOOKS}")
    parser.add_argument("--repeat", type=int, default=1, help="is always 1 here")
    args = parser.parse_args()
    with workplace() as (stack, folder):
        figures = poll(args, stack, folder)
    show(figures)
    result = [{"server": "tidegate", **asdict(figures)}]
    print(f"\nwritten to {save('poll', vars(args), result, args.json)}")


if __name__ == "__main__":
    main(run)
