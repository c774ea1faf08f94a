"""The client's WebSocket frames: bytes in, messages and control frames out, one at a time.

Decides what RFC 6455 and RFC 7692 allow a client to send; knows no socket and no application. Parsing stops after
each event, so a caller that stops asking bounds what is held: the bytes it fed, and one message.
"""

from __future__ import annotations

from gateway.core.codes import INVALID_DATA, PROTOCOL_ERROR, TOO_BIG, TOO_MANY, Disconnect
from gateway.core.settings import Limits
from gateway.wire.frames import BINARY, CLOSE, PING, PONG, RSV1, TEXT, is_close_code
from gateway.wire.partial import Partial, room

try:
    from websockets.speedups import apply_mask
except ImportError:  # the wheel for this platform has no C extension
    from websockets.utils import apply_mask

Event = tuple[int, str | bytes]

_FIN = 0x80
_CONTINUATION = 0x0
# First bytes a client may send: the FIN bit, no RSV bit, a known opcode.
_FIRST = frozenset(
    {_CONTINUATION, TEXT, BINARY, *(_FIN | opcode for opcode in (_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))}
)
# RFC 7692 section 6: only the first frame of a message says that it is compressed.
_FIRST_WITH_DEFLATE = _FIRST | {fin | RSV1 | opcode for fin in (0, _FIN) for opcode in (TEXT, BINARY)}
_TEXT = _FIN | TEXT
_WHOLE = (_TEXT, _FIN | BINARY)  # first bytes of messages in one frame
_NO_STATUS = 1005


class FrameError(Exception):
    """The client broke the protocol or a limit: close with this code and reason; `label` is the metric's."""

    def __init__(self, fault: Disconnect, reason: str) -> None:
        super().__init__(reason)
        self.code = fault.code
        self.label = fault.label
        self.reason = reason


def parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame, 1005 when it has none; raises FrameError for a bad one."""
    if not payload:
        return _NO_STATUS, ""
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not is_close_code(code):
        raise FrameError(PROTOCOL_ERROR, "invalid close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA, "close reason is not UTF-8") from None


class FrameParser:
    """`feed` bytes, then call `next` until it returns None. After FrameError nothing more may be asked.

    Events are `(TEXT, str)`, `(BINARY, bytes)`, `(PING, bytes)`, `(PONG, bytes)` and `(CLOSE, bytes)`. `more` says
    whether something was fed and not yet asked for. `allowance` is how many frames may still come; whoever feeds keeps
    it filled.
    """

    __slots__ = (
        "_at", "_data", "_final", "_first", "_left", "_limits", "_mask", "_message", "_short", "_window", "allowance",
        "more",
    )  # fmt: skip

    def __init__(self, limits: Limits, allowance: float) -> None:
        self._limits = limits
        self._short = min(limits.message, limits.message if limits.frame is None else limits.frame, 125)
        self._window = 0
        self._first = _FIRST
        self._data: bytes | bytearray = b""
        self._at = 0
        self._message: Partial | None = None
        self._left = -1  # of a data frame's payload, -1 between frames
        self._mask = b""
        self._final = False
        self.more = False
        self.allowance = allowance

    def inflate(self, window: int) -> None:
        """From now on messages may be compressed, with a window of this power of 2."""
        self._window = window
        self._first = _FIRST_WITH_DEFLATE

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
        self.more = len(self._data) > 0

    def alone(self, data: bytes) -> str | bytes | None:
        """The message, if these bytes are a short one in one frame and nothing else is here, as nearly always.

        They are taken then. Anything else is to be fed, also what is wrong: `next` says what.
        """
        size = len(data) - 6
        if self._data or self._message is not None or not 0 <= size <= self._short or data[1] != 0x80 + size:
            return None
        first = data[0]
        if first not in _WHOLE or self.allowance < 1:
            return None
        payload = apply_mask(data[6:], data[2:6])
        try:
            message = payload.decode() if first == _TEXT else payload
        except UnicodeDecodeError:
            return None
        self.allowance -= 1
        return message

    @property
    def unread(self) -> bytes:
        """What was fed and not yet asked for."""
        return bytes(self._data[self._at :])

    def next(self) -> Event | None:
        """The next event, None when more bytes are needed; raises FrameError."""
        data, at = self._data, self._at
        if len(data) - at > 5 and self._message is None:  # a short message in one frame is what nearly all are
            first, size = data[at], data[at + 1] - 0x80
            end = at + 6 + size
            if first in _WHOLE and 0 <= size <= self._short and end <= len(data):
                if end == len(data):
                    self._data, self._at, self.more = b"", 0, False
                else:
                    self._at = end
                self.allowance -= 1
                if self.allowance < 0:
                    raise FrameError(TOO_MANY, "too many messages")
                payload = apply_mask(data[at + 6 : end], data[at + 2 : at + 6])
                return (TEXT, _decode(payload)) if first == _TEXT else (BINARY, payload)
        event = self._any()
        if self._at == len(self._data):
            self._data, self._at, self.more = b"", 0, False
        return event

    def _any(self) -> Event | None:
        """The next event, whatever its frames look like."""
        while True:
            if self._left < 0:
                head = self._head()
                if head is None:
                    return None
                event = self._whole(*head)
                if event is not None:
                    return event
                if head[0] & 0x08:
                    return None
                self._begin(*head)
            event = self._more()
            if event is not None or self._left >= 0:
                return event

    def _head(self) -> tuple[int, int, int] | None:
        """First byte, payload size and payload's place of the next frame, None while its head is incomplete."""
        data, at = self._data, self._at
        have = len(data) - at
        if have < 2:
            return None
        first, size = data[at], data[at + 1] - 0x80
        if first not in self._first or size < 0:
            raise _broken_head(first, size)
        start = at + 6
        if size > 125:
            width = 2 if size == 126 else 8
            if have < 2 + width:
                return None
            size = int.from_bytes(data[at + 2 : at + 2 + width])
            start += width
            if size < (126 if width == 2 else 0x10000):
                raise FrameError(PROTOCOL_ERROR, "length not minimal")
        self._check(first, size)
        return (first, size, start) if start <= len(data) else None

    def _check(self, first: int, size: int) -> None:
        """Raise FrameError when a frame may not come now or not be this long."""
        if first & 0x08:
            if size > 125:
                raise FrameError(PROTOCOL_ERROR, "control frame over 125 bytes")
            return
        message, limits = self._message, self._limits
        if (first & 0x0F == _CONTINUATION) != (message is not None):
            fault = "continuation frame out of place" if message is None else "message not ended"
            raise FrameError(PROTOCOL_ERROR, fault)
        if size > (message.room if message is not None else room(limits.message, self._window if first & RSV1 else 0)):
            raise FrameError(TOO_BIG, f"message over {limits.message} bytes")
        if limits.frame is not None and size > limits.frame:
            raise FrameError(TOO_BIG, f"frame over {limits.frame} bytes")

    def _whole(self, first: int, size: int, start: int) -> Event | None:
        """A control frame, or a message in one frame, if all of it is here."""
        data, end = self._data, start + size
        if end > len(data) or (first not in _WHOLE and not first & 0x08):
            return None
        self._at = end
        self._count()
        payload = apply_mask(data[start:end], data[start - 4 : start])
        return (TEXT, _decode(payload)) if first == _TEXT else (first & 0x0F, payload)

    def _begin(self, first: int, size: int, start: int) -> None:
        """Go into a data frame, of which not all may be here."""
        self._count()
        if self._message is None:
            window = self._window if first & RSV1 else 0
            self._message = Partial(text=first & 0x0F == TEXT, limit=self._limits.message, window=window)
        self._mask = bytes(self._data[start - 4 : start])
        self._at, self._left, self._final = start, size, first >= _FIN

    def _more(self) -> Event | None:
        """Add what is here of the frame to its message; the message, when that was its end."""
        message, at = self._message, self._at
        assert message is not None
        end = min(at + self._left, len(self._data))
        payload = apply_mask(self._data[at:end], self._mask)
        self._at = end
        self._left -= end - at
        try:
            message.add(payload)
            if self._left:
                turned = (end - at) % 4
                self._mask = self._mask[turned:] + self._mask[:turned]
                self._data, self._at = b"", 0
                return None
            self._left = -1
            if not self._final:
                return None
            self._message = None
            return (TEXT if message.text else BINARY), message.end()
        except OverflowError:
            raise FrameError(TOO_BIG, f"message over {self._limits.message} bytes") from None
        except ValueError as error:
            raise FrameError(INVALID_DATA, str(error)) from None

    def _count(self) -> None:
        self.allowance -= 1
        if self.allowance < 0:
            raise FrameError(TOO_MANY, "too many messages")


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA, "text is not UTF-8") from None


def _broken_head(first: int, size: int) -> FrameError:
    if size < 0:
        return FrameError(PROTOCOL_ERROR, "frame is not masked")
    if first & 0x70:
        return FrameError(PROTOCOL_ERROR, "reserved bit set")
    if first & 0x08 and first in (CLOSE, PING, PONG):
        return FrameError(PROTOCOL_ERROR, "fragmented control frame")
    return FrameError(PROTOCOL_ERROR, "unknown opcode")
