"""A connection that the test can cut, as networks do, and on which it can see every byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.lines import Lines


@dataclass(slots=True)
class Relay:
    """Passes bytes on to `target`, and keeps them: `up` went there, `down` came back."""

    target: int = 0
    port: int = 0
    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    _lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        self._lines = Lines(self._serve)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def to(self, port: int) -> None:
        self.target = port

    def forget(self) -> None:
        self.up.clear()
        self.down.clear()

    async def start(self) -> None:
        self.port = self._lines.listen()

    async def stop(self) -> None:
        await self._lines.stop()

    def cut(self) -> None:
        """End every connection without a word."""
        self._lines.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass(reader, their_writer, self.up))
                group.create_task(_pass(their_reader, writer, self.down))
        except* OSError:  # an end is gone, and then the other one is cut
            pass
        finally:
            their_writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    while data := await reader.read(65536):
        kept += data
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
