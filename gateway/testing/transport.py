"""What every transport must do, as tests: subclass `TransportContract` in a test file, and pytest runs them.

Each test plays both sides of a real live route (`gateway.testing.stage`): nothing is timed, no socket is opened, and
a client reads only when it is told to. A test that leaves a task behind fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from gateway.core.codes import RESTART
from gateway.core.event import Json
from gateway.core.settings import LogLimits
from gateway.plugin import Options, Plugin, Transport
from gateway.plugin.registry import find
from gateway.testing.codec import AWKWARD
from gateway.testing.fold import Fold
from gateway.testing.play import play
from gateway.testing.source import turn
from gateway.testing.stage import Ask, Stage, StageClient

Event = dict[str, Json]
C = TypeVar("C", bound="TransportContract")


def staged(test: Callable[[C, Stage], Awaitable[None]]) -> Callable[[C], None]:
    """A test on a fresh stage, on a loop of its own; whatever test plug-ins are installed."""

    def run(self: C) -> None:
        async def scene() -> None:
            async with Stage(self.plugin(), log=LogLimits(events=20)) as stage:
                await test(self, stage)

        play(scene())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


class Listener:
    """One client over all its exchanges: what it heard, and where it is; it goes on from there."""

    def __init__(self, contract: TransportContract, stage: Stage, mode: str, high: int) -> None:
        self.events: list[Event] = []
        self.since: str | None = None
        self.exchange: StageClient | None = None
        self._contract = contract
        self._stage = stage
        self._mode = mode
        self._high = high
        self._read = 0

    async def connect(self) -> StageClient:
        """Begin an exchange where the last one ended."""
        query = f"live.mode={self._mode}" + (f"&live.since={self.since}" if self.since else "")
        self._read = 0
        self.exchange = await self._stage.open(self._contract.ask, query, high=self._high)
        return self.exchange

    async def hear(self) -> list[Event]:
        """Read all there is now, and return it; a client that polls asks again until nobody answers at once."""
        before = len(self.events)
        exchange = self.exchange or await self.connect()
        await self._drain(exchange)
        while self._contract.polls and exchange.over:
            exchange = await self.connect()
            if not await self._drain(exchange):
                break
        return self.events[before:]

    async def _drain(self, exchange: StageClient) -> int:
        while exchange.writer.buffered:
            exchange.writer.take()
            await turn()
        events = self._contract.read(exchange.received)[self._read :]
        self._read += len(events)
        self.events += events
        self.since = next((str(event["id"]) for event in reversed(self.events) if "id" in event), self.since)
        return len(events)

    async def begun(self) -> StageClient:
        """Connect, hear the first state, and return the exchange that waits for more."""
        await self.connect()
        await self._stage.publish([{"id": 1}])
        await self.hear()
        assert self.exchange is not None
        return self.exchange

    async def leave(self) -> None:
        """The connection breaks; what was not read is lost."""
        if self.exchange is not None:
            await self.exchange.leave()
            assert self.exchange.over, "the transport goes on after its client has gone"
            self.exchange = None


class TransportContract:
    """Say what the transport is called, how it is asked for, and how its bytes are read."""

    name: str
    """as in the entry point"""
    ask = Ask()
    """how a client asks for it"""
    polls = False
    """whether an exchange ends with one answer"""
    tells_reset = True
    """whether a snapshot shows that the client's own position could not be continued"""
    awkward = AWKWARD
    """data that must come through"""

    def read(self, received: Sequence[bytes]) -> list[Event]:
        """The whole events among what a client has read: WebSocket messages, or one HTTP body that is cut anywhere."""
        raise NotImplementedError

    def plugin(self) -> Plugin[Options, Transport]:
        """The installed plugin."""
        return cast("Plugin[Options, Transport]", find("transports")[self.name].load())

    def listener(self, stage: Stage, mode: str = "items", *, high: int = 2**20) -> Listener:
        return Listener(self, stage, mode, high)

    @staged
    async def test_it_is_called_as_it_is_installed(self, stage: Stage) -> None:
        assert stage.transport.name == self.name

    @staged
    async def test_it_leaves_rest_alone(self, stage: Stage) -> None:
        for accept in (b"*/*", b"application/json", b"text/html,application/xhtml+xml,*/*;q=0.8"):
            assert not stage.transport.accepts(stage.request("http", "GET", [(b"accept", accept)]))
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert not stage.transport.accepts(stage.request("http", method, self.ask.headers))

    @staged
    async def test_events_come_in_order_and_once(self, stage: Stage) -> None:
        listener = self.listener(stage)
        await listener.connect()
        for number in range(50):
            await stage.publish([{"id": "a", "n": number}])
            if number % 3 == 0:
                await listener.hear()
        await listener.hear()
        assert listener.events[0]["type"] == "snapshot"
        assert offsets(listener.events) == list(range(1, 51))

    @staged
    async def test_every_mode_brings_the_state(self, stage: Stage) -> None:
        for mode in ("items", "patch", "snapshot"):
            listener, fold = self.listener(stage, mode), Fold()
            await listener.connect()
            for number in range(4):
                document: Json = [{"id": "a", "n": number}, {"id": mode, "x": "x" * 200}, {"id": number}]
                await stage.publish(document)
                await listener.hear()
            fold.all(listener.events)
            assert fold.state == document, mode

    @staged
    async def test_who_fetches_by_itself_is_told_when_and_no_more(self, stage: Stage) -> None:
        listener = self.listener(stage, "notify")
        await listener.connect()
        for number in range(4):
            await stage.publish([{"id": "a", "n": number}])
            await listener.hear()
        told = [(event["type"], event["data"]) for event in listener.events]
        assert told == [("notify", None)] * 4
        assert offsets(listener.events) == sorted(offsets(listener.events))

    @staged
    async def test_a_position_in_the_log_is_continued(self, stage: Stage) -> None:
        listener = self.listener(stage)
        await listener.connect()
        await stage.publish([{"id": 1}])
        await listener.hear()
        for missed in range(1, 6):
            await listener.leave()
            for number in range(missed):
                await stage.publish([{"id": 1, "n": [missed, number]}])
            assert len(await listener.hear()) == missed
        assert offsets(listener.events) == list(range(1, 17))

    @staged
    async def test_a_position_outside_the_log_is_reset(self, stage: Stage) -> None:
        listener = self.listener(stage)
        await listener.connect()
        await stage.publish([{"id": 1}])
        await listener.hear()
        await listener.leave()
        for number in range(40):
            await stage.publish([{"id": 1, "n": number}])
        [event] = await listener.hear()
        assert (event["type"], event["data"]) == ("snapshot", [{"id": 1, "n": 39}])
        assert event.get("reset", False) is self.tells_reset

    @staged
    async def test_another_epoch_is_reset(self, stage: Stage) -> None:
        listener = self.listener(stage)
        listener.since = "other.7"
        await listener.connect()
        await stage.publish([{"id": 1}])
        [event] = await listener.hear()
        assert event["type"] == "snapshot"
        assert event.get("reset", False) is self.tells_reset

    @staged
    async def test_any_data_comes_through(self, stage: Stage) -> None:
        listener, fold = self.listener(stage), Fold()
        await listener.connect()
        document: list[Json] = []
        for number, value in enumerate(self.awkward):
            document = [*document, {"id": number, "value": value, str(value): value}]
            await stage.publish(document)
            fold.all(await listener.hear())
        assert fold.state == document

    @staged
    async def test_a_client_that_does_not_read_costs_no_memory_and_ends_with_the_state(self, stage: Stage) -> None:
        slow, fast = self.listener(stage, high=1000), self.listener(stage)
        stalled = await slow.connect()
        await fast.connect()
        for number in range(300):
            await stage.publish([{"id": 1, "n": number, "padding": "x" * 100}])
            await fast.hear()
            assert stalled.writer.buffered < 10_000
        assert offsets(fast.events) == list(range(1, 301)), "others notice nothing"
        fold = Fold()
        while new := await slow.hear():
            fold.all(new)
        assert fold.state == [{"id": 1, "n": 299, "padding": "x" * 100}]

    @staged
    async def test_a_client_that_vanishes_in_the_middle_of_a_write(self, stage: Stage) -> None:
        listener = self.listener(stage, high=100)
        client = await listener.connect()
        for number in range(30):
            await stage.publish([{"id": 1, "n": number}])
            client.writer.take(7)
        await listener.leave()
        await stage.publish([])
        await let_go(stage)

    @staged
    async def test_a_gateway_that_ends_says_so(self, stage: Stage) -> None:
        listener = self.listener(stage)
        client = await listener.begun()
        await stage.live.close()
        await turn()
        if self.polls:
            assert client.refused is not None
            assert client.refused.status == 503
            assert client.over
            return
        last = await listener.hear()
        assert client.writer.closed == (RESTART.code, RESTART.reason)
        if self.ask.kind == "http":
            assert [event["type"] for event in last] == ["close"]
        await listener.leave()

    @staged
    async def test_silence_is_broken_and_means_nothing(self, stage: Stage) -> None:
        listener = self.listener(stage)
        client = await listener.begun()
        await stage.pass_time(int(stage.settings.heartbeat) + 1)
        if self.polls:
            assert client.over, "a poll ends before proxies lose their patience"
        elif self.ask.kind == "http":
            assert client.writer.buffered, "proxies cut connections that are silent"
        assert await listener.hear() == []

    @staged
    async def test_bad_news_are_told(self, stage: Stage) -> None:
        listener = self.listener(stage)
        await listener.begun()
        await stage.fail("down")
        [event] = await listener.hear()
        assert event["type"] == "status"

    @staged
    async def test_it_may_be_cancelled_wherever_it_waits(self, stage: Stage) -> None:
        keeper = self.listener(stage)
        await keeper.connect()
        await stage.publish([{"id": 1}])
        for turns in range(25):
            client = await stage.open(self.ask, turns=turns)
            assert client.task is not None
            client.task.cancel()
            await asyncio.gather(client.task, return_exceptions=True)
            await stage.publish([{"id": 1, "n": turns}])
        await keeper.leave()
        await let_go(stage)

    @staged
    async def test_its_clients_share_what_is_made_for_them(self, stage: Stage) -> None:
        listeners = [self.listener(stage) for _ in range(5)]
        for listener in listeners:
            await listener.connect()
        await stage.publish([{"id": 1}])
        for listener in listeners:
            await listener.hear()
        assert stage.audiences == 1, "an Encoding is made once, not for each connection"


async def let_go(stage: Stage) -> None:
    """When every client has gone, the source is stopped: whoever is still counted would keep it."""
    await stage.pass_time(int(stage.settings.linger) + 2)
    assert not stage.source.running, "the gateway believes that a client is still there"


def offsets(events: list[Event]) -> list[int]:
    """The offsets of events; raises AssertionError when they are of several epochs."""
    ids = [str(event["id"]).split(".") for event in events if "id" in event]
    assert len({epoch for epoch, _ in ids}) <= 1, "the epoch changed"
    return [int(offset) for _, offset in ids]
