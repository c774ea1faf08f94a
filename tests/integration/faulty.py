"""A bad line to a good backend: reads fail now and then in every way, validators get lost, writes pass."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import httpx

from tests.lines import Lines

_DROPPED = {"content-length", "transfer-encoding", "connection", "keep-alive", "content-encoding"}
_VALIDATORS = {"etag", "last-modified"}


@dataclass(slots=True)
class Faulty:
    """Passes requests on to `target`; `rate` of the reads fail, `validators` says whether those come through.

    `read` are the targets of the reads.
    """

    target: int
    rate: float = 0.0
    validators: bool = True
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    port: int = 0
    failed: int = 0
    read: list[str] = field(default_factory=list)
    _lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        self._lines = Lines(self._serve)

    async def start(self) -> None:
        self.port = self._lines.listen()

    async def stop(self) -> None:
        await self._lines.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.target}", trust_env=False) as client:
            while await self._exchange(reader, writer, client):
                pass

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: httpx.AsyncClient
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        if method == "GET":
            self.read.append(target)
        headers = dict(line.split(": ", 1) for line in lines)
        length = next((int(value) for name, value in headers.items() if name.lower() == "content-length"), 0)
        answer = await client.request(method, target, headers=headers, content=await reader.readexactly(length))
        dropped = _DROPPED if self.validators else _DROPPED | _VALIDATORS
        kept = [f"{name}: {value}" for name, value in answer.headers.items() if name not in dropped]
        start = "\r\n".join([f"HTTP/1.1 {answer.status_code} Said", *kept, ""])
        whole = f"{start}content-length: {len(answer.content)}\r\n\r\n".encode("latin-1") + answer.content
        if answer.status_code in (204, 304):
            whole = f"{start}\r\n".encode("latin-1")
        if method == "GET" and self.chance.random() < self.rate:
            self.failed += 1
            return await self._fail(writer, whole)
        writer.write(whole)
        await writer.drain()
        return True

    async def _fail(self, writer: asyncio.StreamWriter, whole: bytes) -> bool:
        """An error status, an answer that is cut off, one that is no JSON, or none."""
        broken = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n[{]}..."
        error = b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n"
        wrong = self.chance.choice([error, broken, whole[: len(whole) * 2 // 3], b""])
        writer.write(wrong)
        await writer.drain()
        return wrong in (error, broken)
