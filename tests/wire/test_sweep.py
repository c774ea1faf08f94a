from __future__ import annotations

import asyncio

from gateway.core.settings import Limits
from gateway.wire.sweep import EXCHANGE_PERIOD, HEARTBEAT, TICK, Member, Patience, Ring, Sweep


def test_patience_is_counted_in_visits() -> None:
    assert Patience.of(Limits()) == Patience(head=6, idle=15, stall=12, life=720, rate=1200)
    assert Patience.of(Limits(head_time=5, body_rate=1)).head == 1


class Counted:
    def __init__(self, ring: Ring) -> None:
        self.visits = 0
        self.slot: set[Member] = ring.place()
        self.slot.add(self)

    def visit(self) -> None:
        self.visits += 1

    def drain(self) -> None: ...

    def abort(self) -> None:
        self.slot.discard(self)


def test_each_member_is_visited_once_in_a_round() -> None:
    ring = Ring(10)
    members = [Counted(ring) for _ in range(25)]
    for rounds in (1, 2, 3):
        for _ in range(10):
            ring.turn()
        assert [member.visits for member in members] == [rounds] * 25


def test_members_are_spread_and_visited_late() -> None:
    ring = Ring(20)
    for _ in range(7):
        ring.turn()
    members = [Counted(ring) for _ in range(10)]
    visited = []
    for _ in range(20):
        ring.turn()
        visited.append(sum(member.visits for member in members))
    assert visited == [0] * 15 + [2, 4, 6, 8, 10]


def test_members_may_leave_while_they_are_visited() -> None:
    ring = Ring(1)
    members = [Counted(ring) for _ in range(3)]

    class Leaving(Counted):
        def visit(self) -> None:
            for member in members:
                member.abort()

    leaving = Leaving(ring)
    ring.turn()
    assert list(ring) == [leaving]
    assert len(ring) == 1


async def test_time_is_told_until_it_stops() -> None:
    sweep = Sweep()
    assert sweep.date.startswith(b"date: ")
    assert sweep.date.endswith(b" GMT\r\n")
    exchange, socket = Counted(sweep.exchanges), Counted(sweep.sockets)
    assert sweep.members() == [exchange, socket]
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert sweep.now == 0
    for _ in range(round(EXCHANGE_PERIOD / TICK)):
        sweep._tick(loop)
        sweep.stop()
    assert before <= sweep.now <= loop.time()
    assert exchange.visits == 1
    assert len(sweep.sockets._slots) == HEARTBEAT / TICK


def test_the_date_changes_with_the_second() -> None:
    sweep = Sweep()
    sweep._tell_date(784111777.5)
    assert sweep.date == b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"  # the example of RFC 9110
    sweep._tell_date(784111777.9)
    assert b"08:49:37" in sweep.date
    sweep._tell_date(784111778.0)
    assert b"08:49:38" in sweep.date
