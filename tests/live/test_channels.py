"""What `Channels` does is seen from outside in test_app; here is what no client can see."""

from __future__ import annotations

from gateway.core.settings import Polls, UpstreamSettings
from gateway.live.channels import live_routes
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
