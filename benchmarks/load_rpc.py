"""The load of `session_rpc`: small GETs with credentials, over REST connections or over one session.

`python -m benchmarks.load_rpc KIND PORT FLIGHT SECONDS [TOKEN]`: KIND is rest or session, FLIGHT how many requests are
on their way at once (so many connections for REST, all in one session). With a TOKEN the routes are those that look at
it. Prints the fields of a `Load` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import cast

import uvloop

from benchmarks.frames import client_frame

# A signed token and the cookies of a session are about that.
CREDENTIALS = 600
_HOST = "Host: 127.0.0.1\r\nUser-Agent: benchmark\r\nAccept: application/json\r\n"
_WEBSOCKET = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWER = re.compile(rb'"id":(\d+),"status":200')
_BODY = b'"body":'


class Words:
    """What a client sends with these credentials: a whole REST request, a handshake, the requests of a session."""

    def __init__(self, token: str | None) -> None:
        place = "" if token is None else "/mine"
        credentials = f"Authorization: Bearer {token or 't' * 277}\r\nCookie: session="
        credentials += "c" * (CREDENTIALS - len(credentials) - 2) + "\r\n"
        self.path = f"{place or '/api'}/orders/7"
        self.rest = f"GET {self.path} HTTP/1.1\r\n{_HOST}{credentials}\r\n".encode()
        self.upgrade = f"GET {place}/live HTTP/1.1\r\n{_HOST}{credentials}{_WEBSOCKET}\r\n".encode()

    def request(self, number: int) -> bytes:
        return client_frame(b'{"op":"request","id":%d,"path":"%b"}' % (number, self.path.encode()))


class Line(asyncio.Protocol):
    """One connection; `times` are the seconds that each answer took, `up` and `down` the bytes on the wire.

    `answer` is the body of the last one.
    """

    def __init__(self, words: Words) -> None:
        self.words = words
        self.answer = b""
        self.times: list[float] = []
        self.up = self.down = self.bad = 0
        self.greeting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.bad += self._transport is not None

    def data_received(self, data: bytes) -> None:
        self.down += len(data)
        self._data += data
        self.read()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self.up += len(data)
            self._transport.write(data)

    def read(self) -> None:
        """Take what is complete."""

    def stop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


class Rest(Line):
    """One request after the other on a kept-alive connection."""

    def begin(self, flight: int) -> None:
        self._began = time.perf_counter()
        self.write(self.words.rest)

    def read(self) -> None:
        head, blank, body = self._data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank or length is None or len(body) < int(length[1]):
            return
        self._data, self.answer = b"", body
        self.bad += not head.startswith(b"HTTP/1.1 200")
        self.times.append(time.perf_counter() - self._began)
        self.begin(1)


class Session(Line):
    """Many requests at once over one WebSocket."""

    def begin(self, flight: int) -> None:
        self._began: dict[int, float] = {}
        self._next = 0
        self._ask(flight)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.write(self.words.upgrade)

    def read(self) -> None:
        if not self.greeting.done():
            if b'"op":"hello"' in self._data:
                self._data = b""
                self.greeting.set_result(None)
            return
        now, answered = time.perf_counter(), 0
        while (payload := self._frame()) is not None:
            found = _ANSWER.search(payload[:64])
            self.bad += found is None
            if found is not None:
                self.times.append(now - self._began.pop(int(found[1])))
                self.answer = payload.partition(_BODY)[2][:-1]
            answered += 1
        self._ask(answered)

    def _frame(self) -> bytes | None:
        """The payload of a whole frame below 64 KB: answers are small."""
        data = self._data
        start = 4 if len(data) > 1 and data[1] == 126 else 2
        if len(data) < start:
            return None
        end = start + (int.from_bytes(data[2:4], "big") if start == 4 else data[1])
        if len(data) < end:
            return None
        self._data = data[end:]
        return data[start:end]

    def _ask(self, count: int) -> None:
        now, frames = time.perf_counter(), []
        for _ in range(count):
            self._next += 1
            self._began[self._next] = now
            frames.append(self.words.request(self._next))
        if frames:
            self.write(b"".join(frames))


async def ask(kind: str, port: int, flight: int, seconds: float, token: str | None) -> dict[str, object]:
    """The whole work; the fields of a `Load`."""
    loop, words = asyncio.get_running_loop(), Words(token)
    lines: list[Rest | Session]
    if kind == "session":
        _, session = await loop.create_connection(lambda: Session(words), "127.0.0.1", port)
        await asyncio.wait_for(session.greeting, 10)
        session.up = session.down = 0
        lines = [session]
    else:
        lines = [(await loop.create_connection(lambda: Rest(words), "127.0.0.1", port))[1] for _ in range(flight)]
    began = time.perf_counter()
    for line in lines:
        line.begin(flight)
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    for line in lines:
        line.stop()
    times = sorted(second for line in lines for second in line.times)
    milliseconds = [times[len(times) * which // 100] * 1000 if times else 0.0 for which in (50, 99)]
    return {
        "requests": len(times),
        "bad": sum(line.bad for line in lines),
        "seconds": took,
        "up": sum(line.up for line in lines),
        "down": sum(line.down for line in lines),
        "p50_ms": milliseconds[0],
        "p99_ms": milliseconds[1],
        "answers": sorted({line.answer.decode() for line in lines}),
    }


if __name__ == "__main__":
    kind, port, flight, seconds = sys.argv[1:5]
    token = sys.argv[5] if len(sys.argv) > 5 else None
    print(json.dumps(uvloop.run(ask(kind, int(port), int(flight), float(seconds), token))), flush=True)
