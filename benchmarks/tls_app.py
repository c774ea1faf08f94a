"""An application for `tls`: it accepts WebSockets, and answers GET with a large body. Prints its two ports.

`python -m benchmarks.tls_app FOLDER` writes its certificate to the folder; it listens without and with TLS.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import trustme
import uvloop

from gateway.core.access import NoAccessLog
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.settings import Limits, Listen, ServerTls
from gateway.core.stats import Stats
from gateway.wire.server import Binding, serve

PIECE = bytes(64 * 1024)
PIECES = 1024


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """64 MB to whoever asks, and a WebSocket that says nothing."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    length = b"%d" % (len(PIECE) * PIECES)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    for number in range(PIECES):
        await send({"type": "http.response.body", "body": PIECE, "more_body": number < PIECES - 1})


def _started(urls: list[str]) -> None:
    print(*(url.rpartition(":")[2].strip("/") for url in urls), flush=True)


async def main(folder: Path) -> None:
    cert = str(folder / "cert.pem")
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(cert)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listens = [
        Listen(address="127.0.0.1:0"),
        Listen(address="127.0.0.1:0", tls=ServerTls(cert=cert, key=cert)),
    ]
    bindings = [Binding(app=app, listen=listen, lifespan=False) for listen in listens]
    limits = Limits(connections_per_ip=50_000)  # all clients are from one
    await serve(bindings, limits=limits, stats=Stats(), access=NoAccessLog(), stop=stop, started=_started)


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
