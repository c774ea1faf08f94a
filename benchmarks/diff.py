"""What finding a change costs: processor time to compare two states of a resource and make its events.

A list of 5,000 objects, 1 MB of JSON, of which some changed, with a key (item events and a patch) and without (a patch
by position); the unchanged answer for comparison. `round` and `unordered` bring each answer into its normal form
first. Run it as `python -m benchmarks.diff`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.report import Cell, median, save, table
from gateway.core.change import change_between
from gateway.core.event import Json
from gateway.core.settings import Items, LiveSettings, Normal, PluginUse

_ROUNDS = 5  # in one run, of which the quickest counts: the others had neighbours on the machine

Runs = dict[str, list[float]]  # milliseconds of processor time, by case


def rows(count: int, size: int) -> list[Json]:
    """Objects of about `size` bytes each, as shops have them."""
    pad = "x" * max(0, size - 110)
    return [
        {
            "id": n,
            "name": f"shirt {n}",
            "colour": "steelblue",
            "price": 1900 + n,
            "stock": n % 50,
            "tags": ["a", "b"],
            "note": pad,
        }
        for n in range(count)
    ]


def changed(old: list[Json], every: int) -> list[Json]:
    """A new answer: parsed anew, so nothing is shared with the one before; one in `every` has another stock."""
    new: list[Json] = msgspec.json.decode(msgspec.json.encode(old))
    for index in range(0, len(new) if every else 0, every or 1):
        row = new[index]
        assert isinstance(row, dict)
        row["stock"] = -1
    return new


def cases(objects: int, size: int) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    old = rows(objects, size)
    kinds = {
        "keyed": _live(Items()),
        "keyed, order told": _live(Items(order=True)),
        "keyed, ignoring": _live(Items(ignore=("price",))),
        "keyed, round": _live(Items(normal=Normal(places=(("price", 2),)))),
        "keyed, unordered": _live(Items(normal=Normal(unordered=("tags",)))),
        "keyed, all rounded, all unordered": _live(Items(normal=Normal(places=(("", 2),), unordered=("",)))),
        "by position": _live(None),
    }
    first: Json = {"id": -1, "name": "new"}
    states: dict[str, Json] = {
        "unchanged": changed(old, 0),
        "1 % changed": changed(old, 100),
        "all changed": changed(old, 1),
        "1 in front": [first, *changed(old, 0)],
    }
    return {
        f"{kind}: {state}": _comparison(old, new, live) for kind, live in kinds.items() for state, new in states.items()
    }


def _live(items: Items | None) -> LiveSettings:
    return LiveSettings(source=PluginUse(name="", options=None), items=items)


def _comparison(old: Json, new: Json, live: LiveSettings) -> Callable[[], object]:
    return lambda: change_between(old, new, live)


def measure(case: Callable[[], object]) -> float:
    """Milliseconds of processor time of the quickest round."""
    times = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        case()
        times.append(time.process_time() - began)
    return min(times) * 1000


def main() -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=5000, help="in the list (default: %(default)s)")
    parser.add_argument("--size", type=int, default=210, help="bytes of each (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="runs, of which the median counts (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    found = cases(args.objects, args.size)
    runs: Runs = {name: [] for name in found}
    for _ in range(args.repeat):
        for name, case in found.items():
            runs[name].append(measure(case))
    size = len(msgspec.json.encode(rows(args.objects, args.size)))
    lines: list[list[Cell]] = [[name, median(times)] for name, times in runs.items()]
    print(table(f"{args.objects} objects, {size} bytes", ["comparison", "ms of CPU"], lines))
    print(save("diff", {"objects": args.objects, "size": args.size, "repeat": args.repeat}, runs, args.json))


if __name__ == "__main__":
    main()
