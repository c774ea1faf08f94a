"""REST on the wire, both sides in the test's hands: what goes through is what was sent, and nothing piles up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT
from tests.integration.raw import ask, connected, parse, request, talk
from tests.integration.scripted import Scripted

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /**
    upstream: shop
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def head_of(asked: bytes) -> list[bytes]:
    return asked.split(b"\r\n")[:-2]


async def test_request_headers_arrive_as_they_were_sent(upstream: Scripted, running: Gateway) -> None:
    kept = [
        b"X-Zulu: 1",
        b"x-alpha: 2",
        b"X-TWICE: a",
        b"x-twice: b",
        b"X-Latin: caf\xe9",
        b"X-Blank:",
        b"X-Wide:   in  the middle",
        b"Cookie: a=b",
        b"Accept-Encoding: gzip;q=1.0, *;q=0",
    ]
    dropped = [
        b"Connection: close, X-Hop",
        b"X-Hop: this connection's own",
        b"Keep-Alive: timeout=5",
        b"Proxy-Authorization: Basic eDp5",
        b"X-Forwarded-For: 10.6.6.6",
        b"X_Forwarded_Proto: gopher",
        b"Forwarded: for=10.6.6.6",
    ]
    await talk(running.port, b"\r\n".join([b"GET /x HTTP/1.1", b"HOST: Shop.Example", *kept, *dropped, b"", b""]))
    first, host, *lines = head_of(upstream.asked[0])
    assert (first, host) == (b"GET /x HTTP/1.1", b"HOST: Shop.Example")
    assert [line.replace(b": ", b":", 1).replace(b":", b": ", 1).strip() for line in lines[: len(kept)]] == [
        line.replace(b":   ", b": ") for line in kept
    ]
    assert lines[len(kept) :] == [
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: Shop.Example",
        b"Forwarded: for=127.0.0.1;host=Shop.Example;proto=http",
        b"Via: 1.1 tidegate",
    ]


async def test_response_headers_arrive_as_they_were_sent(upstream: Scripted, running: Gateway) -> None:
    kept = [
        (b"X-Zulu", b"1"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"SET-COOKIE", b"b=2"),
        (b"x-latin", b"caf\xe9"),
        (b"X-Blank", b""),
        (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"Server", b"legacy/0.1"),
        (b"ETag", b'W/"1"'),
        (b"Content-Length", b"2"),
        (b"X-After", b"the length"),
    ]
    hop = [b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5", b"Proxy-Authenticate: Basic"]
    lines = [name + b": " + value for name, value in kept]
    upstream.answer = b"\r\n".join([b"HTTP/1.1 200 OK", *hop[:2], *lines, *hop[2:], b"", b"ok"])
    answer = await ask(running.port, request("GET", "/x"))
    assert answer.headers == [*kept, (b"Via", b"1.1 tidegate"), (b"connection", b"close")]
    assert answer.body == b"ok"


@pytest.mark.parametrize(
    "target",
    [
        "/a%2Fb%20?x=%7E&&y",
        "/",
        "/x?a=b?c=/../",
        "//double//slashes/",
        "/a;b=c/d,e:f@g!$&'()*+",
        "/%E4%f6?q=%E4%f6",
        "/~user/%7Euser/...",
        "/x?live.since=1",
    ],
)
async def test_targets_are_untouched(target: str, upstream: Scripted, running: Gateway) -> None:
    assert (await ask(running.port, request("GET", target))).status == 200
    assert upstream.asked[0].split(b" ")[1] == target.encode("latin-1")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "PURGE"])
async def test_methods(method: str, upstream: Scripted, running: Gateway) -> None:
    assert (await ask(running.port, request(method, "/x"))).body == b"ok"
    assert upstream.asked[0].startswith(f"{method} /x HTTP/1.1\r\n".encode())


async def test_an_absolute_target_names_the_host(upstream: Scripted, running: Gateway) -> None:
    assert (await ask(running.port, request("GET", "http://other.example/x?y", host="shop"))).status == 200
    assert head_of(upstream.asked[0])[:2] == [b"GET /x?y HTTP/1.1", b"Host: other.example"]


NO_BODY: dict[str, tuple[str, bytes]] = {
    "HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: 1\r\n\r\n"),
    "HEAD of chunks": ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
    "304": ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nX-A: 1\r\n\r\n'),
    "304 with the length of a 200": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nX-A: 1\r\n\r\n"),
    "nothing": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n"),
}


@pytest.mark.parametrize("name", NO_BODY)
async def test_answers_without_a_body_end_with_their_head(name: str, upstream: Scripted, running: Gateway) -> None:
    """Two of them in one connection: the second is found where the first ends."""
    method, upstream.answer = NO_BODY[name]
    once = request(method, "/x")
    data = await talk(running.port, once.replace(b"Connection: close\r\n", b"") + once)
    theirs = parse(upstream.answer, head_only=True)
    first = parse(data, head_only=True)
    second = parse(first.rest, head_only=True)
    assert second.rest == b""
    for answer in (first, second):
        assert answer.line == theirs.line
        own = {b"via", b"date"}
        assert [pair for pair in answer.end_to_end() if pair[0].lower() not in own] == theirs.end_to_end()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nto the end of the connection",
        b"HTTP/1.0 200 OK\r\n\r\nto the end of the connection",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"7\r\nto the \r\n15;x=y\r\nend of the connection\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\nto the end of the connection",
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_bodies_however_they_are_framed(
    answer: bytes, version: bytes, upstream: Scripted, running: Gateway
) -> None:
    upstream.answer = answer
    got = await ask(running.port, request("GET", "/x").replace(b"HTTP/1.1", b"HTTP/" + version, 1))
    assert got.body == b"to the end of the connection"
    if version == b"1.0":
        assert got.header(b"transfer-encoding") is None


async def test_coded_bodies_are_not_decoded(upstream: Scripted, running: Gateway) -> None:
    body = bytes(range(256))
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 256\r\n\r\n" + body
    answer = await ask(running.port, request("GET", "/x", ["Accept-Encoding: gzip"]))
    assert answer.header(b"content-encoding") == b"gzip"
    assert answer.body == body


async def test_early_hints_arrive_before_the_answer(upstream: Scripted, running: Gateway) -> None:
    go = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hint: \xe9\r\n\r\n")
        await go.wait()
        writer.write(OK)

    upstream.play = play
    async with connected(running.port) as (reader, writer):
        writer.write(request("GET", "/x"))
        hint = await reader.readuntil(b"\r\n\r\n")
        lines = [b"Link: </a.css>; rel=preload", b"X-Hint: \xe9", b"Via: 1.1 tidegate"]
        assert hint == b"\r\n".join([b"HTTP/1.1 103 Early Hints", *lines, b"", b""])
        go.set()
        assert parse(await reader.read()).body == b"ok"


@pytest.mark.parametrize("te", [True, False])
async def test_trailers_of_the_answer(te: bool, upstream: Scripted, running: Gateway) -> None:
    chunks = b"2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nX-Sum: \xe9\r\n\r\n"
    upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunks
    asked = request("GET", "/x", ["TE: trailers, deflate;q=0.5"] if te else [])
    answer = await ask(running.port, asked.replace(b"n: close", b"n: TE, close") if te else asked)
    assert answer.body == b"ok"
    assert answer.trailers == [(b"X-Sum", b"1"), (b"X-Sum", b"\xe9")]
    assert (b"TE: trailers" in upstream.asked[0]) == te


async def test_an_event_stream_of_the_backends_own_is_not_held_back(upstream: Scripted, running: Gateway) -> None:
    go = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await go.wait()
        writer.write(b"data: 2\n\n")

    upstream.play = play
    async with connected(running.port) as (reader, writer):
        writer.write(request("GET", "/x"))
        await reader.readuntil(b"data: 1\n\n")
        go.set()
        await reader.readuntil(b"data: 2\n\n")


async def served_twice(upstream: Scripted, running: Gateway, method: str) -> tuple[int, list[bytes]]:
    """A kept connection that the backend ends when the second request is on it: status, and what it was asked."""
    asked = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.abort()

    upstream.play = play
    assert (await ask(running.port, request("GET", "/first"))).body == b"ok"
    answer = await ask(running.port, request(method, "/second", ["Content-Length: 0"]))
    return answer.status, [head for head in asked if b"/second" in head]


async def test_a_connection_that_ends_under_a_request(upstream: Scripted, running: Gateway) -> None:
    status, asked = await served_twice(upstream, running, "GET")
    assert (status, len(asked)) == (200, 2)


async def test_what_is_not_idempotent_is_not_sent_again(upstream: Scripted, running: Gateway) -> None:
    status, asked = await served_twice(upstream, running, "POST")
    assert (status, len(asked)) == (502, 1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - conditions in other processes tell nobody
            await asyncio.sleep(0.02)


async def test_the_backend_hears_that_the_client_has_left(upstream: Scripted, running: Gateway) -> None:
    left = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read() == b""
        left.set()

    upstream.play = play
    async with connected(running.port) as (_, writer):
        writer.write(request("GET", "/x"))
        await until(lambda: len(upstream.tasks) == 1)
    async with asyncio.timeout(LIMIT):
        await left.wait()
    line = running.logged(kind="request", status=499)
    assert line["route"] == "/**"
