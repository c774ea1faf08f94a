"""A source for measurements: publishes what it is told over a Unix socket, one message a line.

`ours.py` installs it for one server process by an entry point, so that events take the product's own path
from `Publisher.state` to the client. The line `collect` asks for a garbage collection.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket

from gateway.plugin import Json, Options, Plugin, Publisher, Request, Share, Source, SourcePlugin, Target
from gateway.plugin.context import Context

_READ = 65536
_IDLE: list[Json] = list(range(100))  # makes the document dearer than a patch of it, so that patches are sent


class Told(Options):
    """`socket` is the path that this source listens on while it has subscribers; `.NUMBER` follows for `{number}`."""

    socket: str


class ToldSource:
    """Every line becomes the channel's new state."""

    def __init__(self, options: Told, _: Context) -> None:
        self._path = options.socket

    def share(self, request: Request) -> Share:
        """Everyone shares one channel."""
        return Share(key=b"", headers=[])

    async def follow(self, target: Target, publish: Publisher) -> None:
        """One publisher after the other, until cancelled."""
        await publish.state(_document(""))
        loop = asyncio.get_running_loop()
        number = target.params.get("number")
        with _listener(self._path if number is None else f"{self._path}.{number}") as listener:
            while True:
                publisher, _ = await loop.sock_accept(listener)
                with publisher:
                    await self._obey(publisher, publish)

    async def _obey(self, publisher: socket.socket, publish: Publisher) -> None:
        loop, rest = asyncio.get_running_loop(), b""
        publisher.setblocking(False)
        while data := await loop.sock_recv(publisher, _READ):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line == b"collect":
                    gc.collect()
                    await loop.sock_sendall(publisher, b"done\n")
                else:
                    await publish.state(_document(line.decode()))


def _document(text: str) -> Json:
    return {"text": text, "idle": _IDLE}


def _listener(path: str) -> socket.socket:
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.setblocking(False)
    return listener


def _make(options: Told, context: Context) -> Source:
    return ToldSource(options, context)


plugin: SourcePlugin[Told] = Plugin(Told, _make)
