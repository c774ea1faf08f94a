"""How connections of HTTP/2 end that have nothing done wrong: they are told, and what they asked for is answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame

from gateway.core import flood
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.rate import Rate
from gateway.core.settings import Limits
from gateway.wire import http2, hypercorn, sweep
from gateway.wire.http2 import Http2Protocol
from gateway.wire.http2_frames import PREFACE
from tests.wire.wired import Running, responds, serving, soon

NO_ERROR, REFUSED = 0, 7
SETTINGS = bytes(3) + b"\4\0" + bytes(4)
FIELDS = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x")]


class Held:
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await self.go.wait()
        await send({"type": "http.response.body", "body": b" and half"})
        self.left = True


class Raw:
    """A client that goes on after GOAWAY, as RFC 9113 has it and h2 does not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._encoder = Encoder()
        self.frames: list[Frame] = []
        writer.write(PREFACE + SETTINGS)

    def ask(self, stream: int) -> None:
        block = self._encoder.encode(FIELDS)
        self._writer.write(HeadersFrame(stream, block, flags=["END_STREAM", "END_HEADERS"]).serialize())

    def leave(self, code: int) -> None:
        self._writer.write(GoAwayFrame(0, last_stream_id=0, error_code=code).serialize())

    async def read(self) -> bool:
        """Another frame; false at the end."""
        head = await self._reader.read(9)
        if not head:
            return False
        if len(head) < 9:
            head += await self._reader.readexactly(9 - len(head))
        frame, size = Frame.parse_frame_header(memoryview(head))
        frame.parse_body(memoryview(await self._reader.readexactly(size)))
        self.frames.append(frame)
        return True

    async def until(self, kind: type[Frame], stream: int) -> None:
        async with asyncio.timeout(10):
            while not any(isinstance(frame, kind) and frame.stream_id == stream for frame in self.frames):
                assert await self.read(), f"the connection ended: {self.frames}"

    async def end(self) -> None:
        async with asyncio.timeout(10):
            while await self.read():
                pass

    def goodbyes(self) -> list[tuple[int, int]]:
        return [(one.error_code, one.last_stream_id) for one in self.frames if isinstance(one, GoAwayFrame)]

    def refused(self) -> list[tuple[int, int]]:
        return [(one.stream_id, one.error_code) for one in self.frames if isinstance(one, RstStreamFrame)]

    def body(self, stream: int) -> tuple[bytes, bool]:
        """What came of a response, and whether it is whole."""
        pieces = [one for one in self.frames if isinstance(one, DataFrame) and one.stream_id == stream]
        return b"".join(one.data for one in pieces), any("END_STREAM" in one.flags for one in pieces)


@asynccontextmanager
async def raw(running: Running) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


WHOLE = (b"half and half", True)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "LINGER", 0.01)
    monkeypatch.setattr(http2, "QUIET", 0.01)


@pytest.fixture
def retired(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Is set when a connection is told to take no more requests."""
    done = asyncio.Event()
    retire = Http2Protocol.retire

    def watched(self: Http2Protocol) -> None:
        retire(self)
        done.set()

    monkeypatch.setattr(Http2Protocol, "retire", watched)
    return done


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "TICK", 0.01)
    monkeypatch.setattr(sweep, "EXCHANGE_PERIOD", 0.02)


OLD = Limits(connection_time=0.02)


async def test_a_connection_without_requests_is_told_and_closed() -> None:
    async with serving(responds(200, [], b"ok")) as running, raw(running) as http:
        http.ask(1)
        http.ask(3)
        await http.until(DataFrame, 3)
        running.stop.set()
        await http.end()
        assert http.goodbyes() == [(NO_ERROR, 3)]
        assert http.refused() == []


async def test_requests_under_way_are_answered_when_the_server_stops(retired: asyncio.Event) -> None:
    held = Held()
    async with serving(held) as running, raw(running) as http:
        http.ask(1)
        await http.until(DataFrame, 1)
        running.stop.set()
        await retired.wait()
        http.ask(3)
        await http.until(RstStreamFrame, 3)
        assert http.goodbyes() == [(NO_ERROR, 1)]
        http.ask(5)
        await http.until(RstStreamFrame, 5)
        held.go.set()
        await http.end()
        assert http.body(1) == WHOLE
        assert http.refused() == [(3, REFUSED), (5, REFUSED)]
        assert running.stats.refused == {"going_away": 2}
        assert http.goodbyes() == [(NO_ERROR, 1)], "once"
        assert held.asked == 1


async def test_who_begins_while_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    initiate = Http2Protocol.initiate

    async with serving(responds()) as running:

        async def late(self: Http2Protocol) -> None:
            running.stop.set()
            for _ in range(10):
                await asyncio.sleep(0)
            await initiate(self)

        monkeypatch.setattr(Http2Protocol, "initiate", late)
        async with raw(running) as http:
            await http.end()
            assert http.goodbyes() == [(NO_ERROR, 0)]


@pytest.mark.usefixtures("fast")
async def test_a_connection_that_grows_old_ends_in_an_idle_moment() -> None:
    held = Held()
    async with serving(held, limits=OLD) as running, raw(running) as http:
        http.ask(1)
        await http.until(DataFrame, 1)
        held.go.set()
        await http.end()
        assert http.body(1) == WHOLE
        assert http.goodbyes() == [(NO_ERROR, 1)]
        assert not running.done.done()


@pytest.mark.usefixtures("fast")
async def test_one_that_is_never_idle_takes_no_more(monkeypatch: pytest.MonkeyPatch, retired: asyncio.Event) -> None:
    monkeypatch.setattr(hypercorn, "STALL_VISITS", 0)
    held = Held()
    async with serving(held, limits=OLD) as running, raw(running) as http:
        http.ask(1)
        await http.until(DataFrame, 1)
        await retired.wait()
        assert http.goodbyes() == [], "not before it asks for more"
        http.ask(3)
        await http.until(RstStreamFrame, 3)
        assert (http.goodbyes(), http.refused()) == ([(NO_ERROR, 1)], [(3, REFUSED)])
        held.go.set()
        await http.end()
        assert http.body(1) == WHOLE


@pytest.mark.usefixtures("fast")
async def test_requests_that_are_turned_away_cost_their_client_something(
    retired: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flood, "POINTS", Rate(0, flood.POINTS.burst))  # as if no time went by
    held = Held()
    async with serving(held) as running, raw(running) as http:
        http.ask(1)
        await http.until(DataFrame, 1)
        running.stop.set()
        await retired.wait()
        with contextlib.suppress(OSError, AssertionError):  # a reset may overtake what it is told
            for begin in range(3, 5000, 100):
                for stream in range(begin, begin + 100, 2):
                    http.ask(stream)
                await http.until(RstStreamFrame, stream)
        assert len(http.goodbyes()) <= 2
        assert running.stats.refused["http2_flood"] == 1
        held.go.set()


async def test_a_client_that_leaves_is_answered() -> None:
    """As Node does that was told to leave. A request after it is against the rules."""
    held = Held()
    async with serving(held) as running, raw(running) as http:
        http.ask(1)
        http.leave(NO_ERROR)
        await http.until(DataFrame, 1)
        held.go.set()
        await http.end()
        assert http.body(1) == WHOLE
        assert http.goodbyes() == [(NO_ERROR, 1)]


async def test_a_client_that_leaves_with_an_error_is_not() -> None:
    held = Held()
    async with serving(held) as running, raw(running) as http:
        http.ask(1)
        await http.until(DataFrame, 1)
        http.leave(2)
        await http.end()
        assert http.body(1) == (b"half", False)
        await soon(lambda: running.stats.connections == 0)
        held.go.set()
        await soon(lambda: held.left)


async def test_a_request_that_crosses_with_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "LINGER", 30)
    async with serving(responds(200, [], b"ok")) as running:
        async with raw(running) as http:
            http.ask(1)
            await http.until(DataFrame, 1)
            running.stop.set()
            await http.until(GoAwayFrame, 0)
            http.ask(3)
            await http.until(RstStreamFrame, 3)
            assert (http.goodbyes(), http.refused()) == ([(NO_ERROR, 1)], [(3, REFUSED)])
        await running.done  # the client has left, and nothing waits for it


async def test_an_idle_connection_is_told() -> None:
    async with serving(responds(200, [], b"ok"), limits=Limits(idle_time=0.05)) as running, raw(running) as http:
        http.ask(1)
        await http.end()
        assert http.body(1) == (b"ok", True)
        assert http.goodbyes() == [(NO_ERROR, 1)]
