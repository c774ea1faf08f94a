"""HTTP/1.1 as bytes: requests as the test wrote them, answers as they came, nothing interpreted on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.integration.processes import LIMIT

Pairs = list[tuple[bytes, bytes]]

HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding"}


@dataclass(slots=True)
class Answer:
    """`interim` holds the heads of 1xx answers before it; `body` is without its chunks."""

    line: bytes
    headers: Pairs
    body: bytes = b""
    trailers: Pairs = field(default_factory=list)
    interim: list[bytes] = field(default_factory=list)
    rest: bytes = b""

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    def end_to_end(self) -> Pairs:
        return [(name, value) for name, value in self.headers if name.lower() not in HOP_BY_HOP]


def parse(data: bytes, *, head_only: bool = False) -> Answer:
    """One answer and what came before and after it. Fails on anything that is not one."""
    interim = []
    while True:
        head, blank, data = data.partition(b"\r\n\r\n")
        assert blank, f"no whole head: {head[:200]!r}"
        line, *lines = head.split(b"\r\n")
        assert line.startswith(b"HTTP/1.1 "), line
        if not line.startswith(b"HTTP/1.1 1") or line.startswith(b"HTTP/1.1 101"):
            break
        interim.append(head)
    answer = Answer(line, _pairs(lines), interim=interim)
    if head_only or answer.status in (101, 204, 304):
        answer.rest = data
    elif answer.header(b"transfer-encoding") == b"chunked":
        _dechunk(answer, data)
    else:
        length = int(answer.header(b"content-length") or len(data))
        assert len(data) >= length, "the body is cut off"
        answer.body, answer.rest = data[:length], data[length:]
    return answer


def _pairs(lines: list[bytes]) -> Pairs:
    return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


def _dechunk(answer: Answer, data: bytes) -> None:
    pieces = []
    while True:
        size, blank, data = data.partition(b"\r\n")
        assert blank, "the body is cut off"
        length = int(size, 16)
        if length == 0:
            break
        assert data[length : length + 2] == b"\r\n"
        pieces.append(data[:length])
        data = data[length + 2 :]
    answer.body = b"".join(pieces)
    while not data.startswith(b"\r\n"):
        line, blank, data = data.partition(b"\r\n")
        assert blank, "the trailers are cut off"
        answer.trailers += _pairs([line])
    answer.rest = data[2:]


def request(method: str, target: str, headers: list[str] | None = None, body: bytes = b"", host: str = "shop") -> bytes:
    """A request after which the connection is closed."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(headers or []), "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is cut at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        async with asyncio.timeout(LIMIT):
            yield reader, writer
    finally:
        writer.transport.abort()


async def talk(port: int, data: bytes) -> bytes:
    """Everything that comes back until the connection closes."""
    async with connected(port) as (reader, writer):
        writer.write(data)
        return await reader.read()


async def ask(port: int, data: bytes) -> Answer:
    answer = parse(await talk(port, data), head_only=data.startswith(b"HEAD "))
    assert answer.rest == b""
    return answer
