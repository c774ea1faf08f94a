"""A backend that plays what it is told, right or wrong, and a gateway that many tests share in front of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.gateways import Gateway, serve
from tests.lines import Lines

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Scripted:
    """Answers each connection's first request with `answer`, or as `play` does, and closes.

    `asked` are the heads it has read.
    """

    answer: bytes = b""
    play: Play | None = None
    asked: list[bytes] = field(default_factory=list)
    _lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        self._lines = Lines(self._serve)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """Its own, one for each connection."""
        return self._lines.tasks

    async def start(self, sock: socket.socket) -> None:
        self._lines.listen(sock=sock)

    async def stop(self) -> None:
        await self._lines.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (self.play or self._answer)(reader, writer)
        await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)


@dataclass(frozen=True, slots=True)
class Shared:
    """A gateway, and the socket on which the backend of each test is to listen."""

    gateway: Gateway
    sock: socket.socket


@contextmanager
def shared_gateway(folder: Path, config: str) -> Iterator[Shared]:
    """A gateway on a configuration with `{url}` for its backend's."""
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        running = serve(folder, config.format(url=f"http://127.0.0.1:{sock.getsockname()[1]}"))
        try:
            yield Shared(running, sock)
        finally:
            running.process.kill()
