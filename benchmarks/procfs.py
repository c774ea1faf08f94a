"""What the kernel knows of a process tree: processor time and user memory.

Processor time is the scheduler's own count in nanoseconds (`schedstat`), user and system together; the
10 ms ticks of `stat` are the fallback where the kernel keeps no such count.
"""

from __future__ import annotations

import os
from pathlib import Path

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """A process and all its living descendants; raises ProcessLookupError when it is gone."""
    parents = _parents()
    if root not in parents:
        raise ProcessLookupError(f"process {root} is gone")
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_ns(root: int) -> int:
    """Processor time that the living processes of a tree have used, in nanoseconds."""
    return sum(_schedule(pid)[0] for pid in tree(root))


def wait_ns(root: int) -> int:
    """Time that they were ready to run while the processor did something else; 0 where it is not known."""
    return sum(_schedule(pid)[1] for pid in tree(root))


def pss(root: int) -> int:
    """User memory of a tree in bytes, shared pages divided among those that share them."""
    return sum(_pss(pid) for pid in tree(root))


def _parents() -> dict[int, int]:
    parents = {}
    for name in os.listdir("/proc"):
        fields = _stat(int(name)) if name.isdigit() else []
        if fields:
            parents[int(name)] = int(fields[1])
    return parents


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may hold anything; none when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _schedule(pid: int) -> tuple[int, int]:
    """Nanoseconds run and waited, of all threads."""
    try:
        lines = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except FileNotFoundError:
        lines = []
    if lines:
        ran, waited, _ = zip(*(map(int, line.split()) for line in lines), strict=True)
        return sum(ran), sum(waited)
    fields = _stat(pid)
    return ((int(fields[11]) + int(fields[12])) * _TICK_NS, 0) if fields else (0, 0)


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
