"""Back-pressure of one writer that many write to: a session's subscriptions, and whoever waits for room.

When the writer has drained, those that missed something catch up in turns: the first to be served is the last
next time, so that a busy channel never starves the others of the same client.
"""

from __future__ import annotations

import asyncio

from gateway.core.asgi import Writer
from gateway.live.subscriptions import Subscription


class Flow:
    """Owns the writer's `on_flow`."""

    __slots__ = ("_subscriptions", "_waiting", "writer")

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._subscriptions: dict[Subscription, None] = {}
        self._waiting: list[asyncio.Future[None]] = []
        writer.on_flow(self._full, self._drained)

    def add(self, subscription: Subscription) -> None:
        self._subscriptions[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)

    @property
    def open(self) -> bool:
        """Whether there is room; also when the client has gone, for then nothing is kept any more."""
        return not self.writer.full or not self.writer.buffered

    async def room(self) -> None:
        """Wait until there is."""
        while not self.open:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def look(self) -> None:
        """Let those who wait look again: of a client that has gone no writer tells."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _full(self) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.full()

    def _drained(self) -> None:
        for subscription in tuple(self._subscriptions):
            if self.writer.full:
                break
            if subscription in self._subscriptions:
                del self._subscriptions[subscription]
                self._subscriptions[subscription] = None
                subscription.drained()
        self.look()
