from __future__ import annotations

import pytest

from gateway.plugin import Publisher
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
