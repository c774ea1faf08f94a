"""Handshakes with an upstream: every answer there may be, whole, byte by byte and with a tail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from gateway.core.http import Answer
from gateway.core.settings import Timeouts, UpstreamSettings
from gateway.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway.wire.connect import Connector
from gateway.wire.incoming import MAX_HEAD, MAX_INFORMATIONAL
from gateway.wire.upgrade import MAX_REFUSAL, Knock, Upgraded, upgrade
from tests.lines import listening
from tests.wire.wired import Line

KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of RFC 6455 section 1.3
OPEN = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: chat\r\n\r\n" % ACCEPT
)


def knock() -> tuple[Knock, Line]:
    made, line = Knock(b"GET ...", KEY), Line()
    line.protocol = made
    made.connection_made(line)
    assert line.sent == b"GET ..."
    return made, line


def pieces(data: bytes, how: str) -> Iterator[bytes]:
    if how == "whole":
        yield data
    else:
        yield from (data[at : at + 1] for at in range(len(data)))


async def told(data: bytes, how: str = "whole", *, closes: bool = False) -> Upgraded | Answer:
    made, _ = knock()
    for piece in pieces(data, how):
        made.data_received(piece)
    if closes:
        made.eof_received()
        made.connection_lost(None)
    assert made.answer.done()
    return made.answer.result()


@pytest.mark.parametrize("how", ["whole", "bytes"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 2])
async def test_an_upgrade(how: str, before: bytes) -> None:
    opened = await told(before + OPEN, how)
    assert isinstance(opened, Upgraded)
    assert (b"Sec-WebSocket-Protocol", b"chat") in opened.headers
    assert opened.rest == b""


async def test_frames_that_come_with_the_answer() -> None:
    made, line = knock()
    made.data_received(OPEN + b"\x81\x02hi")
    opened = made.answer.result()
    assert isinstance(opened, Upgraded)
    assert opened.rest == b"\x81\x02hi"
    assert not line.reading
    opened.close()
    assert line.aborted


@pytest.mark.parametrize("how", ["whole", "bytes"])
@pytest.mark.parametrize(
    ("data", "closes"),
    [
        (b"HTTP/1.1 401 No\r\nX-A: b\r\nContent-Length: 5\r\n\r\nno no", False),
        (b"HTTP/1.1 401 No\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nno no\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 401 No\r\nX-A: b\r\n\r\nno no", True),
    ],
)
async def test_a_refusal(data: bytes, closes: bool, how: str) -> None:
    answer = await told(data, how, closes=closes)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (401, b"no no")
    assert (b"X-A", b"b") in answer.headers


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SSH-2.0\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.0 101 Switching\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 999 What\r\n\r\n", "not HTTP/1.1"),
        (OPEN.replace(ACCEPT, b"AAAA"), "does not answer the WebSocket handshake"),
        (OPEN.replace(b"Sec-WebSocket-Accept", b"X"), "does not answer the WebSocket handshake"),
        (OPEN.replace(b"Upgrade: WebSocket", b"Upgrade: h2c"), "does not answer the WebSocket handshake"),
        (OPEN.replace(b"keep-alive, Upgrade", b"close"), "."),
        (OPEN.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Accept: %b\r\n\r\n" % ACCEPT), "does not answer"),
        (OPEN.replace(b"Sec-WebSocket-Protocol: chat", b"bad header"), "not HTTP/1.1"),
        (OPEN.replace(b"\r\n\r\n", b"\r\n" + b"X: y\r\n" * 300 + b"\r\n"), "more than 256 headers"),
        (b"HTTP/1.1 101 " + b"x" * MAX_HEAD, f"headers above {MAX_HEAD}"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * (MAX_INFORMATIONAL + 1), "too many 1xx"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + b"x" * (MAX_REFUSAL + 1), "with a body above"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not HTTP/1.1"),
        (b"", "without an answer"),
        (b"HTTP/1.1 101 Sw", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "in the middle of an answer"),
    ],
)
async def test_what_is_no_answer(data: bytes, words: str) -> None:
    with pytest.raises(UpstreamProtocolError, match=words):
        await told(data, closes=True)


# Over a socket.


def settings(port: int, response: float = 5.0) -> UpstreamSettings:
    timeouts = Timeouts(response=response, tunnel=77.0)
    return UpstreamSettings(name="shop", scheme="http", host="127.0.0.1", port=port, timeouts=timeouts)


async def answering(data: bytes, response: float = 5.0) -> Upgraded | Answer:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(data)
        with contextlib.suppress(OSError):
            await reader.read()
        over.set()

    async with listening(serve) as port:
        one = settings(port, response)
        try:
            found = await upgrade(one, Connector(one), b"GET / HTTP/1.1\r\n\r\n", KEY)
            if isinstance(found, Upgraded):
                found.close()
            return found
        finally:
            await over.wait()


async def test_an_upgrade_over_a_socket() -> None:
    opened = await answering(OPEN + b"more")
    assert isinstance(opened, Upgraded)
    assert (opened.rest, opened.idle) == (b"more", 77.0)
    refused = await answering(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(refused, Answer)
    assert refused.status == 404


async def test_failures_name_the_upstream() -> None:
    with pytest.raises(UpstreamProtocolError, match="upstream 'shop' sent what is not HTTP"):
        await answering(b"junk\r\n\r\n")
    with pytest.raises(UpstreamTimeout, match=r"upstream 'shop' did not answer within 0.01 s"):
        await answering(b"", 0.01)
    one = settings(1)
    with pytest.raises(UpstreamUnavailable):
        await upgrade(one, Connector(one), b"", KEY)
