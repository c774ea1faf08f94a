from __future__ import annotations

import asyncio

import pytest

from gateway.core.asgi import Headers
from gateway.errors import UpstreamProtocolError, UpstreamTimeout
from gateway.proxy.body import ClientGone
from gateway.proxy.inbound import SMALL_BODY
from gateway.proxy.passage import Passage
from tests.proxy.played import Call, Client, Upstream, inbound, reply


async def carried(client: Client, call: Call, *headers: tuple[bytes, bytes], version: str = "1.1") -> Upstream:
    upstream = Upstream(call)
    await Passage(inbound(*headers, http_version=version), client.receive, reply(client), upstream).carry()
    assert call.closed
    return upstream


async def test_the_straight_line_starts_no_task() -> None:
    before = asyncio.all_tasks()
    most = 0

    class Watching(Client):
        async def send(self, message: object) -> None:
            nonlocal most
            most = max(most, len(asyncio.all_tasks() - before))

        async def receive(self) -> object:  # type: ignore[override]
            raise AssertionError("there is no body to receive")

    upstream = await carried(Watching(), Call(200, None, b"hello"))
    assert most == 0
    [(method, target, _, body)] = upstream.asked
    assert (method, target, body) == (b"POST", b"/a%2Fb", b"")


async def test_a_small_body_is_collected() -> None:
    client = Client(b"hel", b"lo")
    upstream = await carried(client, Call(200, None, b"ok"), (b"content-length", b"5"))
    assert upstream.asked[0][3] == b"hello"
    assert client.body == b"ok"


@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"%d" % (SMALL_BODY + 1))], [(b"transfer-encoding", b"chunked")]]
)
async def test_other_bodies_are_streamed(headers: Headers) -> None:
    call = Call(200, None, b"a", b"b")
    call.come.clear()
    call.headed = False
    client = Client(b"x" * SMALL_BODY, b"y")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(carried(client, call, *headers))
        for _ in range(20):
            await asyncio.sleep(0)
        assert call.ended == []
        call.come.set()
        upstream = await task
    assert upstream.asked[0][3] is None
    assert call.written == [b"x" * SMALL_BODY, b"y"]
    assert client.body == b"ab"


@pytest.mark.parametrize("bodies", [[b""], [b"hello"]])
async def test_http2_without_a_length_and_with_all_of_it_at_once(bodies: list[bytes]) -> None:
    client = Client(*bodies)
    upstream = await carried(client, Call(200, None, b"ok"), version="2")
    assert upstream.asked[0][3] == bodies[0]


async def test_http2_without_a_length_and_more_to_come() -> None:
    call = Call(200, None, b"ok")
    call.come.clear()
    client = Client(b"a", b"b")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(carried(client, call, version="2"))
        for _ in range(20):
            await asyncio.sleep(0)
        call.come.set()
        upstream = await task
    assert upstream.asked[0][3] is None
    assert call.written == [b"a", b"b"]


async def test_a_slow_answer_is_awaited_while_the_client_is_watched() -> None:
    call = Call(200, None, b"ok")
    call.come.clear()
    client = Client()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(carried(client, call))
        for _ in range(20):
            await asyncio.sleep(0)
        assert client.sent == []
        call.come.set()
        await task
    assert client.body == b"ok"


async def test_a_client_that_leaves_ends_a_slow_call() -> None:
    call = Call(200, None, b"ok")
    call.come.clear()
    client = Client()
    client.gone.set()
    with pytest.raises(ClientGone):
        await carried(client, call)
    assert call.closed


async def test_a_slow_answer_that_never_comes() -> None:
    call = Call(0)
    call.error = UpstreamTimeout("late")
    with pytest.raises(UpstreamTimeout):
        await carried(Client(), call)
    assert call.closed


async def test_a_failed_upload_is_told_by_the_answer() -> None:
    call = Call(0)
    call.error = UpstreamProtocolError("broke")
    call.full_after = 1
    with pytest.raises(UpstreamProtocolError):
        await carried(Client(b"a", b"b"), call, (b"transfer-encoding", b"chunked"))
    assert call.closed


async def test_a_100_is_what_the_body_waits_for() -> None:
    call = Call(200, None, b"ok")
    call.come.clear()
    call.headed = False
    client, upstream = Client(b"hello"), Upstream(call)
    request = inbound((b"content-length", b"5"), (b"expect", b"100-continue"))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Passage(request, client.receive, reply(client), upstream).carry())
        for _ in range(20):
            await asyncio.sleep(0)
        assert call.written == []
        assert upstream.asker is not None
        upstream.asker.informational(102, [])
        for _ in range(20):
            await asyncio.sleep(0)
        assert call.written == []
        upstream.asker.informational(100, [])
        for _ in range(20):
            await asyncio.sleep(0)
        assert call.written == [b"hello"]
        call.come.set()
        await task
    assert client.body == b"ok"
