from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.live.scene import Scene


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.live.start()
    yield scene
    await scene.close()
    assert "tasks=0" in repr(scene.live)
    assert len(asyncio.all_tasks()) == 1, "a task was left behind"
