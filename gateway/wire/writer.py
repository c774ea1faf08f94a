"""The extension `tidegate.wire` where a server has it, and a stand-in where it has not.

The stand-in gives the same behaviour over ASGI's `send`: it takes the same ready bytes, so whoever writes need
not know; one coroutine, `pump`, carries them to the client. Slower, because each frame becomes a message again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.core.asgi import Framing, Scope, Send, Writer
from gateway.wire.bell import Bell
from gateway.wire.frames import BINARY, FRAMINGS, TEXT, split
from gateway.wire.response import identity

# As in `http1`: the marks that asyncio's own transports have.
_HIGH_WATER = 64 * 1024
_LOW_WATER = 16 * 1024

_FRAMINGS: Mapping[str, Mapping[str, Framing]] = {"websocket": FRAMINGS, "http": {"body": identity}}


def writer_for(scope: Scope, send: Send) -> Writer:
    """The writer of an exchange that has been accepted or started. When it has `pump`, somebody must run that."""
    wire: Writer | None = (scope.get("extensions") or {}).get("tidegate.wire")
    return wire if wire is not None else Pump(scope["type"], send)


class Pump:
    """A Writer on `send`; `pump` sends until `close`, or until the client is gone."""

    __slots__ = ("_bell", "_data", "_drained", "_end", "_framings", "_full", "_open", "_send", "buffered", "full")

    def __init__(self, kind: str, send: Send) -> None:
        self._framings = _FRAMINGS[kind]
        self._send = send
        self._bell = Bell()
        self._data: list[bytes] = []
        self._open = True
        self._end: tuple[int, str] | None = None
        self._full: Callable[[], None] | None = None
        self._drained: Callable[[], None] | None = None
        self.buffered = 0
        self.full = False

    def framing(self, kind: str, /) -> Framing:
        return self._framings[kind]

    def write(self, data: bytes, /) -> None:
        if not self._open:
            return
        self._data.append(data)
        self.buffered += len(data)
        self._bell.ring()
        if self.buffered > _HIGH_WATER and not self.full:
            self.full = True
            if self._full is not None:
                self._full()

    def on_flow(self, full: Callable[[], None], drained: Callable[[], None], /) -> None:
        self._full, self._drained = full, drained

    def close(self, code: int, reason: str, /) -> None:
        if self._open:
            self._open = False
            self._end = code, reason
            self._bell.ring()

    async def pump(self) -> None:
        """Carry what is written to the client. Returns after `close`, or when the client is gone."""
        try:
            while self._data or self._end is None:
                if self._data:
                    await self._carry()
                else:
                    await self._bell.wait()
            await self._finish(*self._end)
        except OSError:
            pass  # ASGI 3.0: how `send` says that the client is gone; `receive` tells the application
        finally:
            self._open = False
            self._data.clear()
            self.buffered = 0

    async def _carry(self) -> None:
        """Send the oldest bytes."""
        data = self._data.pop(0)
        if "body" in self._framings:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        else:
            for opcode, payload in split(data):
                if opcode == TEXT:
                    await self._send({"type": "websocket.send", "text": payload.decode()})
                elif opcode == BINARY:
                    await self._send({"type": "websocket.send", "bytes": payload})
        self.buffered -= len(data)
        if self.full and self.buffered <= _LOW_WATER:
            self.full = False
            if self._drained is not None:
                self._drained()

    async def _finish(self, code: int, reason: str) -> None:
        if "body" in self._framings:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
