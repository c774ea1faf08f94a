from __future__ import annotations

import asyncio

from gateway.core.event import Change, Event
from gateway.core.log import Audience, Log
from gateway.core.position import Position
from gateway.core.settings import LogLimits
from gateway.core.stats import StreamStats
from gateway.live.flow import Flow
from gateway.live.subscriptions import Feed, Group, Subscription
from gateway.testing.clock import ManualClock
from gateway.testing.source import turn
from gateway.testing.writer import ManualWriter


class Source:
    """A channel of numbers, each one event of ten bytes, and its one subscription to a flow."""

    def __init__(self, name: bytes, flow: Flow) -> None:
        self.log = Log(LogLimits(), Position("e", 0))
        group = Group(Audience("patch", lambda event: self.render(name, event)), b"", Position("e", 0), StreamStats())
        self.group = group
        self.subscription = Subscription(
            Feed(self.log, "snapshot", ManualClock()), group, flow.writer, lambda end: None
        )
        flow.add(self.subscription)
        self.subscription.start(None)

    @staticmethod
    def render(name: bytes, event: Event) -> bytes:
        offset = event.position.offset if event.position is not None else 0
        return b"%b%09d" % (name, offset)

    def publish(self) -> None:
        offset = self.log.head.offset + 1
        self.log.append(Position("e", offset), Change(document=offset, patch=[offset]), now=0.0)
        self.group.flush(self.log)


async def test_many_share_one_writer_and_catch_up_in_turns() -> None:
    writer = ManualWriter(high=25, low=0)
    flow = Flow(writer)
    a, b = Source(b"a", flow), Source(b"b", flow)
    for _ in range(3):  # a's third fills the writer
        a.publish()
    assert (writer.full, flow.open) == (True, False)
    for _ in range(3):
        b.publish()
    a.publish()
    taken = b""
    while data := writer.take():
        taken += data
    order = [taken[index : index + 10] for index in range(0, len(taken), 10)]
    for name, count in ((b"a", 4), (b"b", 3)):
        assert [event for event in order if event[:1] == name] == [b"%b%09d" % (name, n + 1) for n in range(count)]


async def test_who_was_served_goes_last() -> None:
    writer = ManualWriter(high=5, low=0)  # one event fills it
    flow = Flow(writer)
    sources = [Source(name, flow) for name in (b"a", b"b", b"c")]
    sources[0].publish()
    served: list[bytes] = []
    for _ in range(6):
        for source in sources:
            source.publish()
        served.append(writer.take()[:1])
    assert b"".join(served[1:]) == b"abcab"


async def test_waiting_for_room_ends_with_the_client() -> None:
    writer = ManualWriter(high=5, low=0)
    flow = Flow(writer)
    await flow.room()
    writer.write(b"123456")
    waiting = asyncio.get_running_loop().create_task(flow.room())
    await turn()
    flow.look()
    await turn()
    assert not waiting.done()
    writer.take()
    await waiting

    class Gone(ManualWriter):
        """Nothing is kept for a client that has gone, and nobody says that it drained."""

        buffered = 0

    writer = Gone(high=5)
    flow = Flow(writer)
    writer.full = True
    assert flow.open


async def test_who_has_left_is_not_served() -> None:
    writer = ManualWriter(high=5, low=0)
    flow = Flow(writer)
    a, b = Source(b"a", flow), Source(b"b", flow)
    a.publish()
    b.publish()
    b.subscription.stop()
    flow.remove(b.subscription)
    flow.remove(b.subscription)
    assert writer.take() == b"a000000001"
    assert writer.take() == b""
