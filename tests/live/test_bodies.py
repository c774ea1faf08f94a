"""Bodies within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.core.asgi import Message
from gateway.errors import ClientError
from gateway.live.bodies import Bodies, Gone


class Sender:
    """Sends pieces as the test puts them there."""

    def __init__(self, *pieces: bytes, end: bool = True) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.receive: Callable[[], asyncio.Future[Message]] = self.inbox.get  # type: ignore[assignment]  # awaitable
        for index, piece in enumerate(pieces):
            self.put(piece, more=not end or index < len(pieces) - 1)

    def put(self, piece: bytes, *, more: bool = False) -> None:
        self.inbox.put_nowait({"type": "http.request", "body": piece, "more_body": more})


async def collected(bodies: Bodies, sender: Sender, address: str = "a", most: int = 100, timeout: float = 600) -> bytes:
    return await bodies.collect(sender.receive, address, most=most, timeout=timeout)


async def test_pieces_are_joined() -> None:
    bodies = Bodies()
    assert await collected(bodies, Sender(b"one", b"", b"two")) == b"onetwo"
    assert await collected(bodies, Sender(b"")) == b""
    assert await collected(bodies, Sender(b"x" * 100), address="") == b"x" * 100
    assert repr(bodies) == "<Bodies 0 bytes of 0 addresses>"


async def test_what_is_too_large_is_not_read_to_its_end() -> None:
    bodies, sender = Bodies(), Sender(b"x" * 60, b"x" * 41, b"x" * 41)
    with pytest.raises(ClientError) as error:
        await collected(bodies, sender)
    assert error.value.status == 413
    assert sender.inbox.qsize() == 1
    assert repr(bodies) == "<Bodies 0 bytes of 0 addresses>"


async def test_who_leaves_or_is_too_slow_gives_back_what_it_held() -> None:
    bodies, sender = Bodies(), Sender(b"x", end=False)
    sender.inbox.put_nowait({"type": "http.disconnect"})
    with pytest.raises(Gone):
        await collected(bodies, sender)
    with pytest.raises(ClientError) as error:
        await collected(bodies, Sender(b"x", end=False), timeout=0.001)
    assert (error.value.status, error.value.code) == (408, "too_slow")
    assert repr(bodies) == "<Bodies 0 bytes of 0 addresses>"


async def test_one_address_has_a_part_of_the_room_and_all_have_no_more_than_there_is() -> None:
    bodies = Bodies(most=100, share=40)
    slow = [Sender(b"x" * 30, end=False) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(collected(bodies, one, f"address {at}")) for at, one in enumerate(slow)]
        while bodies.size < 90:  # noqa: ASYNC110 - turns of the loop, until all three have begun
            await asyncio.sleep(0)
        for address in ("address 0", "other"):
            with pytest.raises(ClientError) as full:
                await collected(bodies, Sender(b"x" * 11), address)
            assert (full.value.status, full.value.headers) == (503, ((b"retry-after", b"5"),))
        assert await collected(bodies, Sender(b"x" * 10), "address 0") == b"x" * 10
        slow[1].put(b"end")
        assert await tasks[1] == b"x" * 30 + b"end"
        with pytest.raises(ClientError) as refused:
            await collected(bodies, Sender(b"x" * 11), "address 0")
        assert (refused.value.status, refused.value.code) == (429, "too_much")
        assert await collected(bodies, Sender(b"x" * 40), "other") == b"x" * 40
        slow[0].put(b"")
        slow[2].put(b"")
    assert repr(bodies) == "<Bodies 0 bytes of 0 addresses>"
