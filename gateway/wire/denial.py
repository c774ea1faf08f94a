"""A handshake that the application answers with a response of its own (ASGI's `websocket.http.response`)."""

from __future__ import annotations

from gateway.core.asgi import Message
from gateway.wire.response import Fields, header_lines


class Denial:
    """The response so far. It is sent whole, because nothing follows it on the connection."""

    __slots__ = ("_fields", "_parts")

    def __init__(self, start: Message) -> None:
        self._fields = Fields(start["status"], start.get("headers", ()))
        self._parts: list[bytes] = []

    def add(self, body: Message) -> bool:
        """Take a body message; whether it was the last."""
        self._parts.append(bytes(body.get("body", b"")))
        return not body.get("more_body", False)

    def response(self, date: bytes) -> bytes:
        """All of it; `date` is the header line of this second."""
        body = b"".join(self._parts)
        lines = [self._fields.data]
        if not self._fields.dated:
            lines.append(date)
        if self._fields.length < 0:
            lines.append(header_lines([(b"content-length", b"%d" % len(body))]))
        return b"".join([*lines, b"connection: close\r\n\r\n", body])
