"""Child processes of a measurement: pinned to a core, watched while they start, and stopped by their own id.

A child is in its own process group, so that Ctrl-C reaches only the measuring program, which then stops
its children in order; and the kernel terminates a child whose parent was killed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
ROOT = Path(__file__).resolve().parent.parent


class BenchmarkError(Exception):
    """A measurement that cannot be made; the text says which part failed and what it said."""


def cores() -> tuple[int | None, int | None]:
    """The server's core and the load's; none where there is only one to share."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def raise_file_limit() -> None:
    """Every connection is a descriptor on both sides: take what the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A loopback port that nothing listens on, for servers that cannot choose one and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def module(name: str, *args: str) -> list[str]:
    """The command that runs one of our own modules."""
    return [sys.executable, "-m", f"benchmarks.{name}", *args]


@contextmanager
def running(
    command: Sequence[str], log: Path, *, core: int | None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A child for the length of a block; what it writes to stderr goes to `log`."""
    libc = ctypes.CDLL(None, use_errno=True)

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if core is not None:
            os.sched_setaffinity(0, {core})

    with log.open("ab") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            process_group=0,
            preexec_fn=tie,
        )
    try:
        yield child
    finally:
        _stop(child)


def _stop(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def first_line(child: subprocess.Popen[str], log: Path) -> str:
    """What a child prints when it is ready."""
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if not line:
        raise BenchmarkError(f"{_name(child)} did not start: {tail(log)}")
    return line


def await_port(child: subprocess.Popen[str], port: int, log: Path) -> None:
    """Return when something accepts connections on the port."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchmarkError(f"{_name(child)} did not listen on port {port}: {tail(log)}")


def tail(log: Path) -> str:
    """The last lines of a child's own words."""
    text = log.read_text(errors="replace").strip() if log.exists() else ""
    return "\n".join(text.splitlines()[-12:]) or "it said nothing"


def _name(child: subprocess.Popen[str]) -> str:
    return " ".join(map(str, child.args)) if isinstance(child.args, list) else str(child.args)
