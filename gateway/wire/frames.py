"""WebSocket frames of a server, as bytes: RFC 6455 section 5.2, unmasked, never fragmented.

One event is framed once and the same bytes go to every receiver, so these functions are pure and know
no connection. `split` undoes them for servers that take messages instead of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from struct import Struct

from gateway.core.asgi import Framing

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

# RFC 6455 section 7.4.1 and the IANA registry: 1004, 1005, 1006 and 1015 never travel, 3000-4999 are free to use.
_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})

FIN, RSV1 = 0x80, 0x40
_MAX_REASON = 123  # a control frame holds 125 bytes (section 5.5), two of them the code
_HEAD_16 = Struct("!BBH").pack
_HEAD_64 = Struct("!BBQ").pack
_CODE = Struct("!H").pack


def is_close_code(code: int) -> bool:
    """Whether a close frame may carry this code."""
    return code in _CODES or 3000 <= code <= 4999


def frame(first: int, payload: bytes) -> bytes:
    """A frame with this first byte: FIN, RSV1 for a compressed message, opcode."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 0x10000:
        return _HEAD_16(first, 126, size) + payload
    return _HEAD_64(first, 127, size) + payload


text_frame: Framing = partial(frame, FIN | TEXT)
"""A whole text message; the payload must be UTF-8."""

binary_frame: Framing = partial(frame, FIN | BINARY)
"""A whole binary message."""


def ping_frame(payload: bytes, /) -> bytes:
    """A ping with at most 125 bytes of payload."""
    return _control(PING, payload)


def pong_frame(payload: bytes, /) -> bytes:
    """The answer to a ping with this payload."""
    return _control(PONG, payload)


def close_frame(code: int, reason: str, /) -> bytes:
    """A close frame; a reason that is too long is cut. Raises ValueError for a code that may not be sent."""
    if not is_close_code(code):
        raise ValueError(f"close code {code} may not be sent")
    text = reason.encode()[:_MAX_REASON].decode(errors="ignore").encode()
    return _control(CLOSE, _CODE(code) + text)


def _control(opcode: int, payload: bytes) -> bytes:
    if len(payload) > 125:
        raise ValueError(f"a control frame of {len(payload)} bytes is over 125")
    return bytes((FIN | opcode, len(payload))) + payload


FRAMINGS: Mapping[str, Framing] = {"text": text_frame, "binary": binary_frame, "ping": ping_frame}


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of each frame in `data`, which must be whole frames made here."""
    at = 0
    while at < len(data):
        size = data[at + 1]
        start = at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            size = int.from_bytes(data[start : start + width])
            start += width
        yield data[at] & 0x0F, data[start : start + size]
        at = start + size
