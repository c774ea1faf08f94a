"""The channel log: the last changes of one channel, each with its bytes cached per audience.

Subscribers are cursors into it (`gateway.core.cursor`), never queues of their own, so a slow client costs no
memory. It decides what a reader at an offset is given next; it knows nothing of clients, clocks or loops.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from gateway.core.event import Change, Event, ItemChange, Json
from gateway.core.position import Position
from gateway.core.settings import LogLimits, Mode

# One catch-up write of a reader that fell behind: the size of a socket buffer's worth, so that a slow
# reader never holds more than this beside the log itself.
BATCH = 256 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """Everyone for whom an event is the same bytes: one mode, one codec, one framing. Compared by identity."""

    mode: Mode
    render: Callable[[Event], bytes]


class Batch(NamedTuple):
    """Ready bytes, how many messages they hold, and the offset that the reader has reached with them.

    `reset` marks state sent instead of changes that the log could not continue with.
    """

    data: bytes
    messages: int
    offset: int
    reset: bool = False


@dataclass(slots=True, eq=False)
class Entry:
    """One change in the log: its offsets are `first` to `last`; `rendered` holds (bytes, messages) per audience."""

    first: int
    last: int
    patch: list[Json] | None
    merge: dict[str, Json] | None
    items: tuple[ItemChange, ...]
    time: float
    size: int
    rendered: dict[Audience, tuple[bytes, int]] = field(default_factory=dict)


class Log:
    """A window on one channel's stream, and the state at its end.

    `head` is the position of the last change; `document` the state there, when `has_state`. `start` is the offset
    before the first change: a reader that is still there has no state yet. One of `messages` never has any.
    """

    __slots__ = (
        "_entries", "_lasts", "_limits", "_size", "_snapshots", "document", "has_state", "head", "messages", "start",
    )  # fmt: skip

    def __init__(self, limits: LogLimits, head: Position) -> None:
        self.head = head
        self.messages = False
        self.document: Json = None
        self.has_state = False
        self.start = head.offset
        self._limits = limits
        self._entries: deque[Entry] = deque()
        self._lasts: list[int] | None = []
        self._size = 0
        self._snapshots: dict[tuple[Audience, bool], bytes] = {}

    def __repr__(self) -> str:
        return f"<Log {self.tail}..{self.head} entries={len(self._entries)} bytes={self._size}>"

    @property
    def tail(self) -> int:
        """The oldest offset that a reader may be at and still be given everything after it."""
        return self._entries[0].first - 1 if self._entries else self.head.offset

    @property
    def size(self) -> int:
        """Bytes held: each change as JSON and every encoding that was made of it."""
        return self._size

    def append(self, position: Position, change: Change, now: float) -> None:
        """Add a change; `position` is that of its last offset. Another epoch than before empties the log."""
        first = position.offset - change.span + 1
        if position.epoch != self.head.epoch:
            self._forget(len(self._entries))
            self.start = first - 1
        size = len(msgspec.json.encode([change.patch, change.merge, [item.data for item in change.items]]))
        self._entries.append(Entry(first, position.offset, change.patch, change.merge, change.items, now, size))
        self._size += size
        self._lasts = None
        self._snapshots.clear()
        self.head, self.document, self.has_state = position, change.document, not self.messages
        self.trim(now)

    def trim(self, now: float) -> None:
        """Forget the oldest entries beyond the limits; the newest one stays."""
        limits, entries, drop = self._limits, self._entries, 0
        size = self._size
        for entry in entries:
            kept = self.head.offset - entry.first + 1
            if kept <= limits.events and size <= limits.bytes and now - entry.time <= limits.age:
                break
            size -= entry.size
            drop += 1
        self._forget(min(drop, len(entries) - 1))

    def read(self, offset: int, audience: Audience, limit: int = BATCH) -> Batch | None:
        """What comes after `offset`, up to about `limit` bytes; None when the log cannot continue from there."""
        head = self.head.offset
        if offset == head:
            return Batch(b"", 0, head)
        if not self.tail <= offset < head:
            return None
        if audience.mode in ("snapshot", "notify"):
            return self.snapshot(audience)
        return self._replay(offset, audience, limit)

    def snapshot(self, audience: Audience, *, reset: bool = False) -> Batch:
        """The state at the head, or for the mode `notify` just the head's position."""
        key = (audience, reset)
        data = self._snapshots.get(key)
        if data is None:
            notify = audience.mode == "notify"
            event = Event(
                type="notify" if notify else "snapshot",
                data=None if notify else self.document,
                position=self.head,
                reset=reset,
            )
            data = self._snapshots[key] = audience.render(event)
        return Batch(data, 1, self.head.offset, reset)

    def _replay(self, offset: int, audience: Audience, limit: int) -> Batch | None:
        parts: list[bytes] = []
        count = size = 0
        for entry in self._after(offset):
            if _needs_snapshot(entry, audience.mode):
                return self.snapshot(audience)
            if entry.first <= offset:
                if audience.mode != "items":
                    return None  # a patch covers its whole entry, of which this reader has seen a part
                data, messages = self._render(entry, audience, offset)
            else:
                data, messages = self._rendered(entry, audience)
            parts.append(data)
            count += messages
            size += len(data)
            offset = entry.last
            if size >= limit:
                break
        return Batch(parts[0] if len(parts) == 1 else b"".join(parts), count, offset)

    def _after(self, offset: int) -> list[Entry]:
        if self._entries[-1].first - 1 == offset:
            return [self._entries[-1]]
        if self._lasts is None:
            self._lasts = [entry.last for entry in self._entries]
        start = bisect_right(self._lasts, offset)
        return [self._entries[index] for index in range(start, len(self._entries))]

    def _rendered(self, entry: Entry, audience: Audience) -> tuple[bytes, int]:
        rendered = entry.rendered.get(audience)
        if rendered is None:
            rendered = entry.rendered[audience] = self._render(entry, audience, entry.first - 1)
            entry.size += len(rendered[0])
            self._size += len(rendered[0])
        return rendered

    def _render(self, entry: Entry, audience: Audience, offset: int) -> tuple[bytes, int]:
        epoch = self.head.epoch
        if audience.mode == "patch":
            event = Event(type="patch", data=entry.patch, position=Position(epoch, entry.last))
            return audience.render(event), 1
        if audience.mode == "merge":
            event = Event(type="merge", data=entry.merge, position=Position(epoch, entry.last))
            return audience.render(event), 1
        events = [
            Event(type=item.type, data=item.data, position=Position(epoch, entry.first + index))
            for index, item in enumerate(entry.items)
            if entry.first + index > offset
        ]
        return b"".join([audience.render(event) for event in events]), len(events)

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._size -= self._entries.popleft().size
            self._lasts = None


def _needs_snapshot(entry: Entry, mode: Mode) -> bool:
    if mode == "merge":
        return entry.merge is None
    return entry.patch is None and (mode == "patch" or not entry.items)
