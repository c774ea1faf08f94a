"""Figures for people and for programs: a table on stdout and a JSON file; and what machine they are from."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.processes import ROOT

Cell = str | int | float | None
RESULTS = Path(__file__).resolve().parent / "results"
_PACKAGES = ("uvloop", "httptools", "hypercorn", "starlette", "aiohttp", "httpx2")


def median(values: Sequence[float]) -> float:
    """The middle of repeated runs; not a number when there is none."""
    return statistics.median(values) if values else float("nan")


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the runs' own ratios: both sides of a pair had the same neighbours on the machine."""
    return median([a / b for a, b in zip(ours, theirs, strict=False) if b])


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Columns as wide as their widest cell; numbers to the right."""
    cells = [list(head), *[[_text(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([title, *lines])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join([first.strip().ljust(widths[0]), *rest])


def _text(cell: Cell) -> str:
    if cell is None or cell != cell:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}" if abs(cell) < 1 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def save(benchmark: str, options: dict[str, object], results: object, path: Path | None) -> Path:
    """Write the JSON, by default to `benchmarks/results/`, and say where."""
    target = path or RESULTS / f"{benchmark}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "benchmark": benchmark,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "options": options,
        "results": results,
    }
    target.write_text(json.dumps(document, indent=2, default=str) + "\n")
    return target


def machine() -> dict[str, object]:
    """What a reader needs to judge the figures."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": _versions(),
        "revision": _revision(),
        "load_average": os.getloadavg()[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _revision() -> str:
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
