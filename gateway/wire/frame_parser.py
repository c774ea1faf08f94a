"""The client's WebSocket frames: bytes in, messages and control frames out, one at a time.

Decides what RFC 6455 allows a client to send; knows no socket and no application. Parsing stops after
each event, so a caller that stops asking bounds what is held: the bytes it fed, and one message.
"""

from __future__ import annotations

import codecs

from gateway.wire.frames import BINARY, CLOSE, PING, PONG, TEXT, is_close_code

try:
    from websockets.speedups import apply_mask
except ImportError:  # the wheel for this platform has no C extension
    from websockets.utils import apply_mask

Event = tuple[int, str | bytes]

_CONTINUATION = 0x0
# First bytes a client may send: the FIN bit, no RSV bit (no extension was negotiated), a known opcode.
_FIRST = frozenset(
    {_CONTINUATION, TEXT, BINARY, *(0x80 | opcode for opcode in (_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))}
)
_NO_STATUS = 1005

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class FrameError(Exception):
    """The client broke the protocol: close with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame, 1005 when it has none; raises FrameError for a bad one."""
    if not payload:
        return _NO_STATUS, ""
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not is_close_code(code):
        raise FrameError(1002, "invalid close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(1007, "close reason is not UTF-8") from None


class FrameParser:
    """`feed` bytes, then call `next` until it returns None. After FrameError nothing more may be asked.

    Events are `(TEXT, str)`, `(BINARY, bytes)`, `(PING, bytes)`, `(PONG, bytes)` and `(CLOSE, bytes)`.
    """

    __slots__ = ("_at", "_data", "_decoder", "_limit", "_message", "_opcode")

    def __init__(self, limit: int) -> None:
        self._limit = limit  # bytes in one message
        self._data: bytes | bytearray = b""
        self._at = 0
        self._opcode = 0  # of the fragmented message that has begun, 0 when none has
        self._message: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the socket."""
        held = self._data
        if self._at == len(held):
            self._data = data
        elif isinstance(held, bytearray):
            del held[: self._at]
            held += data
        else:
            self._data = bytearray(held[self._at :])
            self._data += data
        self._at = 0

    def next(self) -> Event | None:
        """The next event, None when more bytes are needed; raises FrameError."""
        while (frame := self._frame()) is not None:
            first, payload = frame
            if first == 0x80 | TEXT:
                return TEXT, _decode(payload)
            if first == 0x80 | BINARY:
                return BINARY, payload
            if first & 0x08:
                return first & 0x0F, payload
            event = self._fragment(first, payload)
            if event is not None:
                return event
        return None

    def _frame(self) -> tuple[int, bytes] | None:
        """First byte and unmasked payload of the next frame, None while it is incomplete."""
        data, at = self._data, self._at
        have = len(data) - at
        if have < 2:
            if not have:
                self._data, self._at = b"", 0
            return None
        first, size = data[at], data[at + 1] - 0x80
        if first not in _FIRST or size < 0:
            raise _broken_head(first, size)
        start = at + 6
        if size > 125:
            width = 2 if size == 126 else 8
            if have < 2 + width:
                return None
            size = int.from_bytes(data[at + 2 : at + 2 + width])
            start += width
            if size < (126 if width == 2 else 0x10000):
                raise FrameError(1002, "length not minimal")
        self._check(first, size)
        end = start + size
        if end > len(data):
            return None
        self._at = end
        return first, apply_mask(data[start:end], bytes(data[start - 4 : start]))

    def _check(self, first: int, size: int) -> None:
        """Raise FrameError when a frame may not come now or not be this long."""
        if first & 0x08:
            if size > 125:
                raise FrameError(1002, "control frame over 125 bytes")
            return
        if (first & 0x0F == _CONTINUATION) != (self._opcode != 0):
            raise FrameError(1002, "continuation frame out of place" if not self._opcode else "message not ended")
        if size + (len(self._message) if self._message is not None else 0) > self._limit:
            raise FrameError(1009, f"message over {self._limit} bytes")

    def _fragment(self, first: int, payload: bytes) -> Event | None:
        """Add a fragment to its message; the message, when it is the last one."""
        if self._message is None:
            self._opcode, self._message = first & 0x0F, bytearray()
            self._decoder = _utf8_decoder() if self._opcode == TEXT else None
        final = first >= 0x80
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise FrameError(1007, "text is not UTF-8") from None
        self._message += payload
        return self._finish(self._message) if final else None

    def _finish(self, message: bytearray) -> Event:
        opcode = self._opcode
        self._opcode, self._message, self._decoder = 0, None, None
        return (TEXT, message.decode()) if opcode == TEXT else (BINARY, bytes(message))


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FrameError(1007, "text is not UTF-8") from None


def _broken_head(first: int, size: int) -> FrameError:
    if size < 0:
        return FrameError(1002, "frame is not masked")
    if first & 0x70:
        return FrameError(1002, "reserved bit set")
    if first & 0x08 and first in (CLOSE, PING, PONG):
        return FrameError(1002, "fragmented control frame")
    return FrameError(1002, "unknown opcode")
