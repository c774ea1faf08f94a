"""Looks are run for real; clock, backend and publisher are the test's."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from math import inf

import pytest

from gateway.core.event import Json
from gateway.core.identity import Identity
from gateway.core.settings import HintSettings, Items, Polls
from gateway.errors import ClientError
from gateway.live.channels import LiveRoute
from gateway.plugin import (
    Again,
    Further,
    Look,
    PollResult,
    Publisher,
    Refused,
    Request,
    Share,
    Status,
    Target,
    Unshared,
    Watch,
)
from gateway.testing.source import turn
from tests.live.scene import Scene


class Looker:
    """A watch whose looks end when the test says so."""

    def __init__(self, publish: Publisher) -> None:
        self.publish = publish
        self.looks: list[asyncio.Future[Again]] = []

    async def look(self) -> Again:
        self.looks.append(asyncio.get_running_loop().create_future())
        return await self.looks[-1]

    async def end(self, pause: float = 10.0, hold: float = 0.0) -> None:
        self.looks[-1].set_result(Again(pause, hold))
        await turn()

    async def fail(self, error: BaseException) -> None:
        self.looks[-1].set_exception(error)
        await turn()


class LookingSource:
    def __init__(self) -> None:
        self.watches: list[Looker] = []
        self.targets: list[Target] = []

    def share(self, request: Request) -> Share:
        key = request.header(b"authorization") or b""
        return Share(key=key, headers=[], who=key[:1])

    def watch(self, target: Target, publish: Publisher) -> Watch:
        self.targets.append(target)
        self.watches.append(Looker(publish))
        return self.watches[-1]


class Shop:
    name = "shop"


@pytest.fixture
def source(scene: Scene) -> LookingSource:
    source = LookingSource()
    route = scene.route
    scene.route = LiveRoute(route=route.route, settings=route.settings, source=source, upstream=Shop())  # type: ignore[arg-type]
    return source


async def test_the_first_look_is_at_once_and_the_others_at_their_time(scene: Scene, source: LookingSource) -> None:
    await scene.open()
    (watch,) = source.watches
    assert len(watch.looks) == 1
    await watch.end(pause=10.0)
    scene.clock.advance(9.9)
    await turn()
    assert len(watch.looks) == 1
    scene.clock.advance(0.1)
    await turn()
    assert len(watch.looks) == 2


class Heeding(Looker):
    """One that gives its subscribers what they wish for, but nothing below two seconds."""

    def __init__(self, publish: Publisher, target: Target) -> None:
        super().__init__(publish)
        self._target = target

    @property
    def interval(self) -> float:
        return max(self._target.wished(), 2.0)


class Falling(Looker):
    """One that falls back to a shorter interval while hints stay away."""

    def __init__(self, publish: Publisher, target: Target) -> None:
        super().__init__(publish)
        self._target = target

    @property
    def interval(self) -> float:
        return self._target.fallback()


async def test_when_webhooks_are_silent_the_next_look_is_sooner(scene: Scene, source: LookingSource) -> None:
    made: list[Falling] = []

    def watch(target: Target, publish: Publisher) -> Watch:
        made.append(Falling(publish, target))
        return made[-1]

    source.watch = watch  # type: ignore[method-assign]
    settings = replace(scene.route.settings, hints=HintSettings(every=60, interval=5), linger=1e9)
    scene.route = replace(scene.route, settings=settings)
    await scene.open()
    (falling,) = made
    await falling.end(pause=3600.0)
    for _ in range(60):
        scene.clock.advance(1)
        await turn()
    assert len(falling.looks) == 1
    for _ in range(2):
        scene.clock.advance(1)
        await turn()
    assert len(falling.looks) == 2, "five seconds after the last, which is over"
    assert falling.interval == 5
    assert scene.live.announce("shirts", b"/shirts/none") == 0
    assert falling.interval == inf, "whatever URL of the route the hint is about"


@pytest.mark.parametrize("hinted", [True, False])
async def test_a_change_that_nobody_told_of_is_counted(scene: Scene, source: LookingSource, hinted: bool) -> None:
    scene.route = replace(scene.route, settings=replace(scene.route.settings, hinted=hinted))
    await scene.open()
    (watch,) = source.watches
    stats = scene.stats.routes["shirts"]

    async def look(result: PollResult) -> int:
        watch.publish.polled(result, 0.1)
        await watch.end(pause=10.0)
        return stats.reconciled

    assert await look("changed") == 0, "the first state is no change"
    for told, results, counted in (
        (scene.live.announce, ["changed"], 0),
        (None, ["unchanged"], 0),
        (None, ["changed"], 1),
        (scene.live.announce, ["error", "changed"], 1),
        (lambda route, path: scene.live.refresh(route, path, False), ["changed"], 1),
        (None, ["changed"], 2),
    ):
        if told is not None:
            assert told("shirts", b"/shirts") == 1
        for result in results:
            scene.clock.advance(10.0)
            await turn()
            await look(result)  # type: ignore[arg-type]  # of these
        assert stats.reconciled == (counted if hinted else 0)


async def test_a_deletion_that_a_webhook_told_of_is_no_repair_however_late_it_is_believed(
    scene: Scene, source: LookingSource
) -> None:
    scene.route = replace(scene.route, settings=replace(scene.route.settings, hinted=True, items=Items(delete_after=2)))
    await scene.open()
    (watch,) = source.watches

    async def look(*ids: int) -> None:
        document: list[Json] = [{"id": number} for number in ids]
        watch.publish.polled("changed" if await watch.publish.state(document) else "unchanged", 0.1)
        await watch.end(pause=10.0)

    async def wait() -> None:
        scene.clock.advance(10.0)
        await turn()

    await look(1, 2, 3)
    scene.live.announce("shirts", b"/shirts")
    await turn()
    await look(1, 2)
    await wait()
    await look(1, 2)
    await wait()
    assert scene.stats.routes["shirts"].reconciled == 0
    await look(1)
    await wait()
    await look(1)
    assert scene.stats.routes["shirts"].reconciled == 1, "nobody told of this one"


async def test_who_comes_with_a_wish_has_the_next_look_sooner(scene: Scene, source: LookingSource) -> None:
    def watch(target: Target, publish: Publisher) -> Watch:
        source.targets.append(target)
        source.watches.append(Heeding(publish, target))
        return source.watches[-1]

    source.watch = watch  # type: ignore[method-assign]
    await scene.open()
    (watched,), (target,) = source.watches, source.targets
    await watched.publish.state([])
    await watched.end(pause=60.0)
    assert target.wished() == inf
    wishing = await scene.open("live.interval=5s")
    await scene.open("live.interval=30s")
    assert target.wished() == 5.0
    scene.clock.advance(4.9)
    await turn()
    assert len(watched.looks) == 1
    scene.clock.advance(0.1)
    await turn()
    assert len(watched.looks) == 2
    await watched.end(pause=60.0)
    await wishing.leave()
    assert target.wished() == 30.0
    for _ in range(5):
        await (await scene.open("live.interval=1s")).leave()
    scene.clock.advance(1.9)
    await turn()
    assert len(watched.looks) == 2
    scene.clock.advance(0.1)
    await turn()
    assert len(watched.looks) == 3


async def test_many_channels_wait_with_one_timer(scene: Scene, source: LookingSource) -> None:
    for token in "abc":
        await scene.open(token=token)
    for watch in source.watches:
        await watch.end(pause=10.0)
    tasks = [task.get_name() for task in asyncio.all_tasks()]
    assert tasks.count("timer of looks") == 1
    assert not any(name.startswith("look at") for name in tasks)


async def test_an_earlier_look_moves_the_timer(scene: Scene, source: LookingSource) -> None:
    await scene.open(token="a")
    await source.watches[0].end(pause=1000.0)
    await scene.open(token="b")
    await source.watches[1].end(pause=1.0)
    scene.clock.advance(1)
    await turn()
    assert [len(watch.looks) for watch in source.watches] == [1, 2]


async def test_every_channel_has_a_phase_of_its_own(scene: Scene, source: LookingSource) -> None:
    for token in "abc":
        await scene.open(token=token)
    phases = {target.phase for target in source.targets}
    assert len(phases) == 3
    assert all(0 < phase <= 1 for phase in phases)


async def test_refresh_looks_now_at_every_channel_of_the_path(scene: Scene, source: LookingSource) -> None:
    for token, query in (("a", "page=1"), ("b", ""), ("a", "")):
        await scene.open(token=token, query=query)
    for watch in source.watches:
        await watch.end(pause=1000.0)
    assert scene.live.refresh("shirts", b"/shirts", False) == 3
    assert scene.live.refresh("shirts", b"/shirt", False) == scene.live.refresh("other", b"/shirts", False) == 0
    await turn()
    assert [len(watch.looks) for watch in source.watches] == [2, 2, 2]


async def test_what_is_gone_has_to_be_seen(scene: Scene, source: LookingSource) -> None:
    await scene.open()
    (watch,) = source.watches
    await watch.end(pause=1000.0)
    assert scene.live.refresh("shirts", b"/shirts", True) == 1, "a watch that always sees everything"
    await turn()
    await watch.end(pause=1000.0)
    said: list[int] = []
    watch.reread = lambda: said.append(len(watch.looks))  # type: ignore[attr-defined]
    scene.live.refresh("shirts", b"/shirts", False)
    assert said == []
    scene.live.refresh("shirts", b"/shirts", True)
    assert said == [2], "before the look that has to see it"
    assert scene.live.announce("shirts", b"/shirts") == 1
    assert said == [2, 2], "a webhook may tell of that as well"


async def test_refresh_during_a_look_is_one_more_look_after_it(scene: Scene, source: LookingSource) -> None:
    await scene.open()
    (watch,) = source.watches
    for _ in range(3):
        assert scene.live.refresh("shirts", b"/shirts", False) == 1
    await turn()
    assert len(watch.looks) == 1
    await watch.end(pause=1000.0)
    assert len(watch.looks) == 2
    await watch.end(pause=1000.0)
    assert len(watch.looks) == 2


async def test_nothing_is_refreshed_once_the_gateway_stops(scene: Scene, source: LookingSource) -> None:
    await scene.open()
    await scene.live.close()
    assert scene.live.refresh("shirts", b"/shirts", False) == 0


async def test_a_source_that_cannot_be_asked_is_not_counted(scene: Scene) -> None:
    await scene.open()
    assert scene.live.refresh("shirts", b"/shirts", False) == 0


async def test_a_look_ends_with_its_channel(scene: Scene, source: LookingSource) -> None:
    client = await scene.open()
    (watch,) = source.watches
    await watch.publish.state([])
    await client.leave()
    for _ in range(40):
        scene.clock.advance(1)
        await turn()
    await turn()
    assert watch.looks[0].cancelled()
    assert scene.live.refresh("shirts", b"/shirts", False) == 0
    assert "channels=0" in repr(scene.live)


async def test_a_refusal_ends_the_channel(scene: Scene, source: LookingSource) -> None:
    await scene.open()
    await source.watches[0].fail(Refused(403))
    assert scene.refused[0].status == 403
    assert "channels=0" in repr(scene.live)
    await scene.open()
    assert len(source.watches) == 2, "the next client asks anew"


@pytest.mark.parametrize("error", [ZeroDivisionError("in the source"), asyncio.CancelledError()])
async def test_a_crash_is_logged_and_looked_over_after_growing_pauses(
    scene: Scene, source: LookingSource, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    client = await scene.open()
    (watch,) = source.watches
    await watch.publish.state([])
    pauses = []
    with caplog.at_level(logging.ERROR):
        for number in range(3):
            await watch.fail(error)
            began = scene.clock.monotonic()
            while len(watch.looks) == number + 1:
                scene.clock.advance(0.25)
                await turn()
            pauses.append(scene.clock.monotonic() - began)
    assert len(caplog.records) == 3
    assert pauses == [1.5, 2.5, 4.5]
    assert client.heard()[-1:] == ["status"]
    watch.publish.status(Status(state="ok"))
    await watch.end(1.0)


async def test_a_backend_that_asks_for_rest_is_left_alone(scene: Scene, source: LookingSource) -> None:
    await scene.open(token="a")
    await source.watches[0].end(pause=1.0, hold=30.0)
    await scene.open(token="b")
    scene.clock.advance(29)
    await turn()
    assert [len(watch.looks) for watch in source.watches] == [1, 0]
    scene.clock.advance(1)
    await turn()
    assert [len(watch.looks) for watch in source.watches] == [2, 1]


async def test_nothing_is_left_when_the_gateway_stops(scene: Scene, source: LookingSource) -> None:
    await scene.open(token="a")
    await scene.open(token="b")
    await source.watches[0].end()
    await scene.live.close()
    await turn()
    assert not [task for task in asyncio.all_tasks() if "look" in task.get_name()]


async def test_a_rate_is_shared_by_all(scene: Scene, source: LookingSource) -> None:
    scene.route = replace(scene.route, polls=Polls(concurrency=9, rate=1))
    for token in "abc":
        await scene.open(token=token)
    assert [len(watch.looks) for watch in source.watches] == [1, 1, 0], "a second's worth, and one"
    for _ in range(2):
        scene.clock.advance(0.5)
        await turn()
    assert [len(watch.looks) for watch in source.watches] == [1, 1, 1]


async def test_what_nobody_follows_goes_last_until_somebody_comes(scene: Scene, source: LookingSource) -> None:
    scene.route = replace(scene.route, polls=Polls(concurrency=1))
    clients = []
    for token in "abc":
        clients.append(await scene.open(token=token))
        await source.watches[-1].publish.state([])
        await source.watches[-1].end(pause=10.0)
    for client in clients[:2]:
        await client.leave()
    scene.clock.advance(11.0)
    await turn()
    counts = [len(watch.looks) for watch in source.watches]
    assert counts == [1, 1, 2], "somebody follows that"
    await scene.open(token="b")
    await source.watches[2].end(pause=100.0)
    assert [len(watch.looks) for watch in source.watches] == [1, 2, 2]
    await source.watches[1].end(pause=100.0)
    assert [len(watch.looks) for watch in source.watches] == [2, 2, 2]


async def test_one_client_follows_no_more_than_its_share(scene: Scene, source: LookingSource) -> None:
    for query in ("a=1", "a=2"):
        await scene.open(token="m", query=query)
    with pytest.raises(ClientError, match="you already follow 2 resources") as caught:
        await scene.open(token="m", query="a=3")
    assert (caught.value.status, caught.value.code) == (429, "too_many_channels")
    await scene.open(token="m", query="a=1")
    await scene.open(token="n")
    await source.watches[0].fail(Refused(404))
    assert len(source.watches) == 3


async def test_clients_that_cannot_be_told_apart_are_not_counted_together(scene: Scene, source: LookingSource) -> None:
    for query in ("a=1", "a=2", "a=3"):
        await scene.open(query=query)
    with pytest.raises(ClientError, match="the gateway already follows 3"):
        await scene.open(query="a=4")


async def test_an_address_has_its_share_whatever_credentials_are_invented(scene: Scene, source: LookingSource) -> None:
    limits = scene.live._channels._limits
    scene.live._channels._limits = replace(limits, channels=99, channels_per_route=99, channels_per_ip=2)
    scene.address = "2001:db8::1"
    await scene.open(token="a")
    scene.address = "2001:db8::2"
    await scene.open(token="b")
    with pytest.raises(ClientError, match="2 resources are already followed from your address") as caught:
        await scene.open(token="c")
    assert (caught.value.status, caught.value.code) == (429, "too_many_channels")
    await scene.open(token="a")
    await scene.open(token="d", identity=Identity(subject="ada"))
    await source.watches[0].fail(Refused(404))
    await scene.open(token="e")
    scene.address = "192.0.2.1"
    await scene.open(token="f")
    assert len(source.watches) == 5


async def test_a_route_has_its_share(scene: Scene, source: LookingSource) -> None:
    scene.live._channels._limits = replace(scene.live._channels._limits, channels=99)
    for token in "abc":
        await scene.open(token=token)
    with pytest.raises(ClientError, match="3 resources of this route"):
        await scene.open(token="d")


async def test_hosts_that_the_backend_is_sent_keep_channels_apart(scene: Scene, source: LookingSource) -> None:
    share = source.share
    hosts = iter([b"A.example", b"a.example", b"b.example"])

    def hosted(request: Request) -> Share:
        object.__setattr__(request, "headers", (*request.headers, (b"host", next(hosts))))
        return share(request)

    source.share = hosted  # type: ignore[method-assign]
    scene.route = replace(scene.route, preserve_host=True)
    for _ in range(3):
        await scene.open()
    assert [target.headers for target in source.targets] == [[(b"host", b"a.example")], [(b"host", b"b.example")]]


async def test_how_old_the_oldest_state_is(scene: Scene, source: LookingSource) -> None:
    await scene.open()
    source.watches[0].publish.polled("unchanged", 0.1)
    scene.clock.advance(1)
    await turn()
    source.watches[0].publish.polled("error", 0.1)
    source.watches[0].publish.met("validator_distrusted")
    for _ in range(4):
        scene.clock.advance(1)
        await turn()
    stats = scene.stats.routes["shirts"]
    assert stats.staleness == 5.0
    assert stats.incidents == {"validator_distrusted": 1}
    await source.watches[0].end(pause=2.0)
    assert (stats.pause_seconds.total, stats.backoff_seconds.total) == (2.0, 0.0)
    scene.clock.advance(2.0)
    await turn()
    source.watches[0].looks[-1].set_result(Again(30.0, failed=True))
    await turn()
    assert (stats.pause_seconds.total, stats.backoff_seconds.total) == (2.0, 30.0)


@pytest.fixture
def aging(scene: Scene, source: LookingSource) -> LookingSource:
    settings = replace(scene.route.settings, max_age=5.0)
    scene.route = replace(scene.route, settings=settings)
    return source


async def looked(scene: Scene, watch: Looker, result: PollResult = "unchanged") -> None:
    watch.publish.polled(result, 0.1)
    await watch.end(pause=60.0)


async def test_a_state_that_is_too_old_is_confirmed_for_who_comes(scene: Scene, aging: LookingSource) -> None:
    await scene.open()
    (watch,) = aging.watches
    await watch.publish.state([{"id": 1}])
    await looked(scene, watch, "changed")
    scene.clock.advance(5)
    assert len((await scene.open()).heard()) == 2, "the state, and its age"
    assert len(watch.looks) == 1, "it is not older than that"
    scene.clock.advance(1)
    for _ in range(3):
        assert len((await scene.open()).heard()) == 2, "nobody waits for it"
    assert len(watch.looks) == 2
    await looked(scene, watch)
    await scene.open()
    scene.clock.advance(5)
    await turn()
    assert len(watch.looks) == 2, "one for all who came meanwhile"


async def test_who_comes_does_not_disturb_a_backend_that_fails(scene: Scene, aging: LookingSource) -> None:
    await scene.open()
    (watch,) = aging.watches
    await watch.publish.state([])
    await looked(scene, watch, "changed")
    scene.clock.advance(60)
    await turn()
    await looked(scene, watch, "error")
    scene.clock.advance(30)
    await scene.open()
    assert len(watch.looks) == 2
    scene.clock.advance(30)
    await turn()
    await looked(scene, watch, "changed")
    scene.clock.advance(6)
    await scene.open()
    assert len(watch.looks) == 4


async def test_who_comes_does_not_hurry_what_is_doubted(scene: Scene, aging: LookingSource) -> None:
    await scene.open()
    (watch,) = aging.watches
    await watch.publish.state([{"id": number} for number in range(20)])
    await looked(scene, watch, "changed")
    scene.clock.advance(60)
    await turn()
    await watch.publish.state([])
    await looked(scene, watch)
    scene.clock.advance(20)
    await scene.open()
    assert len(watch.looks) == 2


async def test_writes_do_not_hurry_what_is_doubted(scene: Scene, source: LookingSource) -> None:
    """Three answers in a row that lack most of a list are believed, in the time that they would have come in anyway."""
    client = await scene.open()
    (watch,) = source.watches
    await watch.publish.state([{"id": number} for number in range(20)])
    await watch.end(pause=60.0)
    times = []
    for second in range(1, 122):
        scene.clock.advance(1)
        assert scene.live.refresh("shirts", b"/shirts", False) == 1
        await turn()
        await watch.publish.state([{"id": 0, "stock": second}])
        await watch.end(pause=60.0)
        told = client.writer.take()
        assert second == 1 or b'"updated"' in told or second >= 60, "what an answer holds is news"
        if b'"deleted"' in told:
            times.append(second)
    assert len(watch.looks) == 122
    assert times == [120], "the first was at once, the others after a minute each"


async def test_without_it_the_interval_is_waited_for(scene: Scene, source: LookingSource) -> None:
    await scene.open()
    (watch,) = source.watches
    await watch.publish.state([])
    await looked(scene, watch, "changed")
    scene.clock.advance(59)
    await scene.open()
    assert len(watch.looks) == 1


class Joiner(Looker):
    """A watch that has another looked at for it."""

    def join(self, own: Look, further: Further) -> None:
        self.own, self.left = own, 0
        self.other = Looker(self.publish)
        self.others = further(self.other, None)

    def hasten(self) -> None:
        self.others.hasten(3.0)

    def leave(self) -> None:
        self.left += 1


@pytest.fixture
def joining(scene: Scene, source: LookingSource) -> LookingSource:
    def watch(target: Target, publish: Publisher) -> Watch:
        source.watches.append(Joiner(publish))
        return source.watches[-1]

    source.watch = watch  # type: ignore[method-assign]
    return source


async def joined(scene: Scene, source: LookingSource) -> Joiner:
    await scene.open()
    (watch,) = source.watches
    assert isinstance(watch, Joiner)
    return watch


async def test_who_joins_is_looked_at_by_another(scene: Scene, joining: LookingSource) -> None:
    watch = await joined(scene, joining)
    assert (len(watch.looks), len(watch.other.looks)) == (0, 1)
    await watch.other.end(pause=10.0)
    watch.own.ask()
    await turn()
    watch.looks[-1].set_result(Again(10.0, asked=True))
    for _ in range(40):
        scene.clock.advance(1)
        await turn()
    assert (len(watch.looks), len(watch.other.looks)) == (1, 2)
    assert scene.live.refresh("shirts", b"/shirts", False) == 1
    await turn()
    assert len(watch.looks) == 2, "a write is followed by its own look"


async def test_who_joined_leaves_with_its_channel(scene: Scene, joining: LookingSource) -> None:
    watch = await joined(scene, joining)
    watch.own.ask()
    await turn()
    await watch.fail(Refused(404))
    assert watch.left == 1
    assert scene.refused[0].status == 404
    watch.others.stop()
    await turn()
    assert watch.other.looks[0].cancelled()


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("for many"), Refused(401), Unshared("no"), asyncio.CancelledError()]
)
async def test_a_look_at_many_that_crashes_is_had_again(
    scene: Scene, joining: LookingSource, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    watch = await joined(scene, joining)
    await watch.other.fail(error)
    assert len([record for record in caplog.records if record.name == "tidegate.live"]) == 1
    scene.clock.advance(2)
    await turn()
    assert len(watch.other.looks) == 2
    assert watch.left == 0


async def test_a_look_may_end_itself(scene: Scene, joining: LookingSource) -> None:
    class Last:
        ended = False

        async def look(self) -> Again:
            mine.stop()
            await asyncio.sleep(0)
            self.ended = True
            return Again(0.0)

    watch = await joined(scene, joining)
    last = Last()
    mine = scene.live._channels._looks._further(
        scene.live._channels._looks.lane("shop", Polls()), "shirts", scene.stats.routes["shirts"], last, None
    )
    await turn()
    assert last.ended
    assert watch.left == 0
    scene.clock.advance(5)
    await turn()
