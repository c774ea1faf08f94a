from __future__ import annotations

import asyncio

import pytest

from gateway.errors import UpstreamTimeout
from gateway.proxy.body import ClientGone, beside, collect, next_piece, upload, upload_when_asked, watch
from tests.proxy.played import Call, Client, inbound
from tests.proxy.test_inbound import Wire


@pytest.mark.parametrize("bodies", [[b"hello"], [b"hel", b"", b"lo"], [b"hello", b""]])
async def test_collecting(bodies: list[bytes]) -> None:
    assert await collect(Client(*bodies).receive) == b"hello"


@pytest.mark.parametrize("bodies", [[], [b"hel"]])
async def test_a_client_that_leaves_while_its_body_is_collected(bodies: list[bytes]) -> None:
    client = Client(*bodies, more=True)
    client.gone.set()
    with pytest.raises(ClientGone):
        await collect(client.receive)


async def finished(side: asyncio.Task[None]) -> None:
    """Run a side until it waits for the client to leave, then let it go."""
    for _ in range(20):
        await asyncio.sleep(0)
    assert not side.done()
    side.cancel()


async def test_uploading_piece_by_piece_with_trailers() -> None:
    client, call, request = Client(b"a", b"", b"b"), Call(), inbound()
    assert isinstance(request.wire, Wire)
    request.wire.trailers = [(b"X-Sum", b"1")]
    async with asyncio.TaskGroup() as group:
        side = group.create_task(upload(client.receive, call, request, None))
        await finished(side)
    assert call.written == [b"a", b"", b"b"]
    assert call.ended == [(b"X-Sum", b"1")]


async def test_a_first_piece_that_was_received_already() -> None:
    client, call = Client(b"b"), Call()
    async with asyncio.TaskGroup() as group:
        first = {"type": "http.request", "body": b"a", "more_body": True}
        await finished(group.create_task(upload(client.receive, call, inbound(), first)))
    assert call.written == [b"a", b"b"]


async def test_an_upstream_that_takes_no_more_ends_the_upload() -> None:
    client, call = Client(b"a", b"b", b"c"), Call()
    call.full_after = 2
    async with asyncio.TaskGroup() as group:
        await finished(group.create_task(upload(client.receive, call, inbound(), None)))
    assert call.written == [b"a", b"b"]
    assert call.ended is None
    assert client.messages == [], "what nobody wants is dropped"


async def test_a_client_that_leaves_after_its_body() -> None:
    client, call = Client(b"a"), Call()
    client.gone.set()
    with pytest.raises(ClientGone):
        await upload(client.receive, call, inbound(), None)
    assert call.ended == []


async def test_a_body_waits_until_it_is_asked_for() -> None:
    client, call, asked = Client(b"a"), Call(), asyncio.Event()
    call.headed = False
    async with asyncio.TaskGroup() as group:
        side = group.create_task(upload_when_asked(client.receive, call, inbound(), asked))
        for _ in range(20):
            await asyncio.sleep(0)
        assert call.written == []
        asked.set()
        await finished(side)
    assert call.written == [b"a"]


async def test_a_body_that_was_refused_is_not_received(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.proxy.body.CONTINUE_WAIT", 0.001)
    client, call = Client(b"a"), Call()
    await upload_when_asked(client.receive, call, inbound(), asyncio.Event())
    assert call.written == []
    assert len(client.messages) == 1


async def test_watching_drops_what_comes_until_the_client_leaves() -> None:
    client = Client(b"a", b"b")
    client.gone.set()
    with pytest.raises(ClientGone):
        await watch(client.receive)
    with pytest.raises(ClientGone):
        await next_piece(client.receive)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_runs_beside_ends_with_the_main_thing() -> None:
    ended = asyncio.Event()

    async def side() -> None:
        try:
            await forever()
        finally:
            ended.set()

    async def main() -> int:
        await asyncio.sleep(0)
        return 5

    assert await beside(side(), main()) == 5
    assert ended.is_set()


async def test_what_the_main_thing_raises_is_raised_as_it_is() -> None:
    cause = OSError("inside")

    async def main() -> None:
        raise UpstreamTimeout("late") from cause

    with pytest.raises(UpstreamTimeout, match="late") as caught:
        await beside(forever(), main())
    assert caught.value.__cause__ is cause


async def test_what_the_side_raises_ends_the_main_thing() -> None:
    cancelled = False

    async def main() -> None:
        nonlocal cancelled
        try:
            await forever()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async def side() -> None:
        raise ClientGone

    with pytest.raises(ClientGone):
        await beside(side(), main())
    assert cancelled


async def test_cancellation_from_outside_stays_one() -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(beside(forever(), forever()))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
