from __future__ import annotations

import asyncio

from gateway.core.http import Request
from gateway.plugin import Publisher, Target
from gateway.testing.source import ScriptedSource


async def test_steps_run_in_follow() -> None:
    source = ScriptedSource()
    ran: list[Publisher | None] = []

    async def step(publish: Publisher) -> None:
        ran.append(publish)

    target = Target(target=b"/", headers=[], upstream=None)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(source.follow(target, None))  # type: ignore[arg-type]
        await source.do(step)
        assert (ran, source.running) == ([None], [target])
        task.cancel()
    assert (source.running, source.started) == ([], [target])


def test_clients_share_by_authorization() -> None:
    request = Request(
        kind="http", method="GET", target=b"/", headers=((b"authorization", b"me"),), params={}, options={}
    )
    assert ScriptedSource().share(request).key == b"me"
