from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.admin.sink import HURRY, Sink, Target

DEADLINE = 20.0


class Reports:
    """What the owner of a sink is told, with a way to wait for it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, text: str) -> None:
        with self._changed:
            self.texts.append(text)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.texts) >= count, DEADLINE), self.texts
            return self.texts


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    out, into = os.pipe()
    yield out, into
    for fd in (out, into):
        with suppress(OSError):  # a test that closed it itself
            os.close(fd)


def abandon(sink: Sink, reader: int) -> None:
    """Let a thread that waits for a reader end."""
    os.close(reader)
    sink._thread.join(DEADLINE)
    assert not sink._thread.is_alive()


def read_all(fd: int) -> bytes:
    data = b""
    while select.select([fd], [], [], 0)[0]:
        chunk = os.read(fd, 65536)
        if not chunk:
            break
        data += chunk
    return data


def test_lines_arrive_in_order_when_closed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = Sink(Target.open(str(path)), name="test")
    lines = [f"line {number}\n" for number in range(50_000)]
    for line in lines:
        sink.put(line)
    sink.close()
    assert path.read_text() == "".join(lines)
    assert sink.dropped == 0


def test_a_file_is_appended_to_and_private(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(2):
        sink = Sink(Target.open(str(path)), name="test")
        sink.put("x\n")
        sink.close()
    assert path.read_text() == "x\nx\n"
    assert path.stat().st_mode & 0o007 == 0


def test_lines_are_written_without_close(pipe: tuple[int, int]) -> None:
    sink = Sink(Target(pipe[1]), name="test", interval=0.01)
    sink.put("now\n")
    assert select.select([pipe[0]], [], [], DEADLINE)[0]
    assert os.read(pipe[0], 100) == b"now\n"
    sink.put("again\n")
    assert select.select([pipe[0]], [], [], DEADLINE)[0]
    assert os.read(pipe[0], 100) == b"again\n"
    sink.close()
    os.fstat(pipe[1])  # not ours to close


def test_many_lines_do_not_wait_for_the_interval(pipe: tuple[int, int]) -> None:
    sink = Sink(Target(pipe[1]), name="test", interval=3600)
    for _ in range(HURRY // 100 + 100):
        sink.put("x" * 99 + "\n")
    assert select.select([pipe[0]], [], [], DEADLINE)[0]
    sink.close(0)
    abandon(sink, pipe[0])


def test_a_line_put_just_after_the_queue_was_found_empty_is_not_forgotten(pipe: tuple[int, int]) -> None:
    class Late(deque[str]):
        late = False

        def __bool__(self) -> bool:
            if not len(self) and not self.late and sink._done == sink._queued > 0:
                self.late = True
                sink.put("late\n")
                return False
            return len(self) > 0

    sink = Sink(Target(pipe[1]), name="test", interval=0)
    sink._lines = Late()
    sink.put("line\n")
    data = b""
    while data != b"line\nlate\n":
        assert select.select([pipe[0]], [], [], DEADLINE)[0]
        data += os.read(pipe[0], 100)
    sink.close()


def test_what_was_written_makes_room(pipe: tuple[int, int]) -> None:
    sink = Sink(Target(pipe[1]), name="test", interval=0, limit=1000)
    for _ in range(100):
        sink.put("x" * 99 + "\n")
        assert select.select([pipe[0]], [], [], DEADLINE)[0]
        os.read(pipe[0], 100)
    sink.close()
    assert sink.dropped == 0


def test_an_unused_sink_has_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    Sink(Target.open(str(tmp_path / "log")), name="test")
    assert threading.active_count() == before


def test_closing_an_unused_sink_closes_its_file(tmp_path: Path) -> None:
    target = Target.open(str(tmp_path / "log"))
    Sink(target, name="test").close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(target.fd)


def test_a_pipe_that_nobody_reads_costs_lines_and_neither_time_nor_memory(pipe: tuple[int, int]) -> None:
    reports = Reports()
    limit = 100_000
    sink = Sink(Target(pipe[1]), name="test", interval=0, limit=limit, report=reports)
    for number in range(50_000):
        sink.put(f"line {number}\n")
    assert sink._queued - sink._done <= limit + 20
    assert sink.dropped > 30_000
    assert reports.wait_for(1) == ["lines are dropped: the reader does not keep up"]

    data = b""  # the reader comes back: whole lines, in order, and the owner hears of it
    while len(reports.texts) < 2:
        if select.select([pipe[0]], [], [], 0.1)[0]:
            data += os.read(pipe[0], 65536)
    sink.close()
    data += read_all(pipe[0])
    lines = data.decode().splitlines()
    numbers = [int(line.removeprefix("line ")) for line in lines]
    assert numbers == sorted(set(numbers))
    assert len(lines) + sink.dropped == 50_000
    assert reports.texts[1:] == [f"lines are written again; {sink.dropped} were dropped since the start"]


def test_closing_does_not_wait_for_a_reader_that_never_comes(pipe: tuple[int, int]) -> None:
    sink = Sink(Target(pipe[1]), name="test", interval=0)
    for _ in range(20_000):
        sink.put("line\n")
    sink.close(0.01)
    assert sink.dropped > 0
    sink.put("late\n")
    abandon(sink, pipe[0])


def test_a_reader_that_is_gone_costs_lines_only(pipe: tuple[int, int]) -> None:
    reports = Reports()
    os.close(pipe[0])
    sink = Sink(Target(pipe[1]), name="test", interval=0, report=reports)
    for _ in range(100):
        sink.put("line\n")
    sink.close()
    assert sink.dropped == 100
    assert reports.texts == ["lines are dropped: Broken pipe"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_disk_costs_lines_only() -> None:
    reports = Reports()
    sink = Sink(Target.open("/dev/full"), name="test", interval=0, report=reports)
    sink.put("one\n")
    reports.wait_for(1)
    sink.put("two\n")
    sink.close()
    assert sink.dropped == 2
    assert reports.texts == ["lines are dropped: No space left on device"]


def test_a_descriptor_that_is_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    sink = Sink(Target(pipe[1]), name="test", interval=0)
    expected = b"".join(b"line %d\n" % number for number in range(40_000))
    for line in expected.splitlines(keepends=True):
        sink.put(line.decode())
    data = b""
    while len(data) < len(expected):
        assert select.select([pipe[0]], [], [], DEADLINE)[0]
        data += os.read(pipe[0], 65536)
    sink.close()
    assert data == expected
    assert sink.dropped == 0


def test_a_pipe_gets_whole_lines_in_pieces_that_stay_whole(pipe: tuple[int, int]) -> None:
    written: list[bytes] = []

    class Watched(Target):
        def write(self, data: bytes) -> None:
            written.append(data)

    sink = Sink(Watched(pipe[1]), name="test", interval=0)
    for number in range(3000):
        sink.put("x" * (number % 500) + "\n")
    sink.put("y" * 10_000 + "\n")
    sink.put("".join("z" * (number % 500) + "\n" for number in range(3000)))
    sink.close()
    assert len(b"".join(written)) == 2 * sum(number % 500 + 1 for number in range(3000)) + 10_001
    assert all(piece.endswith(b"\n") for piece in written)
    assert [len(piece) for piece in written if len(piece) > select.PIPE_BUF] == [10_001]


def test_a_rotated_file_is_opened_again(tmp_path: Path) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    target = Target.open(str(path))
    target.follow()
    target.write(b"one\n")
    path.rename(old)
    target.follow()
    target.write(b"two\n")
    target.close()
    assert (old.read_text(), path.read_text()) == ("one\n", "two\n")


def test_a_path_that_cannot_be_opened_again_leaves_the_old_file_in_use(tmp_path: Path) -> None:
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    target = Target.open(str(folder / "log"))
    folder.rename(moved)
    target.follow()
    target.write(b"one\n")
    target.close()
    assert (moved / "log").read_text() == "one\n"


def test_a_line_cut_short_by_an_error_is_ended_before_the_next(tmp_path: Path) -> None:
    class Failing(Target):
        room = 6

        def _some(self, view: memoryview) -> int:
            if self.room == 0:
                raise OSError(28, "No space left on device")
            count = os.write(self.fd, view[: self.room])
            self.room -= count
            return count

    path = tmp_path / "log"
    target = Failing(os.open(path, os.O_WRONLY | os.O_CREAT), str(path))
    with pytest.raises(OSError, match="No space"):
        target.write(b"one\ntwo\n")
    target.room = 100
    target.write(b"three\n")
    target.write(b"four\n")
    target.close()
    assert path.read_bytes() == b"one\ntw\nthree\nfour\n"


def test_text_that_is_not_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    sink = Sink(Target.open(str(tmp_path / "log")), name="test")
    sink.put("\udcff é\n")
    sink.close()
    assert (tmp_path / "log").read_text() == "\\udcff é\n"


def test_lines_that_come_together_are_counted_one_by_one(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    sink = Sink(Target(pipe[1]), name="test", interval=0, limit=10)
    sink.put("one\ntwo\n")
    sink.close()
    sink.put("three\nfour\nfive\n")
    assert sink.dropped == 5
