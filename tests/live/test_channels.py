"""What `Channels` does is seen from outside in test_app; here is what no client can see."""

from __future__ import annotations

import asyncio
from typing import cast

from gateway.core.codes import RECONFIGURED
from gateway.core.http import Request
from gateway.core.settings import Limits, Polls, UpstreamSettings
from gateway.core.stats import Stats
from gateway.live.channels import Channels, live_routes
from gateway.live.supervisor import Supervisor
from gateway.plugin import Broker, Context, Options
from gateway.plugin.registry import find
from gateway.testing.source import turn
from tests.live.scene import Scene


async def test_a_released_channel_is_kept_while_others_use_it(scene: Scene) -> None:
    first, second = await scene.open(), await scene.open()
    await scene.state([])
    await first.leave()
    for _ in range(40):
        scene.clock.advance(1)
        await turn()
    assert scene.source.running
    await second.leave()
    assert repr(scene.live).startswith("<Live channels=1 ")


async def test_a_client_that_gives_up_before_the_first_word_starts_the_linger(scene: Scene) -> None:
    client = await scene.open()
    assert client.task is not None
    client.task.cancel()
    await turn()
    for _ in range(31):
        scene.clock.advance(1)
        await turn()
    assert not scene.source.running
    assert "channels=0" in repr(scene.live)


SHOP = UpstreamSettings(name="shop", scheme="http", host="shop", port=80, polls=Polls(concurrency=3, rate=7))


async def test_only_live_routes_are_taken(scene: Scene) -> None:
    route = scene.route.route
    found = live_routes((route,), {"shirts": scene.source}, {"shop": scene.route.upstream}, {"shop": SHOP})
    assert found["shirts"].settings is route.live
    assert found["shirts"].preserve_host
    assert found["shirts"].polls == Polls(concurrency=3, rate=7)


async def test_many_channels_are_looked_after_piece_by_piece(scene: Scene) -> None:
    broker = cast("Broker", find("brokers")["memory"].load().make(Options(), Context(clock=scene.clock)))
    supervisor = Supervisor()
    limits = Limits(channels_per_client=1000)
    channels = Channels(broker, Stats(), scene.clock, limits, supervisor)
    for number in range(250):
        request = Request(kind="http", method="GET", target=b"/shirts?%d" % number, headers=(), params={}, options={})
        channels.release(channels.get(scene.route, request))
    await turn()
    scene.clock.advance(31)
    upkeep = supervisor.start(channels.sweep(), "upkeep")
    left = []
    while not upkeep.done():
        await asyncio.sleep(0)
        left.append(len(channels))
    assert left[0] > left[1] > left[2] == 0
    await supervisor.close()


async def test_the_channels_of_a_route_are_retired(scene: Scene) -> None:
    client = await scene.open()
    await scene.state([1])
    assert scene.live.channels.retire({"others"}, ["others"]) == []
    (channel,) = scene.live.channels.retire({"shirts"}, ["shop"])
    assert (channel.route, channel.users, len(scene.live.channels)) == ("shirts", 1, 0)
    await turn()
    assert not scene.source.running
    another = await scene.open()
    assert (len(scene.source.running), len(scene.live.channels)) == (1, 1)
    (end,) = channel.ends
    end(RECONFIGURED)
    await turn()
    assert client.writer.closed == (1012, "this is configured anew, reconnect with jitter")
    assert scene.stats.routes["shirts"].channels == 1
    await another.leave()


async def test_an_upstream_that_has_changed_is_looked_at_anew(scene: Scene) -> None:
    looks = scene.live.channels._looks
    lane = looks.lane("shop", Polls(concurrency=1))
    assert looks.lane("shop", Polls(concurrency=9)) is lane
    scene.live.channels.retire((), ["shop", "another"])
    assert looks.lane("shop", Polls(concurrency=9)).slots == 9
