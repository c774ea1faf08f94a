"""Child processes of a test: what they say, how they end, and that they do."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import IO

LIMIT = 40.0  # seconds for anything here, on a busy machine
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def eventually(condition: Callable[[], bool], what: str = "") -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to pass: {what or condition}"
        time.sleep(0.02)


async def come(condition: Callable[[], bool], what: str = "") -> None:
    """Wait until the condition holds, while the test's own clients and backends go on."""
    await asyncio.to_thread(eventually, condition, what)


def free_port() -> int:
    """A loopback port for a server that cannot choose one and say which."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        number: int = probe.getsockname()[1]
        return number


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _begin() -> None:
    """A run that is killed leaves no server behind; in a background shell it ignores Ctrl-C, its children do not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child. `said` and `complained` grow line by line as it writes to stdout and stderr."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str] | None = None, cwd: str | None = None
    ) -> None:
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
            text=True,
            errors="replace",
            preexec_fn=_begin,
        )
        self.said: list[str] = []
        self.complained: list[str] = []
        self._ears = [self._listen(self.popen.stdout, self.said), self._listen(self.popen.stderr, self.complained)]

    @property
    def pid(self) -> int:
        return self.popen.pid

    def line(self, pattern: str, number: int = 0) -> re.Match[str]:
        """Wait until it has said a line that the pattern matches."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found[:] = [match for line in list(self.said) if (match := re.search(pattern, line))]
            return len(found) > number or self.popen.poll() is not None

        eventually(look, f"{self.popen.args!r} says {pattern}")
        assert len(found) > number, f"{self.popen.args!r} ended: {self.text}"
        return found[number]

    @property
    def text(self) -> str:
        return "".join([*self.said, *self.complained])

    def send(self, number: int) -> None:
        self.popen.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it, and wait for its exit code."""
        self.send(number)
        return self.outcome()

    def outcome(self) -> int:
        code = self.popen.wait(LIMIT)
        for ear in self._ears:
            ear.join(LIMIT)
        return code

    def kill(self) -> None:
        self.popen.kill()
        self.outcome()

    @staticmethod
    def _listen(stream: IO[str] | None, lines: list[str]) -> threading.Thread:
        assert stream is not None

        def drain() -> None:
            with stream:
                lines.extend(stream)

        thread = threading.Thread(target=drain, daemon=True)
        thread.start()
        return thread
