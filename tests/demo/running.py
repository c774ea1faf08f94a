"""`tidegate demo` as a terminal runs it: a process group that can be interrupted, and what it printed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIMIT = 40.0  # seconds for anything here, on a busy machine


@dataclass(frozen=True, slots=True)
class Demo:
    """`text` is the banner; `errors` grows as the demo complains."""

    process: subprocess.Popen[str]
    text: str
    errors: list[str]

    def url(self, what: str) -> str:
        """The URL in the banner's line that begins with `what`; the first of all for "shop"."""
        line = (
            self.text if what == "shop" else next(one for one in self.text.splitlines() if one.startswith(f"  {what}"))
        )
        match = re.search(r"(?:https?|ws)://[^\s,]+", line)
        assert match is not None
        return match[0]

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Signal the whole foreground group, as the terminal does; exit code and everything said on stderr."""
        os.killpg(self.process.pid, number)
        return self.outcome()

    def outcome(self) -> tuple[int, str]:
        code = self.process.wait(LIMIT)
        return code, "".join(self.errors)

    def closed(self) -> bool:
        """Whether nothing listens any more where the shop, the gateway and the admin did."""
        return not any(listens(self.url(what)) for what in ("shop", "page", "metrics"))


@contextmanager
def running(folder: Path, port: int = 0) -> Iterator[Demo]:
    """A demo that is started in `folder` and keeps its temporary files there."""
    environ = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gateway", "demo", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environ,
        text=True,
        process_group=0,
    )
    errors: list[str] = []
    listener = threading.Thread(target=_drain, args=(process, errors))
    listener.start()
    assert process.stdout is not None
    try:
        yield Demo(process, _banner(process), errors)
    finally:
        process.kill()
        process.wait(LIMIT)
        listener.join(LIMIT)
        process.stdout.close()


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true before the time is up."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def listens(url: str) -> bool:
    host, port = re.findall(r"//([^/:]+):(\d+)", url)[0]
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _banner(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    return "".join(lines)


def _drain(process: subprocess.Popen[str], errors: list[str]) -> None:
    assert process.stderr is not None
    with process.stderr as stderr:
        errors.extend(stderr)
