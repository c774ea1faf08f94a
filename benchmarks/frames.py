"""Counts WebSocket frames in what a server sends, and decodes no payload.

The same bytes go to every receiver, so a chunk that equals the one before it is counted by comparing:
that keeps one slow process able to follow a fast server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.processes import BenchmarkError

_TEXT, _BINARY, _CLOSE, _PING = 1, 2, 8, 9
PONG = b"\x8a\x80\0\0\0\0"  # masked, as clients must; to pings without a payload


class Closed(BenchmarkError):
    """The server closed the WebSocket; the text has the code where there was one."""


@dataclass(slots=True)
class FrameCounter:
    """One for all connections of a process; the caller keeps each connection's unfinished bytes.

    After `feed`, `pending` is what begins an unfinished frame and `pings` how many want an answer.
    """

    pending: bytes = field(default=b"", init=False)
    pings: int = field(default=0, init=False)
    _chunk: bytes = field(default=b"", init=False)
    _frames: int = field(default=0, init=False)

    def feed(self, pending: bytes, data: bytes) -> int:
        """How many messages end in `data`, which comes after what was pending on its connection."""
        if not pending and data == self._chunk:
            self.pending, self.pings = b"", 0
            return self._frames
        frames, self.pings, self.pending = split(pending + data)
        if not pending and not self.pending and not self.pings:
            self._chunk, self._frames = data, frames
        return frames


@dataclass(slots=True)
class MarkCounter:
    """Counts events of a stream over HTTP by the two bytes that end each of them and nothing else."""

    mark: bytes
    pending: bytes = field(default=b"", init=False)
    pings: int = field(default=0, init=False)
    _chunk: bytes = field(default=b"", init=False)
    _events: int = field(default=0, init=False)

    def feed(self, pending: bytes, data: bytes) -> int:
        """How many events end in `data`; of what came before, only a last byte matters."""
        if not pending and data == self._chunk:
            self.pending = b""
            return self._events
        joined = pending + data
        self.pending = joined[-1:] if joined[-1:] == self.mark[:1] and not joined.endswith(self.mark) else b""
        events = joined.count(self.mark)
        if not pending and not self.pending:
            self._chunk, self._events = data, events
        return events


COUNTERS: dict[str, Callable[[], FrameCounter | MarkCounter]] = {
    "websocket": FrameCounter,
    "sse": lambda: MarkCounter(b"\n\n"),
    "ndjson": lambda: MarkCounter(b"}\n"),
}


def split(data: bytes) -> tuple[int, int, bytes]:
    """The numbers of whole messages and of pings, and the bytes after the last whole frame."""
    at = frames = pings = 0
    while (end := _end(data, at)) is not None:
        opcode = data[at] & 15
        if opcode == _CLOSE:
            raise Closed(f"the server closed with code {int.from_bytes(data[at + 2 : at + 4], 'big')}")
        frames += opcode in (_TEXT, _BINARY)
        pings += opcode == _PING
        at = end
    return frames, pings, data[at:]


def _end(data: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends; none when it is not whole. Servers do not mask."""
    if len(data) < at + 2:
        return None
    length, start = data[at + 1] & 127, at + 2
    if length > 125:
        start += 2 if length == 126 else 8
        if len(data) < start:
            return None
        length = int.from_bytes(data[at + 2 : start], "big")
    return start + length if len(data) >= start + length else None


def client_frame(payload: bytes) -> bytes:
    """One text frame from a client: masked, with a mask that changes nothing."""
    if len(payload) < 126:
        return bytes([0x81, 0x80 | len(payload)]) + b"\0\0\0\0" + payload
    return bytes([0x81, 0xFE]) + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


def server_frame(payload: bytes) -> bytes:
    """One text frame as servers send it."""
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return bytes([0x81, 0x7E]) + len(payload).to_bytes(2, "big") + payload
