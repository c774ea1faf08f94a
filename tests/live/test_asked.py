from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Raw

from gateway.core.asgi import NOTHING, Message
from gateway.core.formats import json_format
from gateway.errors import ClientError
from gateway.live.asked import Asked, Asker
from gateway.live.flow import Flow
from gateway.live.supervisor import Supervisor
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter
from tests.live.talk import LIVE

JSON = json_format(msgspec.json.encode)

Answer = Callable[[Asked], Awaitable[None]]


def start(*headers: tuple[bytes, bytes], **more: object) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(headers), **more}


def piece(data: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class Client:
    """One that asked; `ends` is what was told of the end."""

    def __init__(self, body: bytes = b"body", limit: int = 10, writer: ManualWriter | None = None) -> None:
        self.supervisor = Supervisor()
        self.ends: list[Exception | None] = []
        asker = Asker(form=JSON, flow=Flow(writer or ManualWriter()), spawn=self.supervisor.start, then=self.then)
        self.asked = Asked(asker, 1, [], body, limit, due=60.0)

    def then(self, asked: Asked, error: Exception | None) -> None:
        assert asked is self.asked
        self.ends.append(error)

    def start(self, answer: Answer) -> Asked:
        self.asked.start(lambda *_: answer(self.asked), {}, LIVE)
        return self.asked

    def error(self) -> ClientError:
        (error,) = self.ends
        assert isinstance(error, ClientError)
        return error


async def test_it_gives_the_request_once_and_takes_the_answer() -> None:
    async def answer(one: Asked) -> None:
        assert not one.whole
        assert await one.receive() == {"type": "http.request", "body": b"body", "more_body": False}
        gone = asyncio.get_running_loop().create_task(one.receive())
        await turn()
        assert not gone.done(), "the client of a session has not gone"
        gone.cancel()
        await one.send(start((b"a", b"b")))
        for data, more in ((b"12", True), (b"", True), (b"345", True), (b"", False)):
            await one.send(piece(data, more=more))

    client = Client()
    one = client.start(answer)
    await turn()
    await turn()
    assert client.ends == [None]
    assert (one.status, one.headers, one.body) == (200, [(b"a", b"b")], b"12345")


def take(one: Asked) -> Awaitable[None]:
    one.take()
    return NOTHING


async def test_an_answer_without_messages_needs_no_task() -> None:
    client = Client(b"")
    one = client.start(take)
    assert one.whole
    assert (client.ends, len(client.supervisor)) == ([], 0)
    one.answer(201, [(b"A", b"b")], b"12345", {}, b"")
    assert client.ends == [None]
    assert (one.status, one.headers, one.body) == (201, [(b"A", b"b")], b"12345")


async def test_who_took_it_may_do_so_late_and_hand_it_back() -> None:
    async def answer(one: Asked) -> None:
        await one.send(start())
        await one.send(piece(b"1", more=False))

    async def take(one: Asked) -> None:
        await asyncio.sleep(0)  # who may come in was asked first
        one.take()

    client = Client(b"")
    one = client.start(take)
    await turn()
    assert (client.ends, len(client.supervisor)) == ([], 0)
    one.carry(answer(one))
    await turn()
    assert (client.ends, one.body) == ([None], b"1")


async def test_errors_of_the_gateway_and_bugs() -> None:
    async def refuse(one: Asked) -> None:
        await one.send({**start(), "status": 404, "tidegate.problem": ("no_route", "nothing is routed here")})
        await one.send(piece(b"{}", more=False))

    def fail(one: Asked) -> Awaitable[None]:
        raise KeyError

    async def fail_later(one: Asked) -> None:
        raise KeyError

    client = Client()
    client.start(refuse)
    await turn()
    assert (client.error().status, client.error().code) == (404, "no_route")
    for bug in (fail, fail_later):
        client = Client()
        client.start(bug)
        await turn()
        assert isinstance(client.ends[0], KeyError)


async def test_answers_that_are_too_big_or_have_no_end() -> None:
    async def much(one: Asked) -> None:
        await one.send(start())
        await one.send(piece(b"1234567890", more=True))
        await one.send(piece(b"1", more=True))

    async def endless(one: Asked) -> None:
        await one.send(start((b"Content-Type", b"text/event-stream; charset=utf-8")))

    for answer, words in ((much, "more than 10 bytes"), (endless, "event stream")):
        client = Client()
        client.start(answer)
        await turn()
        assert words in client.error().detail
    client = Client()
    client.asked.answer(200, [], b"12345678901", {}, b"")
    assert client.error().code == "too_big"


async def test_what_was_given_up_is_cancelled_or_heard_of_by_another() -> None:
    async def hang(one: Asked) -> None:
        await asyncio.Event().wait()

    def nobody(asked: Asked, error: Exception | None) -> None:
        later.append(asked)

    async def carry(one: Asked) -> None:
        assert await one.receive() == {"type": "http.disconnect"}
        await asyncio.Event().wait()

    later: list[Asked] = []
    client = Client()
    one = client.start(hang)
    await turn()
    assert one.give_up(nobody)
    await turn()
    assert (len(client.supervisor), client.ends, later) == (0, [], [])
    ends: tuple[Callable[[Asked], None], ...] = (
        lambda one: one.answer(200, [], b"", {}, b""),
        lambda one: one.carry(carry(one)),
    )
    for end in ends:
        client = Client(b"")
        client.asked.take()
        assert not client.asked.give_up(nobody)
        end(client.asked)
        await turn()
        assert client.ends == []
        assert later.pop() is client.asked


async def test_what_is_given_up_at_once_has_begun_all_the_same() -> None:
    steps: list[str] = []

    async def answer(one: Asked) -> None:
        steps.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            steps.append("ended")

    client = Client()
    assert client.start(answer).give_up(client.then)
    await turn()
    assert (steps, client.ends, len(client.supervisor)) == (["begun", "ended"], [], 0)


async def test_a_client_that_does_not_read_holds_the_backend_up() -> None:
    writer = ManualWriter(high=5, low=0)
    one = Client(limit=100, writer=writer).asked
    writer.write(b"123456")
    sending = asyncio.get_running_loop().create_task(one.send(piece(b"x", more=True)))
    await turn()
    assert not sending.done()
    writer.take()
    await sending
    writer.write(b"123456")
    await one.send(piece(b"x", more=False))


async def test_what_is_made_of_headers_that_repeat_is_made_once() -> None:
    notes: dict[object, object] = {}
    fields = []
    for _ in range(2):
        client = Client(b"")
        one = client.start(take)
        one.answer(200, [(b"Content-Type", b"text/plain")], b"", notes, b"OK")
        fields.append(one.fields)
    assert fields[0] == (Raw(b'{"content-type":"text/plain"}'), False)
    assert fields[1] is fields[0]


async def test_an_event_stream_is_refused_each_time() -> None:
    notes: dict[object, object] = {}
    for _ in range(2):
        client = Client(b"")
        one = client.start(take)
        one.answer(200, [(b"Content-Type", b"text/event-stream")], b"", notes, b"OK")
        [error] = client.ends
        assert "is an event stream" in str(error)
