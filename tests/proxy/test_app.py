from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, cast

import hypercorn.asyncio
import hypercorn.config
import pytest
import uvicorn

from gateway.core.asgi import App, Receive, Scope, Send
from gateway.core.settings import Timeouts
from gateway.core.stats import Stats
from gateway.proxy.app import Proxy
from gateway.wire.upstream import HttpUpstream
from tests.proxy.passing import ROUTE, Gate, Log, app_of, gate, get, post
from tests.proxy.played import Call
from tests.proxy.played import Client as Played
from tests.proxy.played import Upstream as FakeUpstream
from tests.proxy.test_inbound import scope_of
from tests.wire.scripted import OK, Peer, Script, answers, says, until, upstream
from tests.wire.wired import parse

ADDED = (
    b"X-Forwarded-For: 127.0.0.1\r\n"
    b"X-Forwarded-Proto: http\r\n"
    b"X-Forwarded-Host: gate.example\r\n"
    b"Forwarded: for=127.0.0.1;host=gate.example;proto=http\r\n"
    b"Via: 1.1 tidegate\r\n\r\n"
)


def keeps(heads: list[bytes], *pieces: bytes, body: int = 0) -> Script:
    """Answer with these pieces; keep what was asked."""

    async def script(peer: Peer) -> None:
        heads.append(await peer.head() + await peer.body(body))
        await peer.send(*pieces)

    return script


async def test_a_small_answer_comes_through_byte_for_byte() -> None:
    heads: list[bytes] = []
    answer = b"HTTP/1.1 203 Whatever\r\nX-b: caf\xe9\r\nx-B: 2\r\nDATE: then\r\nContent-Length: 5\r\n\r\nhello"
    async with gate(keeps(heads, answer)) as gateway:
        got = await gateway.raw(get(b"/a%2Fb/../%zz?x=%20&&y", b"User-Agent: t", b"X-Twice: 1", b"x-tWICE: 2"))
        assert got == (
            b"HTTP/1.1 203 Whatever\r\nX-b: caf\xe9\r\nx-B: 2\r\nDATE: then\r\n"
            b"Content-Length: 5\r\nVia: 1.1 tidegate\r\nconnection: close\r\n\r\nhello"
        )
        assert heads == [
            b"GET /a%2Fb/../%zz?x=%20&&y HTTP/1.1\r\nHost: gate.example\r\n"
            b"User-Agent: t\r\nX-Twice: 1\r\nx-tWICE: 2\r\n" + ADDED
        ]
        assert gateway.log.lines == [("GET", "/**", 203, 5)]
        assert dict(gateway.counted.requests) == {("GET", 203): 1}
        assert sum(gateway.counted.seconds.counts) == 1
        assert gateway.counted.in_flight == 0


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"PATCH", b"PUT", b"PROPFIND", b"QUERY"])
async def test_all_methods(method: bytes) -> None:
    heads: list[bytes] = []
    async with gate(keeps(heads, OK)) as gateway:
        got = await gateway.ask(post(method=method))
        assert got.status == 200
        assert heads[0].startswith(method + b" / HTTP/1.1\r\n")
        assert gateway.log.lines == [(method.decode(), "/**", 200, 2)]


async def test_connections_are_kept_on_both_sides() -> None:
    async with gate(answers(OK)) as gateway:
        async with gateway.client() as client:
            for _ in range(3):
                await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await client.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert gateway.upstream.count == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200),
        (b"HTTP/1.1 404 No\r\n\r\n", 404),
    ],
)
async def test_head(answer: bytes, status: int) -> None:
    async with gate(says(answer)) as gateway:
        got = await gateway.ask(post(method=b"HEAD"))
        assert (got.status, got.body) == (status, b"")
        assert got[b"content-length"] == (b"5" if b"Length" in answer else None)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 204 No\r\nX: y\r\n\r\n", b'HTTP/1.1 304 No\r\nETag: "x"\r\nContent-Length: 500\r\n\r\n']
)
async def test_answers_without_a_body(answer: bytes) -> None:
    async with gate(answers(answer)) as gateway:
        got = await gateway.ask(get())
        assert (got.status, got.body) == (int(answer[9:12]), b"")
        assert b"transfer-encoding" not in [name.lower() for name, _ in got.headers]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"hello", b"world"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"5\r\nworld\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"hello", b"world"],
    ],
    ids=["length", "chunked", "until closed"],
)
async def test_a_body_in_pieces(pieces: list[bytes]) -> None:
    async with gate(says(*pieces)) as gateway:
        got = await gateway.ask(get())
        assert (got.status, got.body) == (200, b"helloworld")
        assert gateway.log.lines == [("GET", "/**", 200, 10)]


async def test_an_event_stream_flows_at_once() -> None:
    asked, seen = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asked.wait()
        for number in range(3):
            seen.clear()
            await peer.send(b"9\r\ndata: %d\n\n\r\n" % number)
            await seen.wait()
        await peer.send(b"0\r\n\r\n")

    async with gate(script) as gateway:
        async with gateway.client() as client:
            await client.send(get())
            await client.until(b"\r\n\r\n")  # the head, before there is an event
            asked.set()
            for number in range(3):
                await client.until(b"data: %d\n\n" % number)
                seen.set()
            assert await client.rest() == b"\r\n0\r\n\r\n"
        assert gateway.counted.requests["GET", 200] == 1
        assert sum(gateway.counted.seconds.counts) == 0, "streams are kept out of the durations"


async def test_trailers_come_through() -> None:
    trailers = b"X-Sum: 1\r\nAge: 9\r\nSet-Cookie: x\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + trailers + b"\r\n"
    for pieces in ([answer], [answer[:50], answer[50:]]):
        async with gate(says(*pieces)) as gateway:
            got = await gateway.ask(get())
            assert (got.body, got.trailers) == (b"ok", [(b"X-Sum", b"1"), (b"Age", b"9")])


@pytest.mark.parametrize("length", [2, 200_000], ids=["at once", "streamed"])
async def test_the_reason_comes_through(length: int) -> None:
    answer = b"HTTP/1.1 404 Not here, caf\xe9\r\nContent-Length: %d\r\n\r\n" % length
    async with gate(says(answer, b"x" * length)) as gateway:
        got = await gateway.ask(get())
        assert (got.status, got.reason, len(got.body)) == (404, b"Not here, caf\xe9", length)


async def test_informational_answers_come_through() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n" + OK
    async with gate(says(answer)) as gateway:
        got = await gateway.ask(get())
        assert got.informational == [(103, [(b"Link", b"</a>"), (b"Via", b"1.1 tidegate")])]
        assert got.body == b"ok"


async def test_what_the_client_says_of_proxies_is_replaced() -> None:
    heads: list[bytes] = []
    async with gate(keeps(heads, OK)) as gateway:
        await gateway.ask(get(b"/", b"X-Forwarded-For: 1.2.3.4", b"X_Forwarded_Host: evil", b"Forwarded: for=evil"))
        assert heads[0].count(b"orwarded") == 4
        assert heads[0].endswith(ADDED)


@pytest.mark.parametrize(
    ("policy", "host"),
    [("preserve", b"gate.example"), ("upstream", b"127.0.0.1:%d"), ("literal.example", b"literal.example")],
)
async def test_host(policy: str, host: bytes) -> None:
    heads: list[bytes] = []
    async with gate(keeps(heads, OK), host_header=policy) as gateway:
        await gateway.ask(get())
        expected = host % gateway.upstream.port if b"%" in host else host
        assert b"\r\nHost: " + expected + b"\r\n" in heads[0]
        assert b"X-Forwarded-Host: gate.example\r\n" in heads[0]


# Request bodies.


async def test_a_small_body_goes_up_in_one_piece() -> None:
    heads: list[bytes] = []
    async with gate(keeps(heads, OK, body=5)) as gateway:
        async with gateway.client() as client:
            await client.send(post(b"Content-Length: 5"), b"hel", b"lo")
            assert (await client.rest()).endswith(b"ok")
        assert heads[0].endswith(b"hello")
        assert b"Content-Length: 5\r\n" in heads[0]


async def test_a_chunked_body_goes_up_as_it_comes_with_its_trailers() -> None:
    got: list[bytes] = []
    step = asyncio.Event()

    async def script(peer: Peer) -> None:
        got.append(await peer.head())
        step.set()
        got.append(await peer.reader.readuntil(b"hello\r\n"))
        step.set()
        got.append(await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.send(OK)

    async with gate(script) as gateway, gateway.client() as client:
        for piece in (
            post(b"Transfer-Encoding: chunked", b"Trailer: X-Sum"),
            b"5\r\nhello\r\n",
            b"0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n",
        ):
            step.clear()
            await client.send(piece)
            if not piece.startswith(b"0"):
                await step.wait()  # the upstream has it before the next is sent
        assert (await client.rest()).endswith(b"ok")
        assert b"Transfer-Encoding: chunked\r\n" in got[0]
        assert got[1:] == [b"5\r\nhello\r\n", b"0\r\nX-Sum: 1\r\n\r\n"]


async def test_a_big_body_streams_both_ways_at_once() -> None:
    size = 3_000_000

    async def echo(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            data = await peer.reader.read(65536)
            left -= len(data)
            await peer.send(data.upper())

    async with gate(echo) as gateway, gateway.client() as client:
        async with asyncio.TaskGroup() as group:
            group.create_task(client.send(post(b"Content-Length: %d" % size), *[b"abcde" * 10_000] * (size // 50_000)))
            got = await client.rest()
        assert got.endswith(b"\r\n\r\n" + b"ABCDE" * (size // 5))


async def test_a_slow_upstream_holds_the_client_back() -> None:
    go = asyncio.Event()
    size = 64 * 1024 * 1024

    async def script(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        await peer.send(b"HTTP/1.1 413 Too big\r\nContent-Length: 0\r\n\r\n")

    async with gate(script) as gateway, gateway.client() as client:
        await client.send(post(b"Content-Length: %d" % size))
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < size:
                await client.send(b"x" * 65536)
                sent += 65536

        async with asyncio.TaskGroup() as group:
            task = group.create_task(send())
            before = -1
            while sent != before:
                before = sent
                for _ in range(300):
                    await asyncio.sleep(0)
            assert sent < size
            go.set()
            assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
            task.cancel()


async def test_expect_is_the_upstreams_to_answer() -> None:
    async def script(peer: Peer) -> None:
        head = await peer.head()
        assert b"Expect: 100-continue\r\n" in head
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await peer.body(5) == b"hello"
        await peer.send(OK)

    async with gate(script) as gateway, gateway.client() as client:
        await client.send(post(b"Expect: 100-continue", b"Content-Length: 5"))
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue\r\n")
        await client.send(b"hello")
        assert (await client.rest()).endswith(b"ok")


async def test_expect_refused() -> None:
    async with gate(says(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")) as gateway:
        got = await gateway.raw(post(b"Expect: 100-continue", b"Content-Length: 5"))
        assert got.startswith(b"HTTP/1.1 401 ")
        assert b"100 Continue" not in got


async def test_expect_of_an_upstream_that_does_not_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.proxy.body.CONTINUE_WAIT", 0.01)

    async def script(peer: Peer) -> None:
        await peer.head()
        assert await peer.body(5) == b"hello"
        await peer.send(OK)

    async with gate(script) as gateway, gateway.client() as client:
        await client.send(post(b"Expect: 100-continue", b"Content-Length: 5"))
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue\r\n")
        await client.send(b"hello")
        assert (await client.rest()).endswith(b"ok")


async def test_an_answer_before_the_body_is_sent() -> None:
    async with gate(says(b"HTTP/1.1 413 Too big\r\nContent-Length: 2\r\n\r\nno")) as gateway:
        async with gateway.client() as client:
            await client.send(post(b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n")
            assert (await client.until(b"\r\n\r\nno")).startswith(b"HTTP/1.1 413 ")
        assert gateway.log.lines == [("POST", "/**", 413, 2)]


# Failures.


def problem_of(data: bytes, method: str = "GET") -> dict[str, object]:
    answer = parse(data, (method,), closed=True)[0]
    assert answer[b"content-type"] == b"application/problem+json"
    problem: dict[str, object] = json.loads(answer.body)
    assert problem["status"] == answer.status
    return problem


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (says(), "upstream 'shop' closed the connection without an answer"),
        (says(b"garbage\r\n\r\n"), "upstream 'shop' sent what is not HTTP/1.1"),
        (
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "upstream 'shop' sent what",
        ),
        (
            says(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n"),
            "upstream 'shop' sent headers above 65536 bytes",
        ),
        (
            says(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            "upstream 'shop' switched protocols",
        ),
    ],
)
async def test_an_upstream_that_does_not_answer(script: Script, detail: str) -> None:
    async with gate(script) as gateway:
        problem = problem_of(await gateway.raw(get()))
        assert (problem["status"], problem["code"]) == (502, "upstream_protocol")
        assert str(problem["detail"]).startswith(detail)
        assert gateway.counted.requests["GET", 502] == 1
        [(_, _, status, sent)] = gateway.log.lines
        assert (status, sent > 0) == (502, True)


async def test_an_upstream_that_is_down() -> None:
    async with gate(says()) as gateway:
        await gateway.shop.close()
        problem = problem_of(await gateway.raw(get()))
        assert (problem["status"], problem["code"]) == (502, "upstream_unavailable")
        assert "127.0.0.1" not in str(problem)


async def test_an_upstream_that_takes_too_long() -> None:
    async with gate(lambda peer: peer.closed(), timeouts=Timeouts(connect=5, response=0.04, idle=5)) as gateway:
        problem = problem_of(await gateway.raw(get()))
        assert problem == {
            "title": "Gateway Timeout",
            "status": 504,
            "code": "upstream_timeout",
            "detail": "upstream 'shop' did not answer within 0.04 s",
        }


async def test_the_answer_to_head_when_the_upstream_fails() -> None:
    async with gate(says()) as gateway:
        got = await gateway.raw(post(method=b"HEAD"))
        assert got.startswith(b"HTTP/1.1 502 ")
        assert got.endswith(b"\r\n\r\n")
        assert gateway.log.lines == [("HEAD", "/**", 502, 0)]


@pytest.mark.parametrize(
    ("pieces", "end"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"hello"], b"hello"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"], b"5\r\nhello\r\n"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"zz\r\n"], b"5\r\nhello\r\n"),
    ],
)
async def test_an_answer_that_breaks_off_never_ends_cleanly(
    pieces: list[bytes], end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(*pieces[:2])
        await gone.wait()
        await peer.send(*pieces[2:])

    caplog.set_level(logging.CRITICAL)
    async with gate(script) as gateway, gateway.client() as client:
        await client.send(get())
        got = await client.until(end)
        gone.set()
        with suppress(ConnectionResetError):
            got += await client.rest()
        assert got.endswith(end)
        await until(lambda: gateway.log.lines)
        assert gateway.log.lines == [("GET", "/**", 200, 5)]
        assert dict(gateway.stats.upstreams["shop"].failures) == {"upstream_protocol": 1}


async def test_a_stale_connection_is_not_seen_by_the_client() -> None:
    async def once(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()

    async with gate(once, answers(OK)) as gateway:
        for _ in range(2):
            assert (await gateway.ask(get())).body == b"ok"
        assert gateway.stats.upstreams["shop"].retries == 1


# Clients that leave.


async def test_a_client_that_leaves_while_the_answer_is_awaited() -> None:
    limits = Timeouts(connect=5, response=5, idle=0.04)  # the sweep goes by every 10 ms
    async with gate(lambda peer: peer.closed(), timeouts=limits) as gateway:
        async with gateway.client() as client:
            await client.send(get())
            await until(lambda: gateway.upstream.peers)
        await until(lambda: gateway.upstream.running == 0)
        await until(lambda: gateway.log.lines)
        assert gateway.log.lines == [("GET", "/**", 499, 0)]


async def test_a_client_that_leaves_in_the_middle_of_an_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await peer.closed()

    async with gate(script) as gateway:
        async with gateway.client() as client:
            await client.send(get())
            await client.until(b"\r\n\r\n")
        await until(lambda: gateway.upstream.running == 0)
        await until(lambda: gateway.log.lines)
        assert gateway.log.lines == [("GET", "/**", 200, 0)]


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 1000000", b"Content-Length: 10"])
async def test_a_client_that_leaves_in_the_middle_of_its_body(framing: bytes) -> None:
    async with gate(lambda peer: peer.closed()) as gateway:
        async with gateway.client() as client:
            await client.send(post(framing), b"5\r\nhe")
            await until(lambda: gateway.counted.in_flight)
        await until(lambda: gateway.log.lines)
        await until(lambda: gateway.upstream.running == 0)
        assert gateway.log.lines == [("POST", "/**", 499, 0)]
        assert gateway.counted.in_flight == 0


async def test_a_slow_client_holds_the_upstream_back() -> None:
    size = 64 * 1024 * 1024
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while written < size:
            await peer.send(b"x" * 65536)
            written += 65536

    async with gate(script) as gateway, gateway.client() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(get())
        await until(lambda: written)
        before = -1
        while written != before:
            before = written
            for _ in range(300):
                await asyncio.sleep(0)
        assert written < size


# Servers that others wrote: the same application, without our extension.


@pytest.fixture(params=["uvicorn", "hypercorn"])
def serve_elsewhere(request: pytest.FixtureRequest) -> Callable[[App], AbstractAsyncContextManager[int]]:
    return on_uvicorn if request.param == "uvicorn" else on_hypercorn


@asynccontextmanager
async def on_uvicorn(app: App) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        async with asyncio.TaskGroup() as group:
            group.create_task(server._serve(sockets=[listening]))
            await until(lambda: server.started)
            yield listening.getsockname()[1]
            server.should_exit = True


@asynccontextmanager
async def on_hypercorn(app: App) -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listening.detach()}"]  # which closes it in the end
    config.errorlog = config.accesslog = None
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(hypercorn.asyncio.serve(cast("Any", app), config, shutdown_trigger=stop.wait))
        yield port
        stop.set()


Elsewhere = Callable[[App], AbstractAsyncContextManager[int]]


@asynccontextmanager
async def gate_elsewhere(serve: Elsewhere, *scripts: Script) -> AsyncIterator[Gate]:
    stats, log = Stats(), Log()
    async with upstream(*scripts) as this:
        shop = HttpUpstream(this.settings(), stats.upstreams["shop"])
        app = app_of(Proxy({"shop": shop}, stats, log, time.monotonic))

        async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)  # they tell ASGI applications by being coroutine functions

        async with serve(elsewhere) as port:
            yield Gate(port, this, shop, stats, log)
        await shop.close()


async def test_a_small_answer_on_other_servers(serve_elsewhere: Elsewhere) -> None:
    heads: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nX-Twice: caf\xe9\r\nx-tWICE: 2\r\nContent-Length: 5\r\n\r\nhello"
    async with gate_elsewhere(serve_elsewhere, keeps(heads, answer)) as gateway:
        got = await gateway.ask(get(b"/a%2Fb?x=%20"))
        assert got.body == b"hello"
        assert [pair for pair in got.headers if pair[0].lower() == b"x-twice"] == [
            (b"x-twice", b"caf\xe9"),
            (b"x-twice", b"2"),
        ]
        assert heads[0].startswith(b"GET /a%2Fb?x=%20 HTTP/1.1\r\nhost: gate.example\r\n")
        assert gateway.log.lines == [("GET", "/**", 200, 5)]


async def test_bodies_on_other_servers(serve_elsewhere: Elsewhere) -> None:
    size = 1_000_000

    async def echo(peer: Peer) -> None:
        head = await peer.head()
        assert b"content-length: %d\r\n" % size in head.lower()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        left = size
        while left:
            data = await peer.reader.read(65536)
            left -= len(data)
            await peer.send(b"%x\r\n%b\r\n" % (len(data), data.upper()))
        await peer.send(b"0\r\n\r\n")

    async with gate_elsewhere(serve_elsewhere, echo) as gateway, gateway.client() as client:
        async with asyncio.TaskGroup() as group:
            group.create_task(client.send(post(b"Content-Length: %d" % size), b"abcde" * (size // 5)))
            got = await client.rest()
        assert parse(got, ("POST",), closed=True)[0].body == b"ABCDE" * (size // 5)


async def test_a_client_that_leaves_other_servers(serve_elsewhere: Elsewhere) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await peer.closed()

    async with gate_elsewhere(serve_elsewhere, script) as gateway:
        async with gateway.client() as client:
            await client.send(get())
            await client.until(b"data: 1\n\n")
        await until(lambda: gateway.upstream.running == 0)
        await until(lambda: gateway.log.lines)
        assert gateway.log.lines == [("GET", "/**", 200, 9)]


def done(status: int) -> Script:
    """Answers with a status and nothing else."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    return script


@pytest.mark.parametrize(
    ("method", "status", "told"),
    [
        (b"POST", 201, 1),
        (b"PUT", 204, 1),
        (b"PATCH", 200, 1),
        (b"DELETE", 200, 1),
        (b"POST", 303, 1),
        (b"POST", 307, 0),
        (b"PATCH", 409, 0),
        (b"DELETE", 404, 0),
        (b"POST", 500, 0),
        (b"GET", 200, 0),
        (b"HEAD", 200, 0),
        (b"OPTIONS", 200, 0),
    ],
)
@pytest.mark.parametrize("length", [b"", b"Content-Length: 0", b"Content-Length: 2"])
async def test_writes_that_were_done_are_told_of(method: bytes, status: int, told: int, length: bytes) -> None:
    written: list[str] = []
    headers = [length] if length and method not in (b"GET", b"HEAD", b"OPTIONS") else []
    body = b"{}" if length.endswith(b"2") and headers else b""
    async with gate(done(status), written=lambda scope, route: written.append(route.name)) as gateway:
        await gateway.ask(post(*headers, method=method) + body)
        assert written == ["/**"] * told


async def test_a_write_is_told_of_before_its_answer_has_come_to_an_end() -> None:
    written: list[str] = []
    seen: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await until(lambda: written)
        seen.append(len(written))
        await peer.send(b"0\r\n\r\n")

    async with gate(script, written=lambda scope, route: written.append(route.name)) as gateway:
        await gateway.ask(post(b"Content-Length: 0"))
    assert seen == [1]


async def test_a_request_that_can_not_be_passed_on_is_refused_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Our own server refuses it sooner; others may let a name pass that is none."""
    caplog.set_level(logging.DEBUG)
    stats, log, client = Stats(), Log(), Played(b"")
    proxy = Proxy({"shop": FakeUpstream(Call())}, stats, log, time.monotonic)
    await proxy.forward(scope_of((b"a b", b""), method="GET"), client.receive, client.send, ROUTE)
    assert client.sent[0]["status"] == 400
    assert dict(stats.refused) == {"bad_header": 1}
    assert "refused with 400: bad_header: " in caplog.text
    assert [line[2] for line in log.lines] == [400]
