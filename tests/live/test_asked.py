from __future__ import annotations

import asyncio

import pytest

from gateway.core.asgi import Message
from gateway.errors import ClientError
from gateway.live.asked import Asked
from gateway.live.flow import Flow
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter


def start(*headers: tuple[bytes, bytes], **more: object) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(headers), **more}


def piece(data: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def asked(limit: int = 10, writer: ManualWriter | None = None) -> Asked:
    return Asked(b"body", limit, Flow(writer or ManualWriter()))


async def test_it_gives_the_request_once_and_takes_the_answer() -> None:
    one = asked()
    assert await one.receive() == {"type": "http.request", "body": b"body", "more_body": False}
    gone = asyncio.get_running_loop().create_task(one.receive())
    await turn()
    assert not gone.done(), "the client of a session has not gone"
    gone.cancel()
    await one.send(start((b"a", b"b")))
    for data, more in ((b"12", True), (b"", True), (b"345", True), (b"", False)):
        await one.send(piece(data, more=more))
    one.result()
    assert (one.status, one.headers, one.body) == (200, [(b"a", b"b")], b"12345")


async def test_an_error_of_the_gateway_is_an_error() -> None:
    one = asked(1000)
    await one.send({**start(), "status": 404, "tidegate.problem": ("no_route", "nothing is routed here")})
    await one.send(piece(b"{}", more=False))
    with pytest.raises(ClientError, match="nothing is routed here") as error:
        one.result()
    assert (error.value.status, error.value.code) == (404, "no_route")


async def test_answers_that_are_too_big_or_have_no_end() -> None:
    one = asked(10)
    await one.send(start())
    await one.send(piece(b"1234567890", more=True))
    with pytest.raises(ClientError, match="more than 10 bytes"):
        await one.send(piece(b"1", more=True))
    with pytest.raises(ClientError, match="event stream"):
        await asked().send(start((b"content-type", b"text/event-stream; charset=utf-8")))


async def test_a_client_that_does_not_read_holds_the_backend_up() -> None:
    writer = ManualWriter(high=5, low=0)
    one = asked(100, writer)
    writer.write(b"123456")
    sending = asyncio.get_running_loop().create_task(one.send(piece(b"x", more=True)))
    await turn()
    assert not sending.done()
    writer.take()
    await sending
    writer.write(b"123456")
    await one.send(piece(b"x", more=False))
