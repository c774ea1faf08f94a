"""Bodies on the wire: both ways, as they come, of any size, and never more of them in memory than is in flight."""

from __future__ import annotations

import asyncio

from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT
from tests.integration.raw import connected, parse, request
from tests.integration.scripted import Scripted

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /**
    upstream: shop
"""
MB = 1024 * 1024
SIZE = 64 * MB
# The gateway may hold some hundred KB; what else it grows by is the allocator's.
GROWTH = 12 * MB
BLOCK = bytes(range(256)) * 256
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPLOAD = b"POST /x HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n"


class Pour:
    """Writes a big body as fast as the other side takes it, and counts."""

    def __init__(self) -> None:
        self.sent = 0

    async def into(self, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)
        while self.sent < SIZE:
            writer.write(BLOCK)
            await writer.drain()
            self.sent += len(BLOCK)

    async def stalled(self) -> int:
        """Wait until nothing more is taken; how much was."""
        async with asyncio.timeout(LIMIT):
            before, still = -1, 0
            while still < 20:
                await asyncio.sleep(0.02)
                still = still + 1 if self.sent == before and self.sent else 0
                before = self.sent
        return self.sent


async def drink(reader: asyncio.StreamReader) -> int:
    """Read to the end; how much there was. Fails on anything that is not the blocks in their order."""
    size = 0
    while data := await reader.read(65536):
        start = size % len(BLOCK)
        assert data == (BLOCK + BLOCK)[start : start + len(data)]
        size += len(data)
    return size


async def test_a_download_waits_for_its_reader(upstream: Scripted, running: Gateway) -> None:
    pour = Pour()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        await pour.into(writer)

    upstream.play = play
    before = running.resident()
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=65536)
    try:
        writer.write(request("GET", "/x"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: %d" % SIZE in head
        assert await pour.stalled() < SIZE // 2, "the backend was not held back"
        assert running.resident() - before < GROWTH
        async with asyncio.timeout(LIMIT):
            assert await drink(reader) == SIZE
        assert running.resident() - before < GROWTH
    finally:
        writer.transport.abort()


async def test_an_upload_waits_for_the_backend(upstream: Scripted, running: Gateway) -> None:
    go, drunk = asyncio.Event(), []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        size = 0
        while size < SIZE:
            size += len(await reader.read(MB))
        drunk.append(size)
        writer.write(OK)

    upstream.play = play
    pour = Pour()
    before = running.resident()
    async with connected(running.port) as (reader, writer), asyncio.TaskGroup() as group:
        writer.write(UPLOAD + b"Content-Length: %d\r\n\r\n" % SIZE)
        group.create_task(pour.into(writer))
        assert await pour.stalled() < SIZE // 2, "the client was not held back"
        assert running.resident() - before < GROWTH
        go.set()
        assert parse(await reader.read()).body == b"ok"
    assert drunk == [SIZE]
    assert running.resident() - before < GROWTH


async def read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A chunked body and the bytes of its trailers."""
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    trailers = b""
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers += line
    return body, trailers


async def test_a_chunked_upload_is_sent_on_as_it_comes(upstream: Scripted, running: Gateway) -> None:
    asked: list[bytes] = []
    arrived = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        assert await reader.readexactly(10) == b"5\r\nfirst\r\n"
        arrived.set()
        asked.extend(await read_chunks(reader))
        writer.write(OK)

    upstream.play = play
    async with connected(running.port) as (reader, writer):
        writer.write(UPLOAD + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;ext=1\r\nfirst\r\n")
        await arrived.wait()
        writer.write(b"6\r\nsecond\r\n0\r\nX-Sum: 1\r\nAuthorization: no\r\n\r\n")
        assert parse(await reader.read()).body == b"ok"
    head, body, trailers = asked
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    assert b"Content-Length" not in head
    assert (body, trailers) == (b"second", b"X-Sum: 1\r\n")


async def test_expect_100_is_the_backends_to_answer(upstream: Scripted, running: Gateway) -> None:
    asked: list[bytes] = []
    go = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await go.wait()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        asked.append(await reader.readexactly(5))
        writer.write(OK)

    upstream.play = play
    async with connected(running.port) as (reader, writer):
        writer.write(UPLOAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        async with asyncio.timeout(LIMIT):
            while not asked:  # noqa: ASYNC110 - the backend's list is no event
                await asyncio.sleep(0.02)
        go.set()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue\r\n")
        writer.write(b"hello")
        assert parse(await reader.read()).body == b"ok"
    assert b"\r\nExpect: 100-continue\r\n" in asked[0]
    assert asked[1] == b"hello"


async def test_a_body_that_the_backend_refuses_is_never_sent(upstream: Scripted, running: Gateway) -> None:
    rest: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!")
        writer.write_eof()
        rest.append(await reader.read())

    upstream.play = play
    async with connected(running.port) as (reader, writer):
        writer.write(UPLOAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        answer = parse(await reader.read())
    assert (answer.status, answer.body, answer.interim) == (413, b"no!", [])
    async with asyncio.timeout(LIMIT):
        while not rest:  # noqa: ASYNC110 - the backend's list is no event
            await asyncio.sleep(0.02)
    assert rest == [b""]


async def test_an_answer_before_the_end_of_the_upload(upstream: Scripted, running: Gateway) -> None:
    """The client learns that it sends for nothing, however much there still is to send."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!")

    upstream.play = play
    async with connected(running.port) as (reader, writer):
        writer.write(UPLOAD + b"Content-Length: %d\r\n\r\n" % SIZE + BLOCK)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401 ")
        assert await reader.readexactly(3) == b"no!"


async def test_an_upload_that_is_cut_off_is_not_made_whole(upstream: Scripted, running: Gateway) -> None:
    seen: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        seen.append(await reader.read())

    upstream.play = play
    for framing in (b"Content-Length: 1000000\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
        seen.clear()
        async with connected(running.port) as (_, writer):
            writer.write(UPLOAD + framing)
            async with asyncio.timeout(LIMIT):
                while not upstream.tasks:  # noqa: ASYNC110 - connections are no events
                    await asyncio.sleep(0.02)
        async with asyncio.timeout(LIMIT):
            while not seen:  # noqa: ASYNC110 - the backend's list is no event
                await asyncio.sleep(0.02)
        assert not seen[0].endswith(b"0\r\n\r\n")
        assert len(seen[0]) < 100
