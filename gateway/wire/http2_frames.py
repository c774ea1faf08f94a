"""Counts the frames of HTTP/2 that ask for nothing, by their heads alone and before anybody parses them.

A head is 9 bytes and there is nothing to decompress, so a piece full of such frames is refused for less than it cost to
send. What they take of a client's allowance is in `gateway.core.flood`. Knows no library.
"""

from __future__ import annotations

from gateway.core.flood import RESET

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4
# What is said to who comes back too soon: empty settings, and GOAWAY with ENHANCE_YOUR_CALM (11).
CALM = bytes(3) + b"\4\0" + bytes(4) + b"\0\0\x08\7\0" + bytes(4) + bytes(4) + b"\0\0\0\x0b"

_HEAD = 9
_DATA, _HEADERS, _RESET = 0, 1, 3
_END_STREAM, _PADDED = 1, 8
# By type. Not counted are bodies, whose empty frames are looked for, and requests, whose resets are.
_POINTS = [1] * 256
_POINTS[_DATA] = _POINTS[_HEADERS] = 0
_POINTS[_RESET] = RESET


class Frames:
    """Counts the frames of one connection as they arrive, however they are cut."""

    __slots__ = ("_rest", "_skip")

    def __init__(self) -> None:
        self._skip = len(PREFACE)  # bytes until the next head
        self._rest = b""  # the beginning of a head

    def points(self, data: bytes) -> int:
        """How many the frames that begin in these bytes take."""
        if self._rest:
            data = self._rest + data
        at, size = self._skip, len(data)
        points = 0
        while at + _HEAD <= size:
            kind = data[at + 3]
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            points += _POINTS[kind]
            if kind == _DATA and not data[at + 4] & _END_STREAM and _is_empty(data, at, length):
                points += 1
            at += _HEAD + length
        self._skip = max(at - size, 0)
        self._rest = data[at:]
        return points


def _is_empty(data: bytes, at: int, length: int) -> bool:
    """Whether a frame of a body has nothing of it: it may be all padding, which cannot be seen where it is cut off."""
    if length == 0:
        return True
    at += _HEAD
    return bool(data[at - 5] & _PADDED) and (at >= len(data) or data[at] >= length - 1)
