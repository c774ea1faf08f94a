"""The application of `hello`, for any ASGI server; as a program it runs on ours, and prints the port."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.settings import Limits, Listen
from gateway.core.stats import Stats
from gateway.wire.server import Binding, serve

_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers everything with hello."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])  # how ASGI servers are told that there is no lifespan
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b"hello"})


def _started(urls: list[str]) -> None:
    print(urls[0].rpartition(":")[2], flush=True)


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    binding = Binding(app=app, listen=Listen(address="127.0.0.1:0"), lifespan=False)
    await serve([binding], limits=Limits(), stats=Stats(), access=NoAccessLog(), stop=stop, started=_started)


if __name__ == "__main__":
    uvloop.run(main())
