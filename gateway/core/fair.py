"""Who is next where many wait for a few places, and who has more of them than is fair.

Each client waits in a line of its own, and the lines are served in turn: a thousand requests of one client delay
another's by one. Clients that hold more than their share of the places come after those that do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Lines(Generic[T]):
    """What waits, by client; at most `most` in all. An item's client is forgotten when its line is empty."""

    __slots__ = ("_count", "_lines", "_most")

    def __init__(self, most: int) -> None:
        self._lines: dict[str, deque[T]] = {}  # the first is served next
        self._most = most
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        for line in self._lines.values():
            yield from line

    @property
    def clients(self) -> Mapping[str, Sequence[T]]:
        """Those who wait, each with what waits for it."""
        return self._lines

    def join(self, client: str, item: T) -> T | None:
        """Wait; gives what can't wait any more.

        Where there is no room, that is the last of the longest line: who asks for much leaves room for others.
        """
        out = None
        if self._count >= self._most:
            longest = max(self._lines, key=lambda name: len(self._lines[name]))
            if len(self._lines[longest]) <= len(self._lines.get(client, ())) + 1:
                return item
            out = self._lines[longest].pop()
            self._count -= 1
        self._lines.setdefault(client, deque()).append(item)
        self._count += 1
        return out

    def next(self, later: Container[str] = ()) -> T:
        """Take who is next; clients in `later` only when nobody else waits."""
        client = next((name for name in self._lines if name not in later), None)
        if client is None:
            client = next(iter(self._lines))
        line = self._lines.pop(client)
        item = line.popleft()
        self._count -= 1
        if line:
            self._lines[client] = line
        return item

    def leave(self, late: Callable[[T], bool]) -> list[T]:
        """Take those out who are late; nobody is later than who stands before it in its line."""
        gone = []
        for client, line in list(self._lines.items()):
            while line and late(line[0]):
                gone.append(line.popleft())
            if not line:
                del self._lines[client]
        self._count -= len(gone)
        return gone

    def clear(self) -> None:
        self._lines.clear()
        self._count = 0


def beyond_share(places: int, held: Mapping[str, int], waiting: Iterable[str]) -> dict[str, int]:
    """Clients that hold more of the places than each would have if all had the same, and how many more."""
    share = max(1, places // len({*held, *waiting}))
    return {client: count - share for client, count in held.items() if count > share}


def give_way(
    slow: Sequence[tuple[str, float]], beyond: Mapping[str, int], lines: Lines[T], *, soon: float, late: float
) -> list[int]:
    """Which of the slow, by their index, have to leave their places to those who wait.

    Each is a client and the seconds for which nothing has moved: who is beyond its share goes `soon`, and only for
    other clients; everybody goes when it is `late`. No more than are needed.
    """
    left = dict(beyond)
    gone: list[int] = []
    for index in sorted(range(len(slow)), key=lambda at: (slow[at][0] in beyond, slow[at][1]), reverse=True):
        client, seconds = slow[index]
        others = len(lines) - len(lines.clients.get(client, ()))
        hasty = seconds >= soon and left.get(client, 0) > 0 and len(gone) < others
        if len(gone) < len(lines) and (hasty or seconds > late):
            gone.append(index)
            left[client] = left.get(client, 0) - 1
    return gone
