"""A source whose every step the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.plugin import Publisher, Request, Share, Target

Step = Callable[[Publisher], Awaitable[object]]


class ScriptedSource:
    """A `gateway.plugin.Source`: clients share by their Authorization header; `do` runs a step in `follow`.

    `running` are the targets being followed now, `started` all that ever were.
    """

    def __init__(self) -> None:
        self.running: list[Target] = []
        self.started: list[Target] = []
        self._steps: asyncio.Queue[tuple[Step, asyncio.Future[None]]] = asyncio.Queue()

    def share(self, request: Request) -> Share:
        credentials = request.header(b"authorization") or b""
        return Share(key=credentials, headers=[(b"authorization", credentials)])

    async def follow(self, target: Target, publish: Publisher) -> None:
        self.running.append(target)
        self.started.append(target)
        try:
            while True:
                step, done = await self._steps.get()
                done.set_result(None)
                await step(publish)
        finally:
            self.running.remove(target)

    async def do(self, step: Step) -> None:
        """Have one running `follow` take a step; returns when it has begun it and the loop has turned."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._steps.put((step, done))
        await done
        await turn()


async def turn(times: int = 15) -> None:
    """Let everything that is ready run: a few turns of the loop, no time."""
    for _ in range(times):
        await asyncio.sleep(0)
