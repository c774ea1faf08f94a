"""Two joined connections: order, back-pressure, half-closing, silence and the end, without a network."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.codes import GOING_AWAY, IDLE, NORMAL, RESTART, UPSTREAM_GONE
from gateway.core.stats import StreamStats
from gateway.wire.sweep import EXCHANGE_PERIOD, STALL_VISITS
from gateway.wire.tunnel import Tunnel
from gateway.wire.upgrade import Upgraded
from tests.wire.wired import Line, begun, listener_for, responds, settle


class Joined:
    """A tunnel between two lines that the test plays."""

    def __init__(self, from_client: bytes = b"", rest: bytes = b"", idle: float = 60.0) -> None:
        self.listener = listener_for(responds())
        self.near, self.far = Line(), Line()
        self.listener.arrived(self.near, "192.0.2.1")
        for line in (self.near, self.far):
            line.protocol = asyncio.Protocol()
        self.near.reading = self.far.reading = False  # as after the handshakes
        upgraded = Upgraded(self.far, [], rest)
        upgraded.idle = idle
        self.stats = StreamStats()
        self.tunnel = Tunnel(self.listener, self.near, upgraded, self.stats)
        self.tunnel.start(from_client, rest)

    async def over(self) -> None:
        """All of it is gone, and accounted for."""
        async with asyncio.timeout(5):
            await self.tunnel.wait()
        assert self.listener.open == 0
        assert not self.listener.sweep.members()
        assert self.stats.bytes == self.tunnel.sent

    def client_says(self, data: bytes) -> None:
        self.near.protocol.data_received(data)

    def upstream_says(self, data: bytes) -> None:
        self.far.protocol.data_received(data)


async def test_bytes_pass_in_order_and_unchanged_beginning_with_what_was_read_before() -> None:
    joined = Joined(b"early", b"first")
    assert joined.near.reading
    assert joined.far.reading
    joined.client_says(b" bird")
    joined.upstream_says(b" and\0last")
    assert joined.far.sent == b"early bird"
    assert joined.near.sent == b"first and\0last"
    assert joined.tunnel.sent == len(b"first and\0last")
    joined.far.close()
    await joined.over()


@pytest.mark.parametrize("slow", ["client", "upstream"])
async def test_nobody_is_read_faster_than_the_other_takes_it(slow: str) -> None:
    joined = Joined()
    taker, giver = (joined.near, joined.far) if slow == "client" else (joined.far, joined.near)
    taker.stalled = True
    giver.protocol.data_received(b"x" * 100_000)
    assert not giver.reading
    assert taker.reading
    taker.read_all()
    assert giver.reading
    joined.near.close()
    await joined.over()


async def test_a_client_that_was_stalled_before() -> None:
    listener = listener_for(responds())
    near, far = Line(), Line()
    listener.arrived(near, None)
    for line in (near, far):
        line.protocol, line.reading = asyncio.Protocol(), False
    near.waiting, near.stalled = 100_000, True
    tunnel = Tunnel(listener, near, Upgraded(far, [], b""), StreamStats())
    tunnel.start(b"", b"")
    assert not far.reading
    tunnel.abort()
    await settle()


async def test_whoever_has_said_all_still_listens() -> None:
    joined = Joined()
    assert joined.near.protocol.eof_received() is True
    assert joined.far.eof
    joined.upstream_says(b"one more thing")
    assert joined.near.sent == b"one more thing"
    assert not joined.near.closing
    joined.far.protocol.eof_received()
    await joined.over()
    assert joined.tunnel.ending is GOING_AWAY


async def test_without_half_closing_both_end_when_all_is_written() -> None:
    joined = Joined()
    joined.near.half_closes = False  # TLS
    joined.near.stalled = True
    joined.upstream_says(b"last words")
    assert not joined.far.protocol.eof_received()
    await settle()
    assert joined.near.closing
    assert not joined.near._lost  # what it has not read yet is still to come
    joined.near.read_all()
    await joined.over()
    assert joined.tunnel.ending is NORMAL


async def test_why_it_ended() -> None:
    for side, error, why in (
        ("near", None, GOING_AWAY),
        ("near", OSError(), GOING_AWAY),
        ("far", None, NORMAL),
        ("far", OSError(), UPSTREAM_GONE),
    ):
        joined = Joined()
        getattr(joined, side).lose(error)
        await joined.over()
        assert joined.tunnel.ending is why


async def test_bytes_for_somebody_who_is_gone_are_dropped() -> None:
    joined = Joined()
    joined.near.lose()
    joined.upstream_says(b"hello?")
    await joined.over()
    assert joined.near.sent == b""


async def test_silence_ends_it_and_anything_that_moves_does_not() -> None:
    joined = Joined(idle=3 * EXCHANGE_PERIOD)
    for _ in range(3):
        joined.tunnel.visit()
        joined.tunnel.visit()
        joined.client_says(b".")
        joined.tunnel.visit()
        joined.tunnel.visit()
        joined.upstream_says(b".")
    assert not joined.near.closing
    for _ in range(4):
        joined.tunnel.visit()
    await joined.over()
    assert joined.tunnel.ending is IDLE


async def test_a_client_that_does_not_take_its_last_bytes_is_cut_off() -> None:
    joined = Joined()
    joined.near.stalled = True
    joined.upstream_says(b"x" * 1000)
    joined.far.close()
    await settle()
    for _ in range(STALL_VISITS + 1):
        assert not joined.near.aborted
        joined.tunnel.visit()
    assert joined.near.aborted
    await joined.over()


async def test_bytes_are_counted_while_it_goes_on() -> None:
    joined = Joined()
    joined.upstream_says(b"12345")
    joined.tunnel.visit()
    assert joined.stats.bytes == 5
    joined.upstream_says(b"678")
    joined.far.close()
    await joined.over()
    assert joined.stats.bytes == 8


async def test_the_server_ends() -> None:
    joined = Joined()
    joined.tunnel.drain()
    await joined.over()
    assert joined.tunnel.ending is RESTART


async def test_a_wait_that_is_cancelled_closes_both() -> None:
    joined = Joined()
    waiting = begun(joined.tunnel.wait())
    await settle()
    waiting.cancel()
    await settle()
    assert joined.near.aborted
    assert joined.far.aborted
    assert not joined.listener.sweep.members()
