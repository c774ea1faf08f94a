from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.live.scene import Scene
from tests.live.talk import Talk


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.live.start()
    yield scene
    await scene.close()
    assert "tasks=0" in repr(scene.live)
    assert len(asyncio.all_tasks()) == 1, "a task was left behind"


@pytest.fixture
async def talk(scene: Scene) -> AsyncIterator[Talk]:
    talk = Talk(scene)
    await talk.sessions.start()
    yield talk
    await talk.close()
    assert talk.scene.stats.routes["live"].session.subscriptions == 0
