"""The gateway's server without the gateway: an application that writes ready frames to whoever connects.

What it costs is the cost of `gateway.wire` alone, which tells a regression there from one above it.
Messages come one a line from a Unix socket. Prints the port.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import uvloop

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Framing, Receive, Scope, Send, Writer
from gateway.core.settings import Limits, Listen
from gateway.core.stats import Stats
from gateway.wire.server import Binding, serve

_READ = 65536


class Audience:
    """An ASGI application; everyone who connects is sent everything."""

    def __init__(self) -> None:
        self._writers: set[Writer] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._listen(scope, receive, send)

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        writer: Writer = scope["extensions"]["tidegate.wire"]
        self._writers.add(writer)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self._writers.discard(writer)

    def write(self, lines: list[bytes]) -> None:
        """Frame once, join, and write the same bytes to everyone."""
        framing: Framing | None = None
        frames = b""
        for writer in self._writers:
            if framing is None:
                framing = writer.framing("text")
                frames = b"".join([framing(line) for line in lines])
            writer.write(frames)


async def obey(path: str, audience: Audience) -> None:
    """Take messages from one publisher after the other."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        while True:
            publisher, _ = await loop.sock_accept(listener)
            with publisher:
                publisher.setblocking(False)
                await _pass_on(publisher, audience)


async def _pass_on(publisher: socket.socket, audience: Audience) -> None:
    loop, rest = asyncio.get_running_loop(), b""
    while data := await loop.sock_recv(publisher, _READ):
        *lines, rest = (rest + data).split(b"\n")
        audience.write(lines)


def _started(urls: list[str]) -> None:
    print(urls[0].rpartition(":")[2].strip("/"), flush=True)


async def main(path: str) -> None:
    audience, stop = Audience(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    binding = Binding(app=audience, listen=Listen(address="127.0.0.1:0"), lifespan=False)
    async with asyncio.TaskGroup() as group:
        publisher = group.create_task(obey(path, audience))
        await serve(
            [binding],
            limits=Limits(connections_per_ip=50_000),
            stats=Stats(),
            access=NoAccessLog(),
            stop=stop,
            started=_started,
        )
        publisher.cancel()
    os.unlink(path)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
