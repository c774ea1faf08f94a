"""A plain ASGI application that echoes WebSocket messages; as a program, on the gateway's server. Prints the port."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.settings import Limits, Listen
from gateway.core.stats import Stats
from gateway.wire.server import Binding, serve

# As fast as the load can: the peers have no such limits.
_UNLIMITED = Limits(messages_per_second=10**9, bytes_per_second=10**12)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back every text."""
    if scope["type"] == "lifespan":
        await _life(receive, send)
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def _life(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})


def _started(urls: list[str]) -> None:
    print(urls[0].rpartition(":")[2].strip("/"), flush=True)


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    binding = Binding(app=app, listen=Listen(address="127.0.0.1:0"), lifespan=False)
    await serve([binding], limits=_UNLIMITED, stats=Stats(), access=NoAccessLog(), stop=stop, started=_started)


if __name__ == "__main__":
    uvloop.run(main())
