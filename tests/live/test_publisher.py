from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.core.event import Change, Json
from gateway.live.publisher import ChannelPublisher
from gateway.plugin import Publisher
from gateway.testing.source import turn
from tests.live.scene import Scene


async def test_a_document_of_the_wrong_shape_is_the_sources_to_deal_with(scene: Scene) -> None:
    errors = []

    async def publish_garbage(publish: Publisher) -> None:
        try:
            await publish.state({"not": "a list"})
        except ValueError as error:
            errors.append(str(error))

    client = await scene.open()
    await scene.state([])
    client.writer.take()
    await scene.source.do(publish_garbage)
    assert errors == ["the answer is not a list"]
    assert client.writer.take() == b""


async def test_state_says_whether_anything_changed(scene: Scene) -> None:
    said = []

    async def publish_twice(publish: Publisher) -> None:
        said.append(publish.has_state)
        said.append(await publish.state([{"id": 1}]))
        said.append(publish.has_state)
        said.append(await publish.state([{"id": 1}]))

    await scene.open()
    await scene.source.do(publish_twice)
    assert said == [False, True, True, False]


async def test_polls_are_counted(scene: Scene) -> None:
    async def count(publish: Publisher) -> None:
        publish.polled("changed", 0.02)

    await scene.open()
    await scene.source.do(count)
    stats = scene.stats.routes["shirts"]
    assert stats.polls["changed"] == 1
    assert stats.poll_seconds.total == pytest.approx(0.02)


async def test_items_without_a_key_of_their_own_are_reported_to_the_operator(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    client = await scene.open()
    await scene.state([{"id": 1}, {"name": "x"}, {"id": 1}])
    assert caplog.messages == [
        "route shirts: 2 of 3 items have no key of their own (items.key: id); their changes go out as snapshots"
    ]
    await scene.state([{"id": 1}, {"name": "y"}, {"id": 1}])
    assert b'"snapshot"' in client.writer.take()
    assert len(caplog.messages) == 1


async def test_a_document_that_takes_long_to_compare_leaves_the_loop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    compare = ChannelPublisher._compare

    def slowly(self: ChannelPublisher, document: Json) -> Change | None:
        threads.append(threading.current_thread() is threading.main_thread())
        if threads[-1]:
            scene.clock.advance(1)
        return compare(self, document)

    monkeypatch.setattr(ChannelPublisher, "_compare", slowly)
    done = asyncio.Event()

    async def publish_three(publish: Publisher) -> None:
        for number in range(3):
            await publish.state([{"id": number}])
        done.set()

    client = await scene.open()
    await scene.source.do(publish_three)
    await done.wait()
    await turn()
    assert threads == [True, False, False]
    assert str(client.heard()[-1]).endswith(".5"), "one snapshot, and two items exchanged for others"
