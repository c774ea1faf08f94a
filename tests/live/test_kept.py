"""Channels that nobody has to follow: there from the start, back after a refusal, gone with the gateway."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.core.route import parse_template
from gateway.live.kept import kept
from gateway.plugin import Publisher, Refused
from gateway.testing.source import ScriptedSource, turn
from tests.live.scene import Scene


class Eager(ScriptedSource):
    always: tuple[str, ...] = ("",)


async def refuse(publish: Publisher) -> None:
    raise Refused(404)


@pytest.fixture
async def eager() -> AsyncIterator[Scene]:
    scene = Scene()
    scene.source = Eager()
    scene.route = replace(scene.route, source=scene.source)
    await scene.live.start([scene.route])
    await turn()
    yield scene
    await scene.close()
    assert "tasks=0" in repr(scene.live)


async def later(scene: Scene, seconds: int) -> None:
    for _ in range(seconds):
        scene.clock.advance(1)
        await turn()


def test_only_sources_that_want_it(scene: Scene) -> None:
    route = replace(scene.route, source=Eager())
    assert kept([scene.route, route]) == [(route, "")]


async def test_the_first_client_finds_a_state(eager: Scene) -> None:
    assert [target.target for target in eager.source.running] == [b"/shirts"]
    await eager.state([{"id": 1}])
    client = await eager.open()
    assert len(client.heard()) == 1
    assert len(eager.source.started) == 1


async def test_who_keeps_it_does_not_follow_it(eager: Scene) -> None:
    (running,) = eager.live._channels._running.values()
    assert running.channel.idle
    client = await eager.open()
    assert not running.channel.idle
    await client.leave()
    assert running.channel.idle


async def test_nobody_has_to_follow_it(eager: Scene) -> None:
    await eager.state([])
    client = await eager.open()
    await client.leave()
    await later(eager, 100)
    assert len(eager.source.running) == len(eager.source.started) == 1


async def test_a_refusal_is_told_once_and_tried_again(eager: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tidegate.live")
    for attempt in range(4):
        await eager.source.do(refuse)
        assert not eager.source.running
        await later(eager, 2**attempt + 1)
        assert len(eager.source.running) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "route shirts: is not polled for now, and tried again: the backend answered 404"
    ]
    await eager.state([])
    await eager.source.do(refuse)
    assert len(caplog.records) == 2
    await later(eager, 2)
    assert len(eager.source.running) == 1


async def test_pauses_after_refusals_have_an_end(eager: Scene) -> None:
    for _ in range(12):
        await eager.source.do(refuse)
        before = eager.clock.slept[-1]
        await later(eager, 300)
        assert len(eager.source.running) == 1
    assert 60 < before <= 300


async def test_a_limit_is_not_the_end(eager: Scene) -> None:
    eager.live.channels._limits = replace(eager.live.channels._limits, channels=0)
    await eager.source.do(refuse)
    await later(eager, 10)
    assert not eager.source.running
    eager.live.channels._limits = replace(eager.live.channels._limits, channels=3)
    await later(eager, 60)
    assert len(eager.source.running) == 1


async def test_the_end_of_the_gateway_is_no_refusal(eager: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await eager.live.close()
    assert not eager.source.running
    assert caplog.records == []


async def test_queries_of_a_path() -> None:
    scene = Scene()
    scene.source = Eager()
    scene.source.always = ("status=open", "", "status=done&x")
    await scene.live.start([replace(scene.route, source=scene.source)])
    await turn()
    assert [target.target for target in scene.source.running] == [
        b"/shirts?status=open",
        b"/shirts",
        b"/shirts?status=done&x",
    ]
    client = await scene.open("status=open")
    assert len(scene.source.started) == 3, "it is there already"
    await client.leave()
    await scene.close()


async def test_paths_are_asked_for_as_clients_write_them() -> None:
    scene = Scene()
    scene.source = Eager()
    route = replace(scene.route.route, path=parse_template("/caf\u00e9/a b;c=1"))
    await scene.live.start([replace(scene.route, source=scene.source, route=route)])
    await turn()
    assert [target.target for target in scene.source.running] == [b"/caf%C3%A9/a%20b;c=1"]
    await scene.close()


async def test_what_is_kept_goes_with_its_route_and_comes_with_another() -> None:
    scene = Scene()
    scene.source = Eager()
    before = replace(scene.route, source=scene.source)
    await scene.live.start([before])
    await turn()
    (old,) = scene.live.renew({"shirts"}, (), [before])
    await turn()
    assert (old.users, len(scene.source.running), len(scene.live.channels)) == (0, 1, 1)
    scene.live.renew({"shirts"}, (), ())
    await turn()
    assert (len(scene.source.running), len(scene.live.channels)) == (0, 0)
    await scene.close()
