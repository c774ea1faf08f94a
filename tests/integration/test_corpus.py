"""The hostile corpus against the gateway: what it answers, and what a recording upstream gets to read.

Everything runs in one event loop, so that each piece a client sends is one read of the server.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import h11
import pytest
import pytest_asyncio

from gateway.app import Application
from gateway.core.asgi import Headers
from gateway.core.route import parse_template
from gateway.core.settings import Gateway, Limits, PluginUse, Route, UpstreamSettings
from gateway.plugin import Options
from gateway.wire.reader import RequestReader
from tests.corpus.passed import HANGING, PASSED, Seen
from tests.corpus.requests import REFUSED
from tests.lines import listening
from tests.wire.test_reader import Requests
from tests.wire.wired import Running, serving

PROBE = b"GET /probe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

pytestmark = pytest.mark.asyncio(loop_scope="module")

Way = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    """Byte by byte; what only makes a case large comes in larger pieces."""
    single = min(len(data), 400) if len(data) < 2000 else 40
    return [data[at : at + 1] for at in range(single)] + [data[at : at + 997] for at in range(single, len(data), 997)]


WAYS = [whole, bytewise]


@dataclass
class Got:
    """A request as h11 reads it."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes = b""


@dataclass
class Recorder:
    """An upstream that answers everything, keeps all bytes, and fails the test when h11 can't read them."""

    port: int = 0
    complete: list[Got] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    wrong: list[Exception] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
        try:
            while await self._one(server, reader, writer):
                server.start_next_cycle()
        except h11.RemoteProtocolError as error:
            if "closed" not in str(error):  # a request that breaks off is what the gateway does to bad ones
                self.wrong.append(error)

    async def _one(self, server: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        got: Got | None = None
        while True:
            event = server.next_event()
            if event is h11.NEED_DATA:
                if server.they_are_waiting_for_100_continue:
                    writer.write(server.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                data = b""
                with suppress(ConnectionError):
                    data = await reader.read(65536)
                self.raw.append(data)
                server.receive_data(data)
            elif isinstance(event, h11.Request):
                got = Got(event.method, event.target, event.headers.raw_items())
            elif isinstance(event, h11.Data):
                assert got is not None
                got.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert got is not None
                got.headers += event.headers.raw_items()
                self.complete.append(got)
                writer.write(server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")])) or b"")
                server.send(h11.EndOfMessage())
                return True
            else:
                return False


@dataclass
class Front:
    """A gateway in front of a recorder."""

    server: Running
    app: Application
    upstream: Recorder

    async def talk(self, pieces: list[bytes]) -> bytes:
        """Everything that comes back until the gateway closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        answer = asyncio.get_running_loop().create_task(reader.read())
        with suppress(ConnectionError):
            await self.send(writer, pieces)
        try:
            async with asyncio.timeout(5):
                return await answer
        finally:
            writer.transport.abort()

    @staticmethod
    async def send(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            for _ in range(3):
                await asyncio.sleep(0)

    async def probe(self) -> None:
        """The gateway answers others as before, and what they ask is what the upstream reads."""
        before = len(self.upstream.complete)
        assert statuses(await self.talk([PROBE])) == [200]
        assert [got.target for got in self.upstream.complete[before:]] == [b"/probe"]
        assert not self.upstream.wrong


def settings_for(port: int) -> Gateway:
    """A gateway that passes everything to that port."""
    return Gateway(
        listen=(),
        admin=None,
        broker=PluginUse(name="memory", options=Options()),
        upstreams={"shop": UpstreamSettings(name="shop", scheme="http", host="127.0.0.1", port=port)},
        routes=(Route(name="all", path=parse_template("/**"), upstream="shop"),),
        access_log="off",
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Front]:
    """One gateway for all cases: that it survives them is half of what they show."""
    recorder = Recorder()
    async with listening(recorder.serve) as port:
        app = Application(settings_for(port))
        async with serving(app.lead, lifespan=True) as server:
            asyncio.get_running_loop().set_debug(False)  # which costs more than the cases do
            yield Front(server, app, recorder)


@pytest.fixture
def front(shared: Front) -> Front:
    shared.upstream.complete.clear()
    shared.upstream.raw.clear()
    shared.server.stats.refused.clear()
    shared.app.stats.refused.clear()
    return shared


def statuses(data: bytes) -> list[int]:
    """Of all final answers in a stream whose bodies hold no status lines."""
    found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]
    return [status for status in found if status >= 200]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REFUSED)
async def test_refused(name: str, way: Way, front: Front) -> None:
    data, status = REFUSED[name]
    answer = await front.talk(way(data))
    assert statuses(answer) == [status], answer
    assert front.upstream.complete == []
    assert not received(front) or name.startswith("chunk")
    assert sum(front.server.stats.refused.values()) + sum(front.app.stats.refused.values()) == 1
    await front.probe()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PASSED)
async def test_passed(name: str, way: Way, front: Front) -> None:
    data, expected, seen = PASSED[name]
    answer = await front.talk(way(data))
    assert statuses(answer) == expected, answer
    assert len(front.upstream.complete) == len(seen), received(front)
    for got, want in zip(front.upstream.complete, seen, strict=True):
        agrees(got, want)
    reads_alike(received(front), front.upstream.complete)
    await front.probe()


def received(front: Front) -> bytes:
    """All bytes that the upstream got since the case began."""
    return b"".join(front.upstream.raw)


def agrees(got: Got, want: Seen) -> None:
    assert (got.method, got.target, got.body) == (want.method, want.target, want.body)
    headers = [(name.lower(), value) for name, value in got.headers]
    for pair in want.has:
        assert [value for name, value in headers if name == pair[0]] == [pair[1]]
    assert not {name for name, _ in headers} & set(want.lacks)
    assert len([name for name, _ in headers if name == b"host"]) == 1
    assert len([name for name, _ in headers if name in (b"content-length", b"transfer-encoding")]) <= 1


def reads_alike(raw: bytes, complete: list[Got]) -> None:
    """What went out means the same to h11 and to our own reader."""
    requests, rest = Requests(), raw
    reader = RequestReader(requests, Limits())
    while rest:
        rest = rest[reader.feed(rest) :]
        if reader.whole:
            reader.reset()
    ours = [(one.head.method.encode(), one.body, one.head.raw_headers + one.head.trailers) for one in requests.all]
    assert ours == [(got.method, got.body, got.headers) for got in complete]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HANGING)
async def test_hanging(name: str, way: Way, front: Front) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.server.port)
    await front.send(writer, way(HANGING[name]))
    await front.probe()
    writer.transport.abort()
    assert await reader.read() == b""
    await front.probe()
    assert [got.target for got in front.upstream.complete] == [b"/probe", b"/probe"]
