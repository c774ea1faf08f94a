"""Bodies of deliveries, collected within bounds: each one's size and time, and the memory that all of them take.

Whoever can reach a webhook can send to it, and what is sent is only known to be genuine once it is whole. So one
address may have a part of the memory under way, and whoever finds none left is asked to come again.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from gateway.core.asgi import Header, Headers, Receive
from gateway.core.http import header
from gateway.errors import ClientError

# Of deliveries that are being received: some hundred of the usual kilobytes, or a handful of the largest.
MOST = 64 * 1024 * 1024
# The part of it that one address may have: a sender is rarely more than a few.
SHARE = MOST // 4


class Gone(Exception):
    """The sender left before it was answered."""


class Bodies:
    """What is under way, by address."""

    def __init__(self, most: int = MOST, share: int = SHARE) -> None:
        self._most = most
        self._share = share
        self._held = Counter[str]()
        self.size = 0

    def __repr__(self) -> str:
        return f"<Bodies {self.size} bytes of {len(self._held)} addresses>"

    async def collect(self, receive: Receive, address: str, *, most: int, timeout: float) -> bytes:
        """One body; raises ClientError 408, 413, 429 or 503, and Gone."""
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(timeout):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    piece = message.get("body", b"")
                    more = message.get("more_body", False)
                    size += len(piece)
                    if size > most:
                        raise too_large(most)
                    self._hold(address, len(piece))
                    pieces.append(piece)
            return b"".join(pieces)
        except TimeoutError:
            raise ClientError(408, "too_slow", f"the body has not come within {timeout:g} seconds") from None
        finally:
            self._release(address, sum(map(len, pieces)))

    def _hold(self, address: str, size: int) -> None:
        if self.size + size > self._most:
            error = ClientError(503, "busy", "more is being received than there is room for; try again later")
            raise error.with_headers((b"retry-after", b"5"))
        if address and self._held[address] + size > self._share:
            error = ClientError(429, "too_much", "more is being sent from your address than it may; try again later")
            raise error.with_headers((b"retry-after", b"5"))
        self.size += size
        if address:
            self._held[address] += size

    def _release(self, address: str, size: int) -> None:
        self.size -= size
        if address:
            self._held[address] -= size
            if not self._held[address]:
                del self._held[address]


def too_large(most: int) -> ClientError:
    return ClientError(413, "too_large", f"a delivery here has at most {most} bytes")


def media_type(headers: list[Header] | tuple[Header, ...]) -> bytes:
    """What a body is said to be; JSON where nothing is said."""
    return (header(headers, b"content-type") or b"application/json").partition(b";")[0].strip().lower()


def is_json(kind: bytes) -> bool:
    return kind == b"application/json" or kind.endswith(b"+json")


def check_plain(headers: Headers, most: int) -> None:
    """What can be told of a body before it is read: not compressed, not too large; raises ClientError."""
    if (header(headers, b"content-encoding") or b"identity").strip().lower() != b"identity":
        raise ClientError(415, "bad_type", "what is sent here is not compressed")
    length = header(headers, b"content-length") or b"0"
    if length.isdigit() and int(length) > most:
        raise too_large(most)
