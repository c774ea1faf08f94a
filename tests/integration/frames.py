"""WebSocket frames by hand, right and wrong ones, and the handshake before them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A frame as a client sends it, unless told otherwise."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = bytes([first, mask | size])
    elif size < 65536:
        head = bytes([first, mask | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, mask | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def handshake(target: str, *lines: str, version: str = "13", key: str = "MDEyMzQ1Njc4OWFiY2RlZg==") -> bytes:
    head = [
        f"GET {target} HTTP/1.1",
        "Host: shop",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Version: {version}",
        f"Sec-WebSocket-Key: {key}",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


class Frame(NamedTuple):
    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        return int.from_bytes(self.payload[:2], "big")

    @property
    def reason(self) -> str:
        return self.payload[2:].decode()


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    first, second = await reader.readexactly(2)
    assert second < 128, "a server does not mask"
    size = second
    if second == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif second == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    return Frame(first & 15, await reader.readexactly(size))


async def read_close(reader: asyncio.StreamReader) -> Frame:
    """The close frame; events before it are passed over, and after it nothing comes."""
    while (got := await read_frame(reader)).opcode != CLOSE:
        pass
    return got
