"""A WebSocket message that arrives in parts: put together, inflated and checked as it comes.

Nothing is kept until the end that could be refused before it: text that is not UTF-8, a message over its limit, a
bomb. Knows no frames; what is wrong is told as ValueError, what is too much as OverflowError.
"""

from __future__ import annotations

import codecs
import zlib

_utf8_decoder = codecs.getincrementaldecoder("utf-8")

# RFC 7692 section 7.2.2: what a sender leaves away at the end of each message.
_TAIL = b"\x00\x00\xff\xff"
# Deflate may also grow what cannot be compressed: 5 bytes for a block, of which zlib makes one in 4 KB or more.
_GROWTH, _GROWTH_SHIFT = 64, 8


def room(limit: int, window: int) -> int:
    """Bytes that may arrive of a message with this limit."""
    return limit + (limit >> _GROWTH_SHIFT) + _GROWTH if window else limit


class Partial:
    """`window` is that of the compressor (its size as a power of 2), 0 for a message that is not compressed."""

    __slots__ = ("_data", "_decoder", "_inflater", "_limit", "room", "text")

    def __init__(self, *, text: bool, limit: int, window: int) -> None:
        self.text = text
        self.room = room(limit, window)  # bytes that may still arrive
        self._limit = limit
        self._data = bytearray()
        self._decoder = _utf8_decoder() if text else None
        self._inflater = zlib.decompressobj(-window) if window else None

    def add(self, data: bytes) -> None:
        """Take bytes as they arrived; the caller has seen to it that there is `room`."""
        self.room -= len(data)
        self._take(data if self._inflater is None else self._inflate(self._inflater, data))

    def end(self) -> str | bytes:
        """The whole message."""
        if self._inflater is not None:
            self._finish(self._inflater)
        if self._decoder is None:
            return bytes(self._data)
        self._check(self._decoder, b"", final=True)
        return self._data.decode()

    def _take(self, data: bytes) -> None:
        if self._decoder is not None:
            self._check(self._decoder, data, final=False)
        self._data += data

    @staticmethod
    def _check(decoder: codecs.IncrementalDecoder, data: bytes, *, final: bool) -> None:
        try:
            decoder.decode(data, final)
        except UnicodeDecodeError:
            raise ValueError("text is not UTF-8") from None

    def _inflate(self, inflater: zlib._Decompress, data: bytes) -> bytes:
        """Inflate to one byte over the limit at most, however much there would be."""
        most = self._limit - len(self._data) + 1
        try:
            inflated = inflater.decompress(data, most)
        except zlib.error:
            raise ValueError("compressed data is broken") from None
        if len(inflated) == most:
            raise OverflowError
        return inflated

    def _finish(self, inflater: zlib._Decompress) -> None:
        """RFC 7692 section 7.2.3.5: a last block may say that it is the last; then nothing but an empty one follows."""
        if not inflater.eof:
            self._take(self._inflate(inflater, _TAIL))
        elif inflater.unused_data not in (b"", b"\x00"):
            raise ValueError("compressed data goes on after its end")
