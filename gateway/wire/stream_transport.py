"""One HTTP/2 stream as a transport, so that the WebSocket of HTTP/1.1 runs over it unchanged (RFC 8441).

Translates its first write, the head of our own HTTP/1.1 response, into the fields of HTTP/2; from then on bytes are
bytes. Gives the peer credit for what has been read, and no more. Knows no library: a `Carrier` has the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.core.asgi import Headers

# As in `http1`.
HIGH_WATER = 64 * 1024
LOW_WATER = 16 * 1024

# What says in HTTP/1.1 that a connection changes, and in HTTP/2 goes without saying or may not be said.
_HTTP1_ONLY = frozenset({b"connection", b"upgrade", b"transfer-encoding", b"keep-alive"})
# What our handshake says to a client that sent no key, as none has to here (RFC 8441 section 5); but undici does.
_NO_KEY = (b"sec-websocket-accept", b"")


class Carrier(Protocol):
    """The connection of a stream. What is put leaves in order, as the peer's window allows; nothing here waits."""

    def begin(self, stream: int, status: bytes, headers: Headers) -> None:
        """Send the head of the response."""

    def put(self, stream: int, data: bytes) -> None: ...

    def finish(self, stream: int) -> None:
        """Send END_STREAM after all that was put; `StreamTransport.finished` is called then."""

    def cancel(self, stream: int) -> None:
        """Reset the stream."""

    def release(self, stream: int) -> None:
        """Tell the peer that nothing it might still say is wanted."""

    def credit(self, stream: int, size: int) -> None:
        """The peer may send that much more."""

    def waiting(self, stream: int) -> int:
        """Bytes put and not sent."""

    def gone(self, stream: int) -> None:
        """The stream is done with."""


class StreamTransport(asyncio.Transport):
    """`received`, `ended`, `sent`, `finished` and `lost` are the carrier's to call."""

    def __init__(
        self, carrier: Carrier, stream: int, loop: asyncio.AbstractEventLoop, extra: Mapping[str, object]
    ) -> None:
        super().__init__(dict(extra))
        self._carrier = carrier
        self._stream = stream
        self._loop = loop
        self._protocol: asyncio.Protocol | None = None
        self._high, self._low = HIGH_WATER, LOW_WATER
        self._held: list[tuple[bytes, int]] = []  # received while reading is paused; the peer's window bounds it
        self._begun = False  # the response has a head
        self._paused = False
        self._full = False
        self._closing = False
        self._over = False  # the peer has said all
        self._gone = False

    def __repr__(self) -> str:
        state = "gone" if self._gone else "closing" if self._closing else "open" if self._begun else "new"
        return f"<StreamTransport {self._stream}: {state}>"

    # The carrier.

    def received(self, data: bytes, credit: int) -> None:
        """Bytes of the peer, and how much of its window they took."""
        if self._closing or self._gone:
            self._carrier.credit(self._stream, credit)
        elif self._paused or self._held:
            self._held.append((data, credit))
        else:
            self._deliver(data, credit)

    def ended(self) -> None:
        """The peer has said all."""
        self._over = True
        if not self._held:
            self._end_of_file()

    def sent(self) -> None:
        """Some of what was put is on its way."""
        if self._full and self._carrier.waiting(self._stream) <= self._low and not self._gone:
            self._full = False
            if self._protocol is not None:
                self._protocol.resume_writing()

    def finished(self) -> None:
        """All that was put is sent, and END_STREAM after it.

        As TCP's close, ours ends both directions (RFC 9113 section 8.1 has a word for it): undici waits for that.
        """
        if not (self._over or self._gone):
            self._carrier.release(self._stream)
        self.lost(None)

    def lost(self, error: Exception | None) -> None:
        """The stream is no more."""
        if self._gone:
            return
        self._gone = self._closing = True
        self._held.clear()
        self._carrier.gone(self._stream)
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error)

    def _deliver(self, data: bytes, credit: int) -> None:
        self._carrier.credit(self._stream, credit)
        if data and self._protocol is not None:
            self._protocol.data_received(data)

    def _end_of_file(self) -> None:
        if not self._closing and self._protocol is not None and not self._protocol.eof_received():
            self.close()

    # asyncio.Transport

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]  # asyncio types all of them as the base

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not (self._paused or self._closing)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        if self._held:
            self._loop.call_soon(self._catch_up)  # never within the protocol's own call

    def _catch_up(self) -> None:
        while self._held and not (self._paused or self._closing):
            self._deliver(*self._held.pop(0))
        if self._over and not self._held:
            self._end_of_file()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER if high is None else high
        self._low = min(LOW_WATER, self._high) if low is None else low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return 0 if self._gone else self._carrier.waiting(self._stream)

    def write(self, data: Any) -> None:
        if self._closing:
            return
        rest = bytes(data) if self._begun else self._begin(bytes(data))
        if not rest:
            return
        self._carrier.put(self._stream, rest)
        if not self._full and self._carrier.waiting(self._stream) > self._high:
            self._full = True
            if self._protocol is not None:
                self._protocol.pause_writing()

    def _begin(self, response: bytes) -> bytes:
        """Send the head of a response of ours as HTTP/2 has it; what follows the head."""
        head, _, rest = response.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        status = first.split(b" ", 2)[1]
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        self._begun = True
        # RFC 8441 section 5: the answer to CONNECT that opens a WebSocket is 200.
        self._carrier.begin(
            self._stream,
            b"200" if status == b"101" else status,
            [pair for pair in fields if pair[0] not in _HTTP1_ONLY and pair != _NO_KEY],
        )
        return rest

    def can_write_eof(self) -> bool:
        """No: clients take END_STREAM for the end of both directions, or never end theirs."""
        return False

    def close(self) -> None:
        """The stream ends when all is sent."""
        if self._closing:
            return
        self._closing = True
        for _, credit in self._held:
            self._carrier.credit(self._stream, credit)
        self._held.clear()
        self._carrier.finish(self._stream)

    def abort(self) -> None:
        if not self._gone:
            self._carrier.cancel(self._stream)
            self.lost(None)
