"""The writer of a client that polls: it keeps what a subscription sends until the answer is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.core.asgi import Framing


def bare(payload: bytes, /) -> bytes:
    """The framing of every basket: none. One function, so that all of them share their encodings."""
    return payload


class Basket:
    """A `gateway.core.asgi.Writer`, full from the first byte on: one batch is what it takes, and all it costs.

    `filled` is set then, or when the stream ends.
    """

    __slots__ = ("_full", "_parts", "filled", "full")

    def __init__(self) -> None:
        self.filled = asyncio.Event()
        self.full = False
        self._parts: list[bytes] = []
        self._full: Callable[[], None] | None = None

    @property
    def buffered(self) -> int:
        return sum(map(len, self._parts))

    @property
    def data(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)

    def framing(self, kind: str, /) -> Framing:
        return bare

    def write(self, data: bytes, /) -> None:
        self._parts.append(data)
        self.filled.set()
        if not self.full:
            self.full = True
            if self._full is not None:
                self._full()

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        self._full = full

    def close(self, code: int, reason: str, /) -> None:
        self.filled.set()
