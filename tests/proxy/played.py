"""An upstream, its calls and an ASGI client in plain lists: for what needs no sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.core.asgi import Headers, Message
from gateway.core.http import Answer
from gateway.errors import UpstreamError
from gateway.plugin import Asker, UpstreamCall
from gateway.proxy.inbound import Inbound
from gateway.proxy.reply import Reply
from tests.proxy.test_inbound import Wire, scope_of


class Call:
    """An answer that is whole at once, or comes in `pieces`; `error` breaks it off."""

    def __init__(self, status: int = 200, headers: Headers | None = None, *pieces: bytes) -> None:
        self.status = status
        self.reason = b""
        self.headers: Headers = headers or []
        self.trailers: Headers = []
        self.notes: dict[object, Any] = {}
        self.headed = True
        self.buffered = 0
        self.pieces = list(pieces)
        self.error: UpstreamError | None = None
        self.full_after = 1_000_000
        self.written: list[bytes] = []
        self.ended: Headers | None = None
        self.closed = 0
        self.come = asyncio.Event()
        self.come.set()

    @property
    def whole(self) -> bytes | None:
        if self.error is not None or len(self.pieces) > 1 or not self.come.is_set():
            return None
        return self.pieces.pop() if self.pieces else b""

    async def write(self, data: bytes) -> bool:
        self.written.append(data)
        return len(self.written) < self.full_after

    def end(self, trailers: Headers) -> None:
        self.ended = trailers

    async def head(self) -> None:
        await self.come.wait()
        self.headed = True
        if self.error is not None and not self.status:
            raise self.error

    async def read(self) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        if self.error is not None:
            raise self.error
        return b""

    def close(self) -> None:
        self.closed += 1


class Upstream:
    """Answers with one call; keeps what was asked of it."""

    def __init__(self, call: Call, host: bytes | None = None) -> None:
        self.name = "shop"
        self.host = host
        self.call = call
        self.busy = False
        self.asked: list[tuple[bytes, bytes, Headers, bytes | None]] = []
        self.readied: list[tuple[bytes, bytes, bytes]] = []
        self.asker: Asker | None = None
        self.then: Callable[[], None] | None = None
        self.settled = 0

    def ready(self, headers: Headers) -> bytes:
        return b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n"

    def ask(self, method: bytes, target: bytes, ready: bytes, asker: Asker, then: Callable[[], None]) -> Call | None:
        if self.busy:
            return None
        self.readied.append((method, target, ready))
        self.asker, self.then = asker, then
        return self.call

    async def settle(self, call: UpstreamCall) -> Call:
        assert call is self.call
        self.settled += 1
        return self.call

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        raise AssertionError("the proxy does not fetch")

    async def request(
        self, method: bytes, target: bytes, headers: Headers, body: bytes, asker: Asker | None = None
    ) -> Call:
        self.asked.append((method, target, headers, body))
        self.asker = asker
        return self.call

    async def open(self, method: bytes, target: bytes, headers: Headers, asker: Asker | None = None) -> Call:
        self.asked.append((method, target, headers, None))
        self.asker = asker
        return self.call


class Client:
    """The ASGI side: gives these messages, then waits; `leave` makes it go."""

    def __init__(self, *bodies: bytes, more: bool = False) -> None:
        self.messages: list[Message] = [
            {"type": "http.request", "body": body, "more_body": more or index < len(bodies) - 1}
            for index, body in enumerate(bodies)
        ]
        self.sent: list[Message] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        if self.messages:
            return self.messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(dict(message))

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def kinds(self) -> Sequence[str]:
        return [message["type"].removeprefix("http.response.") for message in self.sent]


def inbound(*headers: tuple[bytes, bytes], wire: bool = True, **more: object) -> Inbound:
    return Inbound(scope_of(*headers, wire=Wire([(b"Host", b"gate"), *headers], []) if wire else None, **more))


def reply(client: Client, *, wire: bool = True, method: str = "GET", added: Headers | None = None) -> Reply:
    return Reply(inbound(wire=wire, method=method), client.send, added or [])
