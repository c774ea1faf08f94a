"""The heads of answers that an upstream repeats byte for byte: they are read once.

An upstream that is asked often says the same again: of what has not changed, and of whatever is as long within one
second of its clock. To look a head up costs a tenth of reading it. Knows no connection and parses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gateway.core.asgi import Headers

END = b"\r\n\r\n"

LONGEST = 2048  # bytes of a head that is remembered: most have some hundred
MOST = 256  # heads: with all that is made of them at most 2 MB for each upstream
PAUSE = 16 * MOST  # answers for which an upstream that repeats nothing is not looked at again


class Head(Protocol):
    """What is known when a head was read; as UpstreamCall has it."""

    status: int
    reason: bytes
    headers: Headers
    notes: dict[object, Any]


class Repeat:
    """A head that was read, of an answer with a body of `length` bytes."""

    __slots__ = ("headers", "length", "notes", "reason", "status")

    def __init__(self, head: Head, length: int) -> None:
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self.notes = head.notes
        self.length = length


class Repeats:
    """The heads of one upstream. When there are too many all are forgotten: their dates have passed."""

    __slots__ = ("_heads", "_hits", "_pause")

    def __init__(self) -> None:
        self._heads: dict[bytes, Repeat] = {}
        self._hits = 0  # since all were forgotten
        self._pause = 0

    def find(self, data: bytes) -> Repeat | None:
        """The head of a whole answer, if it was read before."""
        if self._pause:
            self._pause -= 1
            return None
        end = data.find(END) + len(END)
        known = self._heads.get(data[:end])
        if known is None or known.length != len(data) - end:
            return None
        self._hits += 1
        return known

    def add(self, data: bytes, head: Head, length: int) -> None:
        """Remember the head of the whole answer `data`, whose body has `length` bytes."""
        if self._pause:
            return
        end = data.find(END) + len(END)
        if end > LONGEST or length != len(data) - end:  # chunks, or 1xx answers before it
            return
        if len(self._heads) >= MOST:
            self._pause = PAUSE if self._hits < MOST else 0
            self._heads.clear()
            self._hits = 0
        self._heads[data[:end]] = Repeat(head, length)
