"""Runs a target on as many cases as it is told to, or for as long; keeps those that fail.

Hypothesis makes the cases and shrinks those that fail. Now and then a case is repeated, to see that it leaves no memory
behind, and descriptors are counted.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from time import monotonic

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.streams import Case, written
from tests.fuzz.targets import TARGETS, Target

FOUND = Path(__file__).parent.parent / "corpus" / "found"

_ROUND = 1000  # cases of one run of hypothesis; after each, it begins with other ones
_WARM, _REPEATS = 20, 100  # runs of a case until all that is kept on purpose is kept, and runs that may keep no more
_SLACK = 50  # blocks that the interpreter may take for its own: half a block for each run would be a leak


def explore(name: str, going: Callable[[], bool], *, examples: int = _ROUND) -> int:
    """Run a target on cases, a round of examples at a time, while it is `going`; how many there were."""
    make, cases = TARGETS[name]
    target = make()
    done = 0
    last = Case(b"", (1,))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(cases)
    def check(case: Case) -> None:
        nonlocal done, last, target
        done, last = done + 1, case
        try:
            target.run(case)
        except Exception:
            target = make()  # the one that failed may be broken
            raise

    files = descriptors()
    while going():
        try:
            check()
        except Exception as failure:
            raise AssertionError(f"the case is kept in {keep(name, last)}") from failure
        unchanged(target, last)
        assert descriptors() == files, "a descriptor was left open"
    target.world.close()
    return done


def for_seconds(seconds: float) -> Callable[[], bool]:
    end = monotonic() + seconds
    return lambda: monotonic() < end


def once() -> Callable[[], bool]:
    turns = iter([True])
    return lambda: next(turns, False)


def unchanged(target: Target, case: Case) -> None:
    """The same case, again and again, takes no more memory."""
    for _ in range(_WARM):
        target.run(case)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(_REPEATS):
        target.run(case)
    gc.collect()
    more = sys.getallocatedblocks() - before
    assert more < _SLACK, f"{_REPEATS} runs left {more} blocks of memory: {case}"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


def keep(name: str, case: Case) -> Path:
    """Write a case down for the tests to come."""
    text = written(case)
    path = FOUND / name / f"{sha256(text.encode()).hexdigest()[:12]}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
