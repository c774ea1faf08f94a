"""Backends of the fuzz targets: one that writes down what it reads, and one that says what it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

from tests.fuzz.world import Hose
from tests.integration.test_corpus import Got

PROBE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe"


@dataclass
class Records:
    """What all connections of the recorder have read."""

    complete: list[Got] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def connect(self, hose: Hose) -> Recorder:
        return Recorder(hose, self)


class Recorder:
    """Reads requests as h11 does, and answers each that is complete."""

    def __init__(self, hose: Hose, records: Records) -> None:
        self._hose = hose
        self._records = records
        self._server = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
        self._got = Got(b"", b"", [])

    def received(self, data: bytes, /) -> None:
        try:
            self._server.receive_data(data)
            while self._step():
                pass
        except h11.RemoteProtocolError as error:
            self._records.wrong.append(f"{error}: {data!r}")

    def ended(self) -> None:
        """A request that breaks off is what the gateway does to bad ones."""

    def _step(self) -> bool:
        server, event = self._server, self._server.next_event()
        if isinstance(event, h11.Request):
            self._got = Got(event.method, event.target, event.headers.raw_items())
        elif isinstance(event, h11.Data):
            self._got.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self._got.headers += event.headers.raw_items()
            self._records.complete.append(self._got)
            self._say(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            self._say(h11.EndOfMessage())
            server.start_next_cycle()
        elif server.they_are_waiting_for_100_continue:
            self._say(h11.InformationalResponse(status_code=100, headers=[]))
        else:
            return False
        return True

    def _say(self, event: h11.Event) -> None:
        data = self._server.send(event)
        if data:
            self._hose.loop.call_soon(self._hose.say, data)


@dataclass
class Lies:
    """What the liar says next to /case."""

    pieces: list[bytes] = field(default_factory=list)
    told: list[Hose] = field(default_factory=list)

    def connect(self, hose: Hose) -> Liar:
        return Liar(hose, self)


class Liar:
    """Answers anything else honestly."""

    def __init__(self, hose: Hose, lies: Lies) -> None:
        self._hose = hose
        self._lies = lies
        self._read = b""

    def received(self, data: bytes, /) -> None:
        self._read += data
        if b"\r\n\r\n" not in self._read:
            return
        case = b" /case " in self._read
        self._read = b""
        if case:
            self._lies.told.append(self._hose)
        for piece in self._lies.pieces if case else [PROBE]:
            self._hose.loop.call_soon(self._hose.say, piece)

    def ended(self) -> None:
        """Whatever it had to say, it has said."""
