"""What the programs share: their options, a folder for a run, the load process, and who takes part."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.job import Job, Outcome, dump, load_outcomes
from benchmarks.peers import Server, Start, unavailable
from benchmarks.processes import BenchmarkError, cores, first_line, module, raise_file_limit, running

PEERS = ("loop", "nginx", "nchan", "starlette", "uvicorn", "hypercorn")
_MOST = {"clients": 20_000, "messages": 1_000_000, "seconds": 600, "repeat": 100}


def options(about: str, **defaults: float) -> argparse.ArgumentParser:
    """The options that all programs have, with a program's own defaults."""
    parser = argparse.ArgumentParser(description=about)
    for name, value in defaults.items():
        kind = _bounded(name, type(value))
        parser.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"default {value:g}")
    everyone = ",".join(PEERS)
    parser.add_argument("--vs", default=everyone, metavar="NAMES", help=f"peers of {everyone}; default all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: benchmarks/results/")
    parser.add_argument("--peers-only", action="store_true", help="leave the gateway out")
    return parser


def _bounded(name: str, kind: type) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value: float = kind(text)
        if not 0 < value <= _MOST[name]:
            raise argparse.ArgumentTypeError(f"expected more than 0 and at most {_MOST[name]}")
        return value

    return parse


def guests(named: str, known: Mapping[str, tuple[Start, ...]]) -> list[Start]:
    """The peers of `--vs` that take part, in the program's own order; prints a line for each that cannot."""
    names = [name.strip() for name in named.split(",") if name.strip()]
    for name in names:
        if name not in PEERS:
            raise BenchmarkError(f"no peer is called {name!r}; there are {', '.join(PEERS)}")
        if name in known and (reason := unavailable(name)):
            print(f"without {name}: {reason}", flush=True)
    return [start for name in known if name in names and not unavailable(name) for start in known[name]]


@contextmanager
def workplace() -> Iterator[tuple[ExitStack, Path]]:
    """A stack that stops what was started, and a folder that is removed after it."""
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="tidegate-") as folder, ExitStack() as stack:
        yield stack, Path(folder)


def play(job: Job, folder: Path, program: str = "load") -> list[Outcome]:
    """Run a load process through a job's phases."""
    with ExitStack() as stack:
        return load_outcomes(_load(job, stack, folder, program))


def hold(job: Job, stack: ExitStack, folder: Path) -> None:
    """Open a job's connections and keep them for as long as the stack."""
    _load(job, stack, folder)


def _load(job: Job, stack: ExitStack, folder: Path, program: str = "load") -> str:
    log = folder / "load.log"
    child = stack.enter_context(running(module(program), log, core=cores()[1]))
    _tell(child, dump(job))
    return first_line(child, log)


def _tell(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


def progress(server: Server, run: int, runs: int) -> None:
    """A line on stderr, so that a long run is seen to be alive."""
    print(f"run {run + 1} of {runs}: {server.name}", file=sys.stderr, flush=True)


def main(program: Callable[[], None]) -> None:
    """Run a program; Ctrl-C, SIGTERM and a failed measurement end it in order."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        program()
    except KeyboardInterrupt:
        sys.exit(130)
    except BenchmarkError as error:
        sys.exit(f"failed: {error}")
