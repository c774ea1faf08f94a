"""A client of HTTP/3, by aioquic's own, whose streams a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration

from gateway.core.asgi import Headers
from gateway.wire.bell import Bell

LIMIT = 20.0


@dataclass
class Answer:
    """What came on one stream; `reset` is the code it was broken off with."""

    stream: int
    bell: Bell
    heads: list[Headers] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    stopped: int | None = None

    @property
    def status(self) -> int:
        return int(self[b":status"] or 0)

    def __getitem__(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.heads[0] if key == name), None)

    async def over(self) -> Answer:
        async with asyncio.timeout(LIMIT):
            while not self.ended and self.reset is None:
                await self.bell.wait()
        return self

    async def has(self, *parts: bytes) -> None:
        """Wait until the body holds these."""
        async with asyncio.timeout(LIMIT):
            while not all(part in self.body for part in parts):
                assert not self.ended, self.body
                await self.bell.wait()


class Client(QuicConnectionProtocol):
    """A connection. `closed` is the code it ended with."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.h3 = H3Connection(self._quic)
        self.answers: dict[int, Answer] = {}
        self.closed: int | None = None
        self.authority = b""
        self.bell = Bell()

    @property
    def quic(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - aioquic's connection
        return self._quic

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.ConnectionTerminated):
            self.closed = event.error_code
            for answer in self.answers.values():
                answer.reset = answer.reset if answer.ended else event.error_code
        for told in self.h3.handle_event(event):
            if isinstance(told, HeadersReceived | DataReceived):
                answer = self.answers[told.stream_id]
                if isinstance(told, HeadersReceived):
                    answer.heads.append(told.headers)
                else:
                    answer.body += told.data
                answer.ended = answer.ended or told.stream_ended
        if isinstance(event, events.StreamReset):
            self.answers[event.stream_id].reset = event.error_code
        if isinstance(event, events.StopSendingReceived):
            self.answers[event.stream_id].stopped = event.error_code
        self.bell.ring()

    def ask(
        self, path: str = "/", *, method: str = "GET", headers: Headers | None = None, body: bytes | None = b""
    ) -> Answer:
        """Send a request; a `body` of None is sent by the test, with `more`."""
        stream = self._quic.get_next_available_stream_id()
        answer = self.answers[stream] = Answer(stream, self.bell)
        pseudo = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", self.authority),
            (b":path", path.encode()),
        ]
        self.h3.send_headers(stream, [*pseudo, *(headers or [])], end_stream=body == b"")
        if body:
            self.h3.send_data(stream, body, end_stream=True)
        self.transmit()
        return answer

    def more(self, answer: Answer, data: bytes, *, last: bool = False) -> None:
        self.h3.send_data(answer.stream, data, end_stream=last)
        self.transmit()

    async def get(self, path: str, **options: object) -> Answer:
        return await self.ask(path, **options).over()  # type: ignore[arg-type]


@asynccontextmanager
async def http3(url: str, ca: bytes, **options: object) -> AsyncIterator[Client]:
    """A client of the server at an https URL whose certificate is of this authority."""
    parts = urlsplit(url)
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN, cadata=ca, server_name="localhost", **options  # type: ignore[arg-type]
    )  # fmt: skip
    async with asyncio.timeout(60):
        async with connect(
            parts.hostname or "", parts.port or 0, configuration=configuration, create_protocol=Client
        ) as client:
            assert isinstance(client, Client)
            client.authority = parts.netloc.encode()
            yield client
