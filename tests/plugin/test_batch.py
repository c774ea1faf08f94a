"""Which sources and watches are taken for what; what they do is told by the tests of looks and of batches."""

from __future__ import annotations

from gateway.plugin import BatchingSource, JoiningWatch
from tests.plugins.sources.scripted import ok, run
from tests.plugins.sources.together import together


async def test_only_who_can_join_does() -> None:
    assert not isinstance(run(ok(b"1")).watch(), JoiningWatch)
    async with together() as scene:
        assert isinstance(scene.source, BatchingSource)
        followed = scene.follow("7")
        running = scene.channels._running[followed.channel.name]
        assert running.looking is not None
        assert isinstance(running.looking.watch, JoiningWatch)
        assert scene.follow("7,8").channel is not followed.channel
        alone = [it.looking.watch for it in scene.channels._running.values() if it.looking is not None][1]
        assert not isinstance(alone, JoiningWatch)
