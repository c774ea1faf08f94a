"""A backend that costs almost nothing: the same small JSON for every request, pipelined or not.

It counts blank lines and parses nothing else, so it is for requests without a body. Prints its port. With
`--numbered` each answer has a header of its own, so that no head comes twice.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import cast

import uvloop

_BODY = json.dumps({"id": 7, "name": "shirt", "sizes": ["S", "M", "L", "XL"], "note": "."}).encode()
_BODY = _BODY[:-2] + b"." * (200 - len(_BODY)) + _BODY[-2:]
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: canned\r\nContent-Type: application/json\r\nContent-Length: 200\r\n"
    b'ETag: "1f3870be"\r\nCache-Control: no-cache\r\n\r\n' + _BODY
)
_BLANK = b"\r\n\r\n"
_NUMBERED = _ANSWER.replace(_BLANK, b"\r\nX-Request-Id: %012d" + _BLANK, 1)
_numbers = itertools.count() if "--numbered" in sys.argv else None


class Canned(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        count = data.count(_BLANK)
        self._rest = data[data.rfind(_BLANK) + 4 :] if count else data
        if count and self._transport is not None:
            self._transport.write(_ANSWER * count if _numbers is None else _numbered(count))


def _numbered(count: int) -> bytes:
    return b"".join(_NUMBERED % number for number in itertools.islice(_numbers or (), count))


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
