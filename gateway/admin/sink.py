"""Lines to a file, a pipe or a terminal, written by a thread of their own.

The event loop must never wait for whoever reads the logs: a pipe that nobody empties, a full disk, a
terminal stopped with Ctrl-S. So `put` only appends to a bounded queue; a daemon thread joins what has
gathered and writes it. When the queue is full or a write fails, lines are dropped and counted, and the
owner is told each time that this begins and ends.

One thread at a time calls `put`. Each counter has one side that writes it, so none needs a lock.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator

INTERVAL = 0.25  # seconds that lines may gather before they are written
HURRY = 512 * 1024  # characters that are written without waiting any longer
LIMIT = 8 * 1024 * 1024  # characters kept while nobody reads: some 25,000 requests
BATCH = 64 * 1024
PATIENCE = 2.0  # seconds that `close` waits for a reader, well within what a container is given to stop

Report = Callable[[str], None]


def no_report(text: str) -> None:
    """For an owner who has nobody to tell."""


class Target:
    """An open file descriptor; with a path, it is ours to close and to open again."""

    def __init__(self, fd: int, path: str | None = None) -> None:
        self.fd = fd
        self.path = path
        # Others may write to the same pipe or terminal. Only writes up to PIPE_BUF arrive in one piece.
        self.batch = BATCH if stat.S_ISREG(os.fstat(fd).st_mode) else select.PIPE_BUF
        self._torn = False

    @classmethod
    def open(cls, path: str) -> Target:
        """A file to append to; raises OSError."""
        return cls(_open(path), path)

    def follow(self) -> None:
        """Open the path again when a log rotation has moved the file away; on any error, keep what is open."""
        if self.path is None:
            return
        try:
            if not _same(self.path, self.fd):
                fd = _open(self.path)
                os.close(self.fd)
                self.fd = fd
        except OSError:
            return

    def write(self, data: bytes) -> None:
        """Write all of it, waiting as long as it takes; raises OSError."""
        view = memoryview(b"\n" + data if self._torn else data)
        try:
            while view:
                view = view[self._some(view) :]
        finally:
            self._torn = bool(view)

    def _some(self, view: memoryview) -> int:
        try:
            return os.write(self.fd, view)
        except BlockingIOError:  # whoever gave us the descriptor had made it non-blocking
            poll = select.poll()
            poll.register(self.fd, select.POLLOUT)
            poll.poll()
            return 0

    def close(self) -> None:
        if self.path is not None:
            os.close(self.fd)


class Sink:
    """A bounded queue of lines and the thread that writes them to `target`."""

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        interval: float = INTERVAL,
        limit: int = LIMIT,
        report: Report = no_report,
    ) -> None:
        self._target = target
        self._interval = interval
        self._limit = limit
        self._report = report
        self._lines: deque[str] = deque()
        self._queued = 0  # characters, counted by whoever puts
        self._done = 0  # characters written or lost, counted by the thread
        self._refused = 0  # lines, counted by whoever puts
        self._failed = 0  # lines, counted by the thread
        self._losing = False
        self._closing = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        # Started with the first line: a process that forks before it serves keeps its thread.
        self._thread = threading.Thread(target=self._run, name=f"tidegate-{name}", daemon=True)
        self._started = False

    @property
    def dropped(self) -> int:
        """Lines that were never written."""
        return self._refused + self._failed

    def put(self, lines: str) -> None:
        """Queue one line or more, their newlines included."""
        pending = self._queued - self._done
        if pending >= self._limit or self._closing:
            self._refused += lines.count("\n")
            self._lose("the log is closed" if self._closing else "the reader does not keep up")
            return
        self._queued += len(lines)
        self._lines.append(lines)
        if not self._wake.is_set():
            self._rouse()
        if pending > HURRY and not self._hurry.is_set():
            self._hurry.set()

    def close(self, patience: float = PATIENCE) -> None:
        """Write what is queued, unless that takes longer than `patience` seconds; then take nothing more."""
        self._closing = True
        self._rouse()
        self._hurry.set()
        self._thread.join(patience)
        if self._thread.is_alive():
            self._refused += sum(lines.count("\n") for lines in self._lines)
        else:
            self._target.close()

    def _rouse(self) -> None:
        self._wake.set()
        if not self._started:
            self._started = True
            self._thread.start()

    def _run(self) -> None:
        while self._lines or not self._closing:
            self._wake.wait()
            if self._interval:
                self._hurry.wait(self._interval)
            # Cleared before the queue is emptied: a line put meanwhile sets it again, and is not forgotten.
            self._hurry.clear()
            self._wake.clear()
            self._target.follow()
            while self._lines:
                for text in _pieces(self._take(), self._target.batch):
                    self._write(text)

    def _take(self) -> str:
        taken = [self._lines.popleft()]
        room = self._target.batch - len(taken[0])
        while self._lines and room >= len(self._lines[0]):
            taken.append(self._lines.popleft())
            room -= len(taken[-1])
        return "".join(taken)

    def _write(self, text: str) -> None:
        try:
            self._target.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            self._failed += text.count("\n")
            self._lose(error.strerror or "it cannot be written")
        else:
            self._recover()
        self._done += len(text)

    def _lose(self, why: str) -> None:
        if not self._losing:
            self._losing = True
            self._report(f"lines are dropped: {why}")

    def _recover(self) -> None:
        if self._losing and not self._lines:
            self._losing = False
            self._report(f"lines are written again; {self.dropped} were dropped since the start")


def _pieces(lines: str, most: int) -> Iterator[str]:
    """Whole lines in pieces of at most so many characters, where one line is not longer."""
    at = 0
    while len(lines) - at > most:
        end = (lines.rfind("\n", at, at + most) + 1) or (lines.find("\n", at + most) + 1)
        yield lines[at:end]
        at = end
    if at < len(lines):
        yield lines[at:]


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _same(path: str, fd: int) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))
