"""One subscription of a session: its channel, from the first word of the backend to the end of either.

It knows its channel and reports what becomes of it; what that means for the session is decided in core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.core.codes import Disconnect
from gateway.core.messages import Fault
from gateway.core.position import Position
from gateway.core.session import Lost
from gateway.core.settings import Mode
from gateway.errors import ClientError
from gateway.live.channel import Channel
from gateway.live.flow import Flow
from gateway.live.refusal import ended, refused_by_backend
from gateway.live.subscriptions import Subscription
from gateway.plugin import Encoding

TRANSPORT = "session"


def fault_of(error: ClientError) -> Fault:
    """What a REST client would be answered, as a message's error."""
    return Fault(error.code, error.status, error.detail)


class Follower:
    """`name` is the channel's as the client wrote it; `waiting` the task that waits for its first word.

    `expires` is when the credentials that it was let in with end, in seconds since 1970.
    """

    __slots__ = (
        "_channel", "_interval", "_mode", "_release", "_report", "_since", "_subscription", "expires", "name",
        "waiting",
    )  # fmt: skip

    def __init__(
        self, name: str, mode: Mode, since: Position | None, report: Callable[[Lost], None], interval: float = 0.0
    ) -> None:
        self.name = name
        self.waiting: asyncio.Task[None] | None = None
        self.expires: float | None = None
        self._mode = mode
        self._since = since
        self._report = report
        self._interval = interval
        self._channel: Channel | None = None
        self._release: Callable[[Channel], None] | None = None
        self._subscription: Subscription | None = None

    def join(self, channel: Channel, release: Callable[[Channel], None]) -> None:
        """Take a place in the channel, which is given back by `release`."""
        self._channel, self._release = channel, release
        channel.ends.add(self.end)

    @property
    def joined(self) -> bool:
        return self._channel is not None

    @property
    def channel(self) -> Channel:
        assert self._channel is not None, "join comes first"
        return self._channel

    @property
    def ready(self) -> bool:
        """Whether the channel has something to show, a refusal at worst."""
        return self._channel is not None and self._channel.ready.is_set()

    @property
    def refused(self) -> Fault | None:
        refused = self.channel.refused
        return None if refused is None else fault_of(refused_by_backend(refused))

    @property
    def position(self) -> str:
        """The channel's head."""
        return str(self.channel.log.head)

    def start(self, encoding: Encoding, flow: Flow) -> None:
        """Let events flow."""
        subscribe = self.channel.subscribe
        subscription = subscribe(encoding, self._mode, TRANSPORT, flow.writer, self.end, self._interval)
        self._subscription = subscription
        flow.add(subscription)
        subscription.start(self._since)

    def end(self, disconnect: Disconnect) -> None:
        """The channel has ended, or the client is too slow for its policy."""
        self._report(Lost(self.name, self.refused or fault_of(ended(disconnect))))

    def stop(self, flow: Flow) -> tuple[int, int]:
        """Hear nothing more; returns the messages and bytes that were sent."""
        if self.waiting is not None:
            self.waiting.cancel()
        if self._channel is not None and self._release is not None:
            self._channel.ends.discard(self.end)
            self._release(self._channel)
        subscription = self._subscription
        if subscription is None:
            return 0, 0
        subscription.stop()
        flow.remove(subscription)
        return subscription.sent
