"""A backend that plays what it is told, right or wrong, and a gateway that many tests share in front of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.gateways import Gateway, serve

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Scripted:
    """Answers each connection's first request with `answer`, or as `play` does, and closes.

    `asked` are the heads it has read, `tasks` are its own.
    """

    answer: bytes = b""
    play: Play | None = None
    asked: list[bytes] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=sock)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await (self.play or self._answer)(reader, writer)
            await writer.drain()
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self.tasks.discard(task)

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
