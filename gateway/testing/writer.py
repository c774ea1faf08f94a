"""A client that the test drives by hand: it takes bytes only when told to, so back-pressure can be seen."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.asgi import Framing


def plain(payload: bytes) -> bytes:
    """The framing of every kind: none."""
    return payload


class ManualWriter:
    """A `gateway.core.asgi.Writer`. `taken` is what the client has read, `closed` the code and reason of the end."""

    def __init__(self, high: int = 64, low: int = 16) -> None:
        self.taken = b""
        self.closed: tuple[int, str] | None = None
        self.full = False
        self._high = high
        self._low = low
        self._waiting = b""
        self._on_full: Callable[[], None] | None = None
        self._on_drained: Callable[[], None] | None = None

    @property
    def buffered(self) -> int:
        return len(self._waiting)

    def framing(self, kind: str, /) -> Framing:
        return plain

    def write(self, data: bytes, /) -> None:
        if self.closed is not None:
            return
        self._waiting += data
        if len(self._waiting) > self._high and not self.full:
            self.full = True
            if self._on_full is not None:
                self._on_full()

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        self._on_full, self._on_drained = full, drained

    def close(self, code: int, reason: str, /) -> None:
        if self.closed is None:
            self.closed = (code, reason)

    def take(self, count: int | None = None) -> bytes:
        """The client reads `count` bytes, or all that wait for it; returns them."""
        taken = self._waiting if count is None else self._waiting[:count]
        self._waiting = self._waiting[len(taken) :]
        self.taken += taken
        if self.full and len(self._waiting) <= self._low:
            self.full = False
            if self._on_drained is not None:
                self._on_drained()
        return taken
