"""A REST request inside the gateway: the ASGI server's side of it, in memory.

The application is asked as any server would ask it, so routes, rules, limits and books are those of REST. Its
answer is collected up to a limit; an error of the gateway's own becomes a ClientError again.
"""

from __future__ import annotations

import asyncio

from gateway.core.asgi import Headers, Message
from gateway.errors import ClientError
from gateway.live.flow import Flow


class Asked:
    """`receive` and `send` of one request; then its `status`, `headers` and `body`."""

    __slots__ = ("_flow", "_given", "_limit", "_parts", "_problem", "_request", "_size", "headers", "status")

    def __init__(self, body: bytes, limit: int, flow: Flow) -> None:
        self._request = body
        self._given = False
        self._limit = limit
        self._flow = flow
        self._parts: list[bytes] = []
        self._problem: tuple[str, str] | None = None
        self._size = 0
        self.status = 0
        self.headers: Headers = []

    @property
    def body(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    async def receive(self) -> Message:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._request, "more_body": False}
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # who gives up cancels

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = message["headers"]
            self._problem = message.get("tidegate.problem")
            self._check_type()
        elif message["type"] == "http.response.body" and message.get("body"):
            self._take(bytes(message["body"]))
            if message.get("more_body") and not self._flow.open:
                await self._flow.room()  # the client does not read: neither do we

    def result(self) -> None:
        """Raises ClientError where the gateway itself has answered."""
        if self._problem is not None:
            raise ClientError(self.status, *self._problem)

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise ClientError(
                502, "too_big", f"the answer has more than {self._limit} bytes, the limit of this session"
            )
        self._parts.append(data)

    def _check_type(self) -> None:
        for name, value in self.headers:
            if name == b"content-type" and value.lower().startswith(b"text/event-stream"):
                raise ClientError(502, "stream", "the answer is an event stream, which has no end; subscribe instead")
