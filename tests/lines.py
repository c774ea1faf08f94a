"""A server in the test's own loop, whose connections end with it: also those that have only just been accepted.

asyncio's own, up to Python 3.12 at least, leaves those unclosed when it is closed meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.testing.source import turn

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Lines:
    """`serve` has each connection until it returns; what it has not closed itself is cut then."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._tls = tls
        self._sock: socket.socket | None = None
        self._open: dict[asyncio.Task[None], socket.socket | asyncio.StreamWriter] = {}

    def listen(self, port: int = 0, sock: socket.socket | None = None) -> int:
        """Begin, on a socket of its own or one that listens already; the port."""
        self._sock = sock or socket.create_server(("127.0.0.1", port))
        self._sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self._sock, self._accept, self._sock)
        number: int = self._sock.getsockname()[1]
        return number

    async def stop(self) -> None:
        """As a process that is killed."""
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None
        self.cut()
        await asyncio.gather(*self._open, return_exceptions=True)
        await turn()  # what was cut is closed

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """Those of the connections that are open."""
        return set(self._open)

    def cut(self) -> None:
        """End every connection without a word."""
        for task, end in tuple(self._open.items()):
            if isinstance(end, asyncio.StreamWriter):
                end.transport.abort()
            task.cancel()

    def _accept(self, sock: socket.socket) -> None:
        try:
            connection, _ = sock.accept()
        except (BlockingIOError, ConnectionError):  # who called has hung up
            return
        task = asyncio.get_running_loop().create_task(self._run(connection))
        self._open[task] = connection
        task.add_done_callback(self._ended)

    async def _run(self, connection: socket.socket) -> None:
        try:
            reader, writer = await self._streams(connection)
        except OSError:  # a TLS handshake that failed
            return
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    async def _streams(self, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def _ended(self, task: asyncio.Task[None]) -> None:
        end = self._open.pop(task)
        if isinstance(end, socket.socket):  # it never began
            end.close()
        if not task.cancelled() and (error := task.exception()) is not None:  # told now, not when it is collected
            task.get_loop().call_exception_handler({"message": "a test's own server failed", "exception": error})


@asynccontextmanager
async def listening(
    serve: Serve, sock: socket.socket | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """`Lines` on a free port for as long as the block takes; the port."""
    lines = Lines(serve, tls)
    try:
        yield lines.listen(sock=sock)
    finally:
        await lines.stop()
