"""The answer to one client: what was begun, what was sent, and in which ASGI messages.

Decides nothing about upstreams; passes an answer on as it comes, or makes one where there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.headers import response_headers, trailer_headers
from gateway.core.http import header
from gateway.core.problem import problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.asgi import Header, Headers, Message, Send
    from gateway.plugin import UpstreamCall
    from gateway.proxy.inbound import Inbound


def answered(call: UpstreamCall, added: Sequence[Header]) -> Headers:
    """The headers of an answer; a good one gets `added`."""
    headers: Headers | None = call.notes.get(response_headers)
    if headers is None:
        headers = call.notes[response_headers] = response_headers(call.headers)
    return [*headers, *added] if added and call.status < 400 else headers


class Reply:
    """`status` is 0 until a response has begun; `sent` counts body bytes; `streaming` says it is an event stream."""

    __slots__ = ("_added", "_mute", "_plain", "_send", "_trailing", "sent", "status", "streaming")

    def __init__(self, inbound: Inbound, send: Send, added: Sequence[Header] = ()) -> None:
        self._added = added
        self._send = send
        self._mute = inbound.method == "HEAD"
        self._plain = inbound.wire is None
        self._trailing = inbound.trailing
        self.status = self.sent = 0
        self.streaming = False

    async def whole(self, call: UpstreamCall, body: bytes) -> None:
        """Pass on an answer that is all here."""
        trailers = trailer_headers(call.trailers) if call.trailers and self._trailing else []
        send = self._send
        await send(self._begin(call, trailers=bool(trailers)))
        await send({"type": "http.response.body", "body": body})
        self.sent = len(body)
        if trailers:
            await self._trail(trailers)

    async def stream(self, call: UpstreamCall) -> None:
        """Pass on an answer while it comes."""
        self.streaming = (header(call.headers, b"content-type") or b"").lower().startswith(b"text/event-stream")
        # Only a chunked answer can have trailers; whether it does is known at its end.
        trailing = self._trailing and header(call.headers, b"transfer-encoding") is not None
        await self._send(self._begin(call, trailers=trailing))
        if not call.buffered:  # a server may hold the head back until there is a body: an event stream must open
            await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        while data := await call.read():
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self.sent += len(data)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if trailing:
            await self._trail(trailer_headers(call.trailers))

    async def problem(self, status: int, code: str, detail: str) -> None:
        """Answer in the upstream's place."""
        headers, body = problem(status, code, detail)
        start = self._start(status, headers, trailers=False)
        start["tidegate.problem"] = code, detail  # who asks from inside need not parse the body
        await self._send(start)
        await self._send({"type": "http.response.body", "body": b"" if self._mute else body})
        self.sent = 0 if self._mute else len(body)

    def _begin(self, call: UpstreamCall, *, trailers: bool) -> Message:
        start = self._start(call.status, answered(call, self._added), trailers=trailers)
        if call.reason and not self._plain:
            start["tidegate.reason"] = call.reason
        return start

    def _start(self, status: int, headers: Headers, *, trailers: bool) -> Message:
        self.status = status
        if self._plain:  # ASGI wants lower-case names; our own server sends what the upstream wrote
            headers = [(name.lower(), value) for name, value in headers]
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        if trailers:
            start["trailers"] = True
        return start

    async def _trail(self, trailers: Headers) -> None:
        if self._plain:
            trailers = [(name.lower(), value) for name, value in trailers]
        await self._send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})
