"""The corpus of hostile answers: what the client of each gets, and that the next client gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import h11
import pytest
import pytest_asyncio

from gateway.app import Application
from tests.corpus.responses import BAD, BROKEN, GOOD
from tests.integration.test_corpus import WAYS, Way, settings_for
from tests.lines import listening
from tests.wire.wired import Answer, parse, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROBE_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe"


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass
class Liar:
    """An upstream that says `pieces` to /case, and "probe" to anything else.

    `reused` says that a connection which had said them was asked again; `ends` that it half-closes after them.
    """

    pieces: list[bytes] = field(default_factory=list)
    ends: bool = False
    reused: bool = False
    said: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lied = False
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"GET /case "):
                self.reused = self.reused or lied
                writer.write(PROBE_ANSWER)
                continue
            lied = True
            await self._lie(writer)

    async def _lie(self, writer: asyncio.StreamWriter) -> None:
        try:
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                for _ in range(3):
                    await asyncio.sleep(0)
            if self.ends:
                writer.write_eof()
        finally:
            self.said.set()


@dataclass
class Front:
    port: int
    upstream: Liar

    async def ask(self, target: bytes) -> bytes:
        """All that comes; the connection may break off."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(get(target))
        data = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(5):
                while piece := await reader.read(65536):
                    data += piece
        writer.transport.abort()
        return data

    async def lie(self, pieces: list[bytes], *, ends: bool) -> bytes:
        this = self.upstream
        this.pieces, this.ends, this.reused = pieces, ends, False
        this.said.clear()
        data = await self.ask(b"/case")
        async with asyncio.timeout(5):
            await this.said.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        return data

    async def probe(self) -> bool:
        """Others get their own answers; whether one of them came over the connection that lied."""
        for _ in range(3):
            assert read(await self.ask(b"/probe")).body == b"probe"
        return self.upstream.reused


def read(data: bytes) -> Answer:
    (answer,) = parse(data, ("GET",), closed=True)
    return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front() -> AsyncIterator[Front]:
    liar = Liar()
    async with listening(liar.serve) as port:
        app = Application(settings_for(port))
        async with serving(app.lead, lifespan=True) as server:
            asyncio.get_running_loop().set_debug(False)  # which costs more than the cases do
            yield Front(server.port, liar)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BAD)
async def test_bad_answers(name: str, way: Way, front: Front) -> None:
    answer = read(await front.lie(way(BAD[name]), ends=True))
    assert (answer.status, answer[b"content-type"]) == (502, b"application/problem+json")
    assert b"evil" not in answer.body
    assert not await front.probe()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", BROKEN)
async def test_answers_that_break_off(name: str, way: Way, front: Front) -> None:
    data = await front.lie(way(BROKEN[name]), ends=True)
    try:
        status = read(data).status
    except (h11.RemoteProtocolError, AssertionError):
        status = 0
    assert status in (0, 502), data
    assert not await front.probe()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", GOOD)
async def test_odd_answers_that_are_passed_on(name: str, way: Way, front: Front) -> None:
    data, status, body, reused = GOOD[name]
    answer = read(await front.lie(way(data), ends="end of the connection" in name))
    assert (answer.status, answer.body) == (status, body)
    names = {key.lower() for key, _ in answer.headers}
    assert not names & {b"x-a", b"keep-alive", b"upgrade"}
    assert await front.probe() is reused
