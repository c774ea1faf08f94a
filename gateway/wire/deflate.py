"""permessage-deflate, RFC 7692: what is agreed on, and frames of messages that are compressed.

Neither side keeps anything from one message to the next (`server_no_context_takeover`, `client_no_context_takeover`):
a compressed frame is made once and is the same for all its receivers, and an idle connection holds no zlib. Clients
compress their next small message a little worse for it. What the client sends is inflated in `partial`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from gateway.core.asgi import Framing, Headers
from gateway.wire.frames import BINARY, FIN, FRAMINGS, RSV1, TEXT, frame

# Client's compressors: 4 KB are enough for messages up to the default limit, and all that a half-received one holds.
_CLIENT_WINDOW = 12
_LARGEST = 15
# zlib cannot make raw deflate with a window of 2^8.
_SMALLEST = 9

# JSON of 100 bytes shrinks by 15, of 240 by 75, of 620 by 390; each costs 4 to 7 µs, once for all receivers.
THRESHOLD = 128
# Of a megabyte of JSON level 1 leaves 16 % in 3 ms, level 6 12 % in 11 ms.
_LEVEL = 1

_FLAGS = (b"server_no_context_takeover", b"client_no_context_takeover")
_WINDOWS = (b"server_max_window_bits", b"client_max_window_bits")


@dataclass(frozen=True, slots=True)
class Deflate:
    """What is agreed on: `answer` is the header's value, the windows are powers of 2."""

    answer: bytes
    server_window: int
    client_window: int


def negotiate(headers: Headers) -> Deflate | None:
    """The first offer in the request's headers that can be taken; None when there is none."""
    for name, value in headers:
        if name.lower() == b"sec-websocket-extensions":
            for offer in value.split(b","):
                agreed = _agree(offer)
                if agreed is not None:
                    return agreed
    return None


def _agree(offer: bytes) -> Deflate | None:
    """Section 7.1: an offer with a parameter that is unknown, doubled or out of range is declined."""
    name, *parameters = [part.strip() for part in offer.split(b";")]
    if name != b"permessage-deflate":
        return None
    asked: dict[bytes, int | None] = {}
    for parameter in parameters:
        key, equals, text = parameter.partition(b"=")
        value = _bits(text) if equals else None
        if key in asked or not (key in _WINDOWS if equals else key in (*_FLAGS, _WINDOWS[1])) or value == 0:
            return None
        asked[key] = value
    server = asked.get(_WINDOWS[0], _LARGEST) or _LARGEST
    if server < _SMALLEST:
        return None
    answer = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    if _WINDOWS[0] in asked:
        answer += b"; server_max_window_bits=%d" % server
    if _WINDOWS[1] not in asked:
        return Deflate(answer, server, _LARGEST)
    client = min(asked[_WINDOWS[1]] or _CLIENT_WINDOW, _CLIENT_WINDOW)
    return Deflate(answer + b"; client_max_window_bits=%d" % client, server, _CLIENT_WINDOW)


def _bits(text: bytes) -> int:
    """8 to 15, which may be in quotes; 0 for anything else."""
    if len(text) > 2 and text[:1] == text[-1:] == b'"':
        text = text[1:-1]
    return int(text) if text in (b"8", b"9", b"10", b"11", b"12", b"13", b"14", b"15") else 0


@cache  # one for each of seven windows, so that all who agreed on the same share their frames
def framings(window: int) -> Mapping[str, Framing]:
    """How payloads are framed for a client with this `server_window`."""

    def framing(opcode: int) -> Framing:
        def compressed(payload: bytes, /) -> bytes:
            if len(payload) >= THRESHOLD:
                deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window)
                data = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
                return frame(FIN | RSV1 | opcode, data[:-4])
            return frame(FIN | opcode, payload)

        return compressed

    return {**FRAMINGS, "text": framing(TEXT), "binary": framing(BINARY)}
