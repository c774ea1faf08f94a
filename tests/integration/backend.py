"""A plain REST backend that records what it is asked and can be told to misbehave.

HTTP/1.1 on asyncio streams, without any framework between: what it answers is what the test wrote. It knows shirts,
one list for each Authorization header, and pushes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from tests.lines import Lines

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came. `at` is the monotonic time of its arrival."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(slots=True)
class Backend:
    """`mode` is "ok", "error" (500), "gone" (404), "hang" (no answer), or "garbage" (no HTTP).

    `hold` delays answers until it is set, `stale` those of reads, which are then as of when they were asked for: `late`
    of them wait. `marks` are headers of every answer to a read.
    """

    shirts: dict[str, list[Item]] = field(default_factory=lambda: {"": [{"id": 1, "stock": 12}]})
    mode: str = "ok"
    asked: list[Asked] = field(default_factory=list)
    hold: asyncio.Event | None = None
    stale: asyncio.Event | None = None
    late: int = 0
    marks: list[str] = field(default_factory=list)
    port: int = 0
    _lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        self._lines = Lines(self._serve)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.port = self._lines.listen(self.port)

    async def stop(self) -> None:
        """Cut every connection, as a process that is killed."""
        await self._lines.stop()

    def last(self, target: str) -> Asked:
        """The latest request for a target: others come in between, of polls that linger."""
        return next(asked for asked in reversed(self.asked) if asked.target == target)

    def polls(self, token: str = "") -> list[Asked]:
        return [asked for asked in self.asked if asked.method == "GET" and asked.header("authorization") == token]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await _read(reader):
            self.asked.append(asked)
            if self.hold is not None:
                await self.hold.wait()
            if self.mode == "hang":
                await asyncio.Event().wait()
            answer = b"\x00not HTTP\r\n\r\n" if self.mode == "garbage" else self._answer(asked)
            if self.stale is not None and asked.method == "GET":
                self.late += 1
                await self.stale.wait()
                self.late -= 1
            writer.write(answer)
            await writer.drain()

    def _answer(self, asked: Asked) -> bytes:
        shirts = self.shirts.get(asked.header("authorization"))
        if self.mode == "error":
            return _response(500, {"error": "out of order"})
        if self.mode == "gone":
            return _response(404, {"error": "no shirts"})
        if shirts is None:
            return _response(401, {"error": "who?"}, ['WWW-Authenticate: Bearer realm="shop"'])
        if asked.method == "PATCH":
            key = int(asked.target.rpartition("/")[2])
            shirt = next(shirt for shirt in shirts if shirt["id"] == key)
            shirt.update(json.loads(asked.body))
            return _response(200, shirt)
        etag = f'"{hashlib.sha256(json.dumps(shirts).encode()).hexdigest()[:12]}"'
        if asked.header("if-none-match") == etag:
            return _response(304, None, [f"ETag: {etag}", *self.marks])
        return _response(200, shirts, [f"ETag: {etag}", *self.marks])


def _response(status: int, body: object, headers: list[str] | None = None) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Said So", "Content-Type: application/json", *(headers or [])]
    if status != 304:
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode() + data


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    asked = Asked(method, target, headers, b"", time.monotonic())
    length = int(asked.header("content-length") or 0)
    return Asked(method, target, headers, await reader.readexactly(length), asked.at) if length else asked
