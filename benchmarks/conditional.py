"""A backend that has not changed: 304 for a request with If-None-Match, a list of 100 items for any other.

As cheap as `upstream`: it looks for blank lines and one header's name. Prints its port.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

import uvloop

ITEMS = json.dumps([{"id": number, "name": "shirt", "stock": number * 7 % 40} for number in range(100)]).encode()
WHOLE = (
    b"HTTP/1.1 200 OK\r\nServer: canned\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b'ETag: "1f3870be"\r\nCache-Control: no-cache\r\n\r\n' % len(ITEMS)
) + ITEMS
NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nServer: canned\r\nETag: "1f3870be"\r\nCache-Control: no-cache\r\n\r\n'
_BLANK = b"\r\n\r\n"


class Unchanged(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(_BLANK)
        if heads and self._transport is not None:
            self._transport.write(b"".join(NOT_MODIFIED if b"if-none-match" in head else WHOLE for head in heads))


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Unchanged, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
