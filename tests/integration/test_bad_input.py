"""Bad input over raw sockets: each is answered by name, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.app import Application
from gateway.config import load
from gateway.wire.server import Binding
from gateway.wire.server import serve as serve_here
from tests.integration.badness import BROKEN_OFF, CONFIG, FRAMES, REQUESTS, UPSTREAMS, get
from tests.integration.frames import PING, PONG, frame, handshake, read_close, read_frame
from tests.integration.gateways import Gateway, write_config
from tests.integration.lint import faults
from tests.integration.processes import LIMIT, come
from tests.integration.raw import ask, connected, parse, talk
from tests.integration.scripted import Scripted, Shared

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"


@pytest.fixture
async def running(shared: Shared, upstream: Scripted) -> AsyncIterator[Gateway]:
    await shared.gateway.idle()  # or the backend's faults were told to who follows it still
    before = len(shared.gateway.process.complained)
    yield shared.gateway
    upstream.answer = OK
    assert (await ask(shared.gateway.port, get())).body == b"[]", "the gateway serves on"
    assert shared.gateway.process.complained[before:] == []


@pytest.mark.parametrize("name", REQUESTS)
async def test_bad_requests(name: str, running: Gateway) -> None:
    data, status = REQUESTS[name]
    answer = parse(await talk(running.port, data))
    assert answer.status == status
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert problem["code"]
    assert problem["detail"]
    assert answer.rest == b"", "nothing is answered twice"
    assert faults(answer, data.split(b" ")[0].decode("latin-1") if status == 405 else "GET") == []
    if status == 405:
        assert answer.header(b"allow") == b"GET, HEAD"
    if status == 426:
        assert answer.header(b"sec-websocket-version") == b"13"
        assert answer.header(b"upgrade") == b"websocket"


async def test_the_refused_connection_of_a_head_is_not_told_a_body(running: Gateway) -> None:
    answer = parse(await talk(running.port, get(target="/nowhere", method="HEAD")), head_only=True)
    assert answer.status == 404
    assert answer.rest == b""


@pytest.mark.parametrize("together", [False, True], ids=["after the handshake", "with the handshake"])
@pytest.mark.parametrize("name", FRAMES)
async def test_bad_frames(name: str, together: bool, running: Gateway) -> None:
    data, code = FRAMES[name]
    async with connected(running.port) as (reader, writer):
        writer.write(handshake("/api/shirts") + (data if together else b""))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        if not together:
            await read_frame(reader)  # the snapshot or the status
            writer.write(data)
        close = await read_close(reader)
        assert close.code == code
        if code == 4400:
            assert close.reason == "this stream takes no messages"
        writer.write(frame(8, code.to_bytes(2, "big")))
        assert await reader.read() == b""


async def test_a_client_that_never_answers_the_close_is_cut_off(running: Gateway) -> None:
    async with connected(running.port) as (reader, writer):
        writer.write(handshake("/api/shirts") + frame(1, b"hello"))
        await reader.readuntil(b"\r\n\r\n")
        assert (await read_close(reader)).code == 4400
        assert await reader.read() == b""


async def test_a_ping_is_no_message(running: Gateway) -> None:
    async with connected(running.port) as (reader, writer):
        writer.write(handshake("/api/shirts") + frame(PING, b"are you there") + frame(PONG))
        await reader.readuntil(b"\r\n\r\n")
        while (got := await read_frame(reader)).opcode != PONG:
            pass
        assert got.payload == b"are you there"
        writer.write(frame(8, (1000).to_bytes(2, "big")))
        assert (await read_close(reader)).code == 1000


async def test_the_stream_of_a_well_behaved_neighbour_goes_on(running: Gateway) -> None:
    async with connected(running.port) as (reader, writer):
        writer.write(handshake("/api/shirts"))
        await reader.readuntil(b"\r\n\r\n")
        for data, _ in FRAMES.values():
            async with connected(running.port) as (theirs, bad):
                bad.write(handshake("/api/shirts") + data)
                await theirs.readuntil(b"\r\n\r\n")
                await read_close(theirs)
        writer.write(frame(PING))
        while (await read_frame(reader)).opcode != PONG:
            pass


@pytest.mark.parametrize("name", UPSTREAMS)
async def test_upstream_garbage_is_502(name: str, upstream: Scripted, running: Gateway) -> None:
    upstream.answer = UPSTREAMS[name]
    answer = await ask(running.port, get())
    assert answer.status == 502
    assert json.loads(answer.body)["code"] == "upstream_protocol"
    assert answer.header(b"content-type") == b"application/problem+json"
    assert faults(answer) == []


@pytest.mark.parametrize("name", BROKEN_OFF)
async def test_an_answer_that_breaks_off_is_not_made_whole(name: str, upstream: Scripted, running: Gateway) -> None:
    upstream.answer = BROKEN_OFF[name]
    data = await talk(running.port, get())
    assert data.startswith(b"HTTP/1.1 502 ") or not whole(data)


def whole(data: bytes) -> bool:
    try:
        parse(data)
    except AssertionError:
        return False
    return True


async def storm(port: int, seed: int, count: int) -> int:
    """Everything bad at once, some of it cut half-way; how many answers came."""
    dice = random.Random(seed)
    cases = [data for data, _ in REQUESTS.values()] + [handshake("/api/shirts") + data for data, _ in FRAMES.values()]
    cases += [get(), handshake("/api/shirts"), get("Accept: text/event-stream", target="/api/shirts")]
    gate = asyncio.Semaphore(100)

    async def one(data: bytes, cut: int, wait: bool) -> int:
        async with gate, connected(port) as (reader, writer):
            writer.write(data[:cut])
            await writer.drain()
            if not wait:
                return 0
            first = await reader.read(12)
            return first.startswith(b"HTTP/1.1")

    sent = []
    for _ in range(count):
        data = dice.choice(cases)
        whole_one = dice.random() < 0.5
        sent.append(one(data, len(data) if whole_one else dice.randrange(len(data)), whole_one))
    return sum(await asyncio.gather(*sent))


async def test_a_storm_leaves_nothing_behind(running: Gateway) -> None:
    def left() -> tuple[float, float, float]:
        metrics = running.metrics()
        pooled = metrics["tidegate_upstream_connections"]
        return metrics["tidegate_connections"], metrics["tidegate_streams"], running.descriptors() - pooled

    await storm(running.port, 1, 20)
    await come(lambda: left()[:2] == (1, 0), "the first streams are gone")
    before = left()
    answered = await storm(running.port, 2, 600)
    assert answered > 200
    await come(lambda: left() <= before, f"all is as before: {before}, not {left()}")
    assert running.process.popen.poll() is None
    await come(lambda: running.metrics()["tidegate_channels"] == 0, "polls have ended")


async def test_a_storm_leaves_no_task(upstream: Scripted, shared: Shared, tmp_path: Path) -> None:
    """The same in this process, where tasks can be counted."""
    url = f"http://127.0.0.1:{shared.sock.getsockname()[1]}"
    settings = load(str(write_config(tmp_path, CONFIG.format(url=url))), {})
    app = Application(settings)
    binding = Binding(app=app, listen=settings.listen[0], lifespan=True)
    started: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    alone = asyncio.all_tasks()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve_here(
                [binding],
                limits=settings.limits,
                stats=app.stats,
                access=app.access,
                stop=stop,
                started=started.set_result,
            )
        )
        port = urlsplit((await started)[0]).port or 0
        before = asyncio.all_tasks()
        assert await storm(port, 3, 300) > 100
        async with asyncio.timeout(LIMIT):
            while asyncio.all_tasks() - upstream.tasks != before:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)
        assert app.stats.connections == 0
        assert (await ask(port, get())).body == b"[]"
        stop.set()
    assert asyncio.all_tasks() - upstream.tasks == alone
