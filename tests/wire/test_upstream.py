from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from gateway.core.asgi import Headers
from gateway.core.settings import Pool, Timeouts, UpstreamSettings, UpstreamTls
from gateway.core.stats import UpstreamStats
from gateway.errors import ClientError, UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway.wire.upstream import HttpUpstream, authority, outside
from tests.wire.scripted import OK, Peer, Script, answers, says, until, upstream
from tests.wire.test_connect import served

if TYPE_CHECKING:
    from gateway.plugin import StreamingUpstream, UpstreamCall

    def is_what_the_proxy_needs(upstream: HttpUpstream) -> StreamingUpstream:
        return upstream


HOST: Headers = [(b"Host", b"shop.example")]


@asynccontextmanager
async def reaching(*scripts: Script, **settings: object) -> AsyncIterator[tuple[HttpUpstream, UpstreamStats]]:
    stats = UpstreamStats()
    async with upstream(*scripts) as this:
        shop = HttpUpstream(this.settings(**settings), stats)  # type: ignore[arg-type]
        try:
            yield shop, stats
        finally:
            await shop.close()
            assert (stats.connections, stats.idle) == (0, 0)


async def rest(call: UpstreamCall) -> bytes:
    pieces = []
    while piece := await call.read():
        pieces.append(piece)
    return b"".join(pieces)


async def once_then_closes(peer: Peer) -> None:
    """Keeps the connection alive, but is gone when it is used again."""
    await peer.head()
    await peer.send(OK)
    await peer.head()


# Whole answers.


async def test_fetch() -> None:
    async with reaching(answers(b"HTTP/1.1 404 No\r\nX-a: 1\r\nx-A: 2\r\nContent-Length: 2\r\n\r\nno")) as (
        shop,
        stats,
    ):
        answer = await shop.fetch("GET", b"/x?y", [], max_body=2)
        assert answer.status == 404
        assert answer.headers == ((b"X-a", b"1"), (b"x-A", b"2"), (b"Content-Length", b"2"))
        assert answer.body == b"no"
        assert dict(stats.answers) == {404: 1}
        assert sum(stats.seconds.counts) == 1
        assert stats.idle == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [OK],
        [b"HTTP/1.1 200 OK\r\n\r\n", b"o", b"k"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\no\r\n", b"1\r\nk\r\n", b"0\r\n\r\n"],
        [bytes([byte]) for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + OK],
    ],
)
async def test_fetch_collects_what_comes_in_pieces(pieces: list[bytes]) -> None:
    async with reaching(says(*pieces)) as (shop, _):
        answer = await shop.fetch("GET", b"/", [], max_body=2)
        assert answer.body == b"ok"


@pytest.mark.parametrize(
    "pieces",
    [
        [OK],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", b"ok"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\no\r\n", b"1\r\nk\r\n"],
    ],
)
async def test_fetch_stops_at_the_limit(pieces: list[bytes]) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(*pieces)
        await peer.closed()

    async with reaching(script) as (shop, stats):
        with pytest.raises(UpstreamProtocolError, match="upstream 'shop' sent a body above 1 bytes"):
            await shop.fetch("GET", b"/", [], max_body=1)
        assert dict(stats.failures) == {"upstream_protocol": 1}


async def test_a_cancelled_fetch_closes_its_connection() -> None:
    async with reaching(lambda peer: peer.closed()) as (shop, stats), asyncio.TaskGroup() as group:
        task = group.create_task(shop.fetch("GET", b"/", [], max_body=1))
        await until(lambda: stats.connections == 1)
        task.cancel()
        await until(lambda: stats.connections == 0)


async def test_the_answer_to_head() -> None:
    async with reaching(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as (shop, stats):
        for _ in range(2):
            assert (await shop.fetch("HEAD", b"/", [], max_body=0)).body == b""
        assert stats.connections == 1


# What is sent.


async def sent(headers: Headers, body: bytes = b"", **settings: object) -> bytes:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.head() + await peer.body(len(body)))
        await peer.send(OK)

    async with reaching(script, **settings) as (shop, _):
        call = await shop.request(b"POST", b"/a%2Fb?c=%20", headers, body)
        call.close()
    return seen[0]


async def test_headers_and_body_go_out_as_they_are() -> None:
    headers = [(b"hOst", b"x"), (b"B", b"caf\xe9"), (b"b", b""), (b"content-LENGTH", b"2")]
    assert await sent(headers, b"hi") == (
        b"POST /a%2Fb?c=%20 HTTP/1.1\r\nhOst: x\r\nB: caf\xe9\r\nb: \r\ncontent-LENGTH: 2\r\n\r\nhi"
    )


@pytest.mark.parametrize("base", ["/v1", "/v1/"])
async def test_the_base_path_goes_before(base: str) -> None:
    assert (await sent(HOST, base_path=base)).startswith(b"POST /v1/a%2Fb?c=%20 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("policy", "scheme", "host", "port", "named", "default"),
    [
        ("preserve", "http", "shop.internal", 9000, None, b"shop.internal:9000"),
        ("preserve", "http", "shop.internal", 80, None, b"shop.internal"),
        ("preserve", "https", "shop.internal", 443, None, b"shop.internal"),
        ("upstream", "https", "shop.internal", 80, b"shop.internal:80", b"shop.internal:80"),
        ("upstream", "http", "::1", 9000, b"[::1]:9000", b"[::1]:9000"),
        ("upstream", "http", "b\u00fccher.example", 80, b"xn--bcher-kva.example", b"xn--bcher-kva.example"),
        ("public.example", "http", "shop.internal", 9000, b"public.example", b"public.example"),
    ],
)
def test_host(policy: str, scheme: str, host: str, port: int, named: bytes | None, default: bytes) -> None:
    settings = UpstreamSettings(name="shop", scheme=scheme, host=host, port=port, host_header=policy)  # type: ignore[arg-type]
    shop = HttpUpstream(settings, UpstreamStats())
    assert shop.host == named
    assert shop._default_host == default
    if policy != "public.example":
        assert authority(settings) == default


async def test_nothing_is_sent_that_is_not_one_request() -> None:
    async with reaching(answers(OK)) as (shop, stats):
        for target, headers in ((b"/ HTTP/1.1\r\nA: b", HOST), (b"/", [(b"A", b"b\r\nC: d")])):
            with pytest.raises(ClientError):
                await shop.request(b"GET", target, headers, b"")
            with pytest.raises(ClientError):
                await shop.open(b"POST", target, headers)
        assert stats.connections == 0


# Sending again.


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
async def test_an_idempotent_request_is_sent_again_on_a_fresh_connection(method: bytes) -> None:
    async with reaching(once_then_closes, answers(OK)) as (shop, stats):
        (await shop.request(b"GET", b"/", HOST, b"")).close()
        call = await shop.request(method, b"/", HOST, b"")
        assert call.status == 200
        assert stats.retries == 1
        assert dict(stats.failures) == {}
        assert dict(stats.answers) == {200: 2}


async def test_with_its_body() -> None:
    bodies: list[bytes] = []

    async def first(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()
        bodies.append(await peer.body(5))

    async def second(peer: Peer) -> None:
        await peer.head()
        bodies.append(await peer.body(5))
        await peer.send(OK)

    async with reaching(first, second) as (shop, _):
        (await shop.request(b"GET", b"/", HOST, b"")).close()
        (await shop.request(b"PUT", b"/", HOST, b"hello")).close()
    assert bodies == [b"hello", b"hello"]


async def test_what_is_fetched_may_be_asked_twice_with_its_body() -> None:
    bodies: list[bytes] = []

    async def second(peer: Peer) -> None:
        await peer.head()
        bodies.append(await peer.body(5))
        await peer.send(OK)

    async with reaching(once_then_closes, second) as (shop, stats):
        (await shop.request(b"GET", b"/", HOST, b"")).close()
        answer = await shop.fetch("POST", b"/", HOST, max_body=100, body=b"hello")
        assert (answer.status, answer.body) == (200, b"ok")
        assert stats.retries == 1
    assert bodies == [b"hello"]


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"LOCK"])
async def test_others_are_not(method: bytes) -> None:
    async with reaching(once_then_closes, answers(OK)) as (shop, stats):
        (await shop.request(b"GET", b"/", HOST, b"")).close()
        with pytest.raises(UpstreamProtocolError, match="without an answer"):
            await shop.request(method, b"/", HOST, b"")
        assert stats.retries == 0
        assert dict(stats.failures) == {"upstream_protocol": 1}


async def test_nothing_is_sent_again_once_a_byte_of_an_answer_came() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()
        await peer.send(b"H")

    async with reaching(script, answers(OK)) as (shop, stats):
        (await shop.request(b"GET", b"/", HOST, b"")).close()
        with pytest.raises(UpstreamProtocolError):
            await shop.request(b"GET", b"/", HOST, b"")
        assert stats.retries == 0


async def test_nothing_is_sent_again_after_a_fresh_connection_failed() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()

    async with reaching(script) as (shop, stats):
        with pytest.raises(UpstreamProtocolError):
            await shop.request(b"GET", b"/", HOST, b"")
        assert (stats.retries, dict(stats.failures)) == (0, {"upstream_protocol": 1})


async def test_nothing_is_sent_a_third_time() -> None:
    async def refuses(peer: Peer) -> None:
        await peer.head()

    async with reaching(once_then_closes, refuses) as (shop, stats):
        (await shop.request(b"GET", b"/", HOST, b"")).close()
        with pytest.raises(UpstreamProtocolError):
            await shop.request(b"GET", b"/", HOST, b"")
        assert (stats.retries, dict(stats.failures)) == (1, {"upstream_protocol": 1})


async def test_a_timeout_is_not_a_reason_to_send_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.closed()

    limits = Timeouts(connect=5, response=0.04, idle=5)
    async with reaching(script, timeouts=limits) as (shop, stats):
        (await shop.request(b"GET", b"/", HOST, b"")).close()
        call = await shop.request(b"GET", b"/", HOST, b"")
        assert not call.headed, "it was slow to come"
        with pytest.raises(UpstreamTimeout, match=r"upstream 'shop' did not answer within 0\.04 s"):
            await call.head()
        assert (stats.retries, dict(stats.failures)) == (0, {"upstream_timeout": 1})


async def test_a_stale_connection_does_not_spend_its_one_chance_on_another() -> None:
    """Many connections die while idle at the same time, when a backend restarts."""
    gate = asyncio.Event()

    async def dies(peer: Peer) -> None:
        await peer.head()
        await gate.wait()
        await peer.send(OK)
        await peer.head()

    async with reaching(dies, dies, dies, answers(OK)) as (shop, stats):
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(shop.request(b"GET", b"/", HOST, b""))
            await until(lambda: stats.connections == 3)
            gate.set()
        assert stats.idle == 3
        assert (await shop.request(b"GET", b"/", HOST, b"")).status == 200
        assert stats.retries == 1


# Failing.


async def test_a_backend_that_is_down() -> None:
    async with upstream(answers(OK)) as this:
        settings = this.settings()
    stats = UpstreamStats()
    shop = HttpUpstream(settings, stats)
    with pytest.raises(UpstreamUnavailable) as caught:
        await shop.fetch("GET", b"/", [], max_body=1)
    assert str(caught.value) == "upstream 'shop' refused the connection"
    with pytest.raises(UpstreamUnavailable):
        await shop.open(b"POST", b"/", [])
    assert dict(stats.failures) == {"upstream_unavailable": 2}
    await shop.close()


async def test_an_answer_that_breaks_off_is_counted() -> None:
    async with reaching(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")) as (shop, stats):
        call = await shop.request(b"GET", b"/", HOST, b"")
        with pytest.raises(UpstreamProtocolError):
            await rest(call)
        assert dict(stats.answers) == {200: 1}
        assert dict(stats.failures) == {"upstream_protocol": 1}


async def test_an_upload_is_counted() -> None:
    async with reaching(answers(OK), says()) as (shop, stats):
        call = await shop.open(b"POST", b"/", HOST)
        call.end([])
        await call.head()
        assert dict(stats.answers) == {200: 1}
        call = await shop.open(b"POST", b"/", [*HOST, (b"Content-Length", b"5")])
        await until(lambda: stats.connections == 1)
        call.close()
        await until(lambda: stats.connections == 0)
        call = await shop.open(b"POST", b"/", HOST)
        call.end([])
        with pytest.raises(UpstreamError):
            await call.head()
        assert dict(stats.failures) == {"upstream_protocol": 1}
        assert sum(stats.seconds.counts) == 1


async def test_requests_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    body = b"x" * 1_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with upstream(answers(answer), tls=served(authority, "127.0.0.1")) as this:
        stats = UpstreamStats()
        shop = HttpUpstream(this.settings(scheme="https", tls=UpstreamTls(ca=str(tmp_path / "ca.pem"))), stats)
        for _ in range(2):
            assert (await shop.fetch("GET", b"/", [], max_body=len(body))).body == body
        assert stats.connections == 1
        await shop.close()


# A server that others wrote.


@pytest.fixture
async def real() -> AsyncIterator[tuple[HttpUpstream, UpstreamStats]]:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        seen = {"method": request.method, "target": request.raw_path, "body": body.decode()}
        return web.Response(body=json.dumps(seen), headers={"X-Twice": "a"})

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece.upper())
        return response

    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/echo", echo)
    app.router.add_post("/stream", stream)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    stats = UpstreamStats()
    shop = HttpUpstream(
        UpstreamSettings(name="shop", scheme="http", host="127.0.0.1", port=port, pool=Pool(max=4)), stats
    )
    yield shop, stats
    await shop.close()
    await runner.cleanup()


async def test_many_requests_over_few_connections(real: tuple[HttpUpstream, UpstreamStats]) -> None:
    shop, stats = real

    async def one(number: int) -> None:
        call = await shop.request(b"POST", b"/echo?%d" % number, [], b"body %d" % number)
        await call.head()
        body = call.whole or await rest(call)
        assert json.loads(body) == {"method": "POST", "target": f"/echo?{number}", "body": f"body {number}"}

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(one(number))
    assert stats.connections <= 4
    assert dict(stats.answers) == {200: 60}


async def test_a_big_upload_and_download_at_once(real: tuple[HttpUpstream, UpstreamStats]) -> None:
    shop, _ = real
    size = 4 * 1024 * 1024
    call = await shop.open(b"POST", b"/stream", [])

    async def upload() -> None:
        for _ in range(size // 65536):
            assert await call.write(b"x" * 65536)
        call.end([])

    async with asyncio.TaskGroup() as group:
        group.create_task(upload())
        await call.head()
        got = await rest(call)
    assert got == b"X" * size


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [("https://id.example", "https", "id.example", 443), ("http://[::1]:81", "http", "::1", 81)],
)
def test_the_upstream_at_a_url(url: str, scheme: str, host: str, port: int) -> None:
    settings = outside(url)
    assert (settings.scheme, settings.host, settings.port, settings.host_header) == (scheme, host, port, "upstream")
