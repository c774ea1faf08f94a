"""Upstreams that do what a test tells them, byte by byte, on real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from gateway.core.settings import Pool, Timeouts, UpstreamSettings, UpstreamTls
from tests.lines import listening

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.writer = writer
        self.number = number

    async def head(self) -> bytes:
        """The next request's head. Raises EOFError when the client closes instead."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def body(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def send(self, *pieces: bytes) -> None:
        """Write; each piece is sent on its own, as far as the kernel allows."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def closed(self) -> None:
        """Wait until the client has closed."""
        with suppress(OSError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Break the connection."""
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Upstream:
    """A listening server; `peers` are the connections it had, `heads` the requests that `head` saw."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self.failures: list[BaseException] = []
        self.port = 0
        self.count = 0
        self.peers: list[Peer] = []
        self.running = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, self.count)
        self.count += 1
        self.peers.append(peer)
        self.running += 1
        script = self._scripts[min(peer.number, len(self._scripts) - 1)]
        try:
            await script(peer)
        except (EOFError, OSError):
            pass
        except Exception as failure:
            self.failures.append(failure)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self.running -= 1

    def settings(
        self, *, pool: Pool | None = None, timeouts: Timeouts | None = None, **more: object
    ) -> UpstreamSettings:
        values: dict[str, object] = {"name": "shop", "scheme": "http", "host": "127.0.0.1", "port": self.port}
        values |= {"pool": pool or Pool(), "timeouts": timeouts or Timeouts(connect=5, response=5, idle=5)}
        return UpstreamSettings(**{**values, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def upstream(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    """The first connection is served by the first script and so on; the last serves the rest."""
    this = Upstream(*scripts)
    async with listening(this._serve, tls=tls) as this.port:
        yield this
    assert not this.failures, this.failures


def answers(*responses: bytes) -> Script:
    """Answer one request after the other; the last answer is repeated."""

    async def script(peer: Peer) -> None:
        number = 0
        while True:
            await peer.head()
            await peer.send(responses[min(number, len(responses) - 1)])
            number += 1

    return script


def says(*pieces: bytes) -> Script:
    """Answer one request with these pieces, then close."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(*pieces)

    return script


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something that a real socket will bring about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is nobody who could set an event
            await asyncio.sleep(0.001)


__all__ = ["OK", "Peer", "Pool", "Timeouts", "Upstream", "UpstreamTls", "answers", "says", "until", "upstream"]
