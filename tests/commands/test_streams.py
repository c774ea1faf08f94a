"""Reading streams; against a real gateway in tests/integration/test_tail.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from urllib.parse import urlsplit

import pytest

from gateway.commands.streams import TRANSPORTS, Ended, Event, Wanted, closed, decode_sse, refusal
from tests.lines import listening

ONE: Event = {"id": "e.1", "type": "message", "data": {"text": "a: b\nc"}}
TWO: Event = {"type": "status", "data": None}
BODIES = {
    "sse": b'retry: 2000\n\n:\n\nid: e.1\nevent: message\ndata: {"text":"a: b\\nc"}\n\nevent: status\ndata: null\n\n',
    "ndjson": b'\n{"id":"e.1","type":"message","data":{"text":"a: b\\nc"}}\n\n{"type":"status","data":null}\n',
}
TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson", "long_poll": "application/json"}


@asynccontextmanager
async def answering(
    *answers: bytes, pieces: Callable[[bytes], list[bytes]] = lambda data: [data]
) -> AsyncIterator[str]:
    """A server that gives these answers, one a connection, and closes; its URL."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces(left.pop(0)):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}/a?b=1"


def answer(kind: str, body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n".encode() + body


async def heard(name: str, url: str) -> tuple[list[Event], Ended, int]:
    found: list[Event] = []
    opened: list[None] = []
    wanted = Wanted(url=urlsplit(url), since="e.0", mode=None, headers=[], opened=lambda: opened.append(None))
    try:
        async with aclosing(TRANSPORTS[name](wanted)) as stream:
            async for event in stream:
                found.append(event)  # noqa: PERF401 - those before it ends count
    except Ended as ended:
        return found, ended, len(opened)
    raise AssertionError("it did not end")


@pytest.mark.parametrize("name", ["sse", "ndjson"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("tail", [b"", b"data: cut", b'{"type":'])
async def test_whole_in_pieces_and_with_a_tail(name: str, size: int, tail: bytes) -> None:
    def pieces(data: bytes) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    async with answering(answer(TYPES[name], BODIES[name] + tail), pieces=pieces) as url:
        found, ended, opened = await heard(name, url)
    assert found == [ONE, TWO]
    assert (ended.final, opened) == (False, 1)


async def test_a_poll_follows_the_other() -> None:
    first = answer(
        TYPES["long_poll"], b'{"events":[{"id":"e.1","type":"message","data":{"text":"a: b\\nc"}}],"next":"e.1"}'
    )
    async with answering(
        first, answer(TYPES["long_poll"], b'{"events":[],"next":"e.1"}'), answer("x", b"", "503 X")
    ) as url:
        found, ended, opened = await heard("long_poll", url)
    assert found == [ONE]
    assert str(ended) == "the answer was 503"
    assert opened == 2


@pytest.mark.parametrize("name", ["sse", "ndjson", "long_poll"])
async def test_what_rest_answers_is_no_stream(name: str) -> None:
    async with answering(answer("application/json; charset=utf-8", b"[]")) as url:
        found, ended, opened = await heard(name, url)
    assert (found, ended.final, opened) == ([], False, 0)
    assert "REST answered" in str(ended)


@pytest.mark.parametrize("name", list(TRANSPORTS))
async def test_nobody_answers(name: str) -> None:
    async with answering() as url:
        pass
    found, ended, opened = await heard(name, url)
    assert (found, ended.final, opened) == ([], False, 0)


@pytest.mark.parametrize(
    ("status", "final"),
    [(401, True), (404, True), (406, False), (429, False), (503, False), (302, False)],
)
def test_refusals(status: int, final: bool) -> None:
    ended = refusal(status, [(b"Retry-After", b"7")], b'{"detail":"because"}')
    assert (str(ended), ended.final) == (f"the answer was {status}: because", final)
    assert ended.pause == 7
    assert str(refusal(status, [], b"<html>")) == f"the answer was {status}"
    assert refusal(status, [(b"retry-after", b"never")], b"[]").pause == 0


@pytest.mark.parametrize(
    ("code", "reason", "text", "final"),
    [
        (1012, "the gateway restarts", "closed with 1012: the gateway restarts", False),
        (4401, "", "closed with 4401", True),
        (1006, "", "the line was cut", False),
        (None, None, "the line was cut", False),
    ],
)
def test_close_codes(code: int | None, reason: str | None, text: str, final: bool) -> None:
    ended = closed(code, reason)
    assert (str(ended), ended.final) == (text, final)


@pytest.mark.parametrize("block", [b":", b"retry: 1", b"event: x", b"data: 1", b""])
def test_comments_are_no_events(block: bytes) -> None:
    assert decode_sse(block) is None


def test_the_gateways_parameters_join_those_of_the_url() -> None:
    wanted = Wanted(url=urlsplit("http://h/a?b=1"), since="e.1", mode="items", headers=[], opened=lambda: None)
    assert wanted.target(wait=3) == b"/a?b=1&live.since=e.1&live.mode=items&live.wait=3"
    assert Wanted(url=urlsplit("http://h"), since=None, mode=None, headers=[], opened=lambda: None).target() == b"/"
