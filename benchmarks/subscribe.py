"""Subscribing: what it costs to join a channel that has a state, be sent it, and leave again.

In one process and without sockets: the channel, the subscription, and a writer that throws everything away.
Run it as `python -m benchmarks.subscribe`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Cell, median, save, table
from gateway.build import SystemClock
from gateway.core.asgi import Framing
from gateway.core.codes import Disconnect
from gateway.core.event import Change, Event
from gateway.core.position import Position
from gateway.core.settings import LiveSettings, PluginUse
from gateway.core.stats import RouteStats
from gateway.live.channel import Channel
from gateway.plugin import Encoding
from gateway.wire.frames import text_frame


class Nowhere:
    """A writer whose client is never slow."""

    buffered = 0
    full = False

    def framing(self, kind: str, /) -> Framing:
        return text_frame

    def write(self, data: bytes, /) -> None: ...

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None: ...

    def close(self, code: int, reason: str, /) -> None: ...


def encode(event: Event) -> bytes:
    return b"x" * 128


def left(disconnect: Disconnect) -> None: ...


async def cost(members: int, times: int, since: Position | None) -> float:
    """Microseconds of processor time for one subscription and its end, in a channel with so many members."""
    channel = Channel("c", "r", LiveSettings(source=PluginUse(name="x", options=None)), RouteStats(), SystemClock())
    channel.begin(Position("e", 0))
    encoding = Encoding(encode=encode, kind="text")
    for offset in range(1, 101):
        channel.deliver(Position("e", offset), Change(document=offset, patch=[offset] if offset > 1 else None))
    for _ in range(members):
        channel.subscribe(encoding, "patch", "websocket", Nowhere(), left).start(None)
    began = time.process_time_ns()
    for _ in range(times):
        subscription = channel.subscribe(encoding, "patch", "websocket", Nowhere(), left)
        subscription.start(since)
        subscription.stop()
    return (time.process_time_ns() - began) / times / 1000


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20_000, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: benchmarks/results/")
    args = parser.parse_args()
    cases = {"a newcomer": None, "one that resumes 5 events back": Position("e", 95)}
    results: list[dict[str, object]] = []
    rows: list[list[Cell]] = []
    for name, since in cases.items():
        for members in (0, 1000):
            runs = [asyncio.run(cost(members, args.times, since)) for _ in range(args.repeat)]
            rows.append([name, members, median(runs)])
            results.append({"case": name, "members": members, "us": median(runs), "runs": runs})
    print(table("subscribe and unsubscribe", ["case", "members", "CPU µs"], rows))
    print(f"written to {save('subscribe', vars(args), results, args.json)}")


if __name__ == "__main__":
    run()
