"""Waiting for the first of several things, when the others must not go on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def race(*work: Coroutine[object, object, object]) -> None:
    """Return when one has ended, after the others were cancelled and have ended too; raises what one of them raised."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(one) for one in work]  # owned here: none outlives this call
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
