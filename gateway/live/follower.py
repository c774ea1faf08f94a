"""One subscription of a session: its channel, from the first word of the backend to the end of either.

It knows its channel and reports what becomes of it; what that means for the session is decided in core.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.core.codes import Disconnect
from gateway.core.messages import Fault, Subscribe
from gateway.core.position import Position
from gateway.core.session_events import Lost
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
    """`wanted` is what the client asked for; `waiting` the task that waits for the channel's first word.

    `expires` is when the credentials that it was let in with end, in seconds since 1970. `before` is the one that goes
    on in its place until it is ready, with the credentials before these; what becomes of that is told to nobody.
    """

    __slots__ = (
        "_channel", "_interval", "_mode", "_over", "_release", "_report", "_since", "_subscription", "before",
        "expires", "replaced", "waiting", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        wanted: Subscribe,
        mode: Mode,
        since: Position | None,
        report: Callable[[Lost], None],
        interval: float = 0.0,
    ) -> None:
        self.wanted = wanted
        self.waiting: asyncio.Task[None] | None = None
        self.expires: float | None = None
        self.before: Follower | None = None
        self.replaced = False
        self._over = False
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
    def name(self) -> str:
        """The channel's, as the client wrote it."""
        return self.wanted.channel

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

    @property
    def begun(self) -> bool:
        return self._subscription is not None

    def start(self, encoding: Encoding, flow: Flow) -> None:
        """Let events flow."""
        subscribe = self.channel.subscribe
        subscription = subscribe(encoding, self._mode, TRANSPORT, flow.writer, self.end, self._interval)
        self._subscription = subscription
        flow.add(subscription)
        subscription.start(self._since)

    def succeed(self, before: Follower) -> bool:
        """Go on where another is, in the same channel if it can be; else `start` does. The other must be stopped."""
        subscription = before._subscription
        assert subscription is not None, "it has begun"
        if self._channel is before._channel and not before._over:
            self._subscription, before._subscription = subscription, None
            subscription.finish = self.end
            return True
        if subscription.sent != (0, 0):
            self._since = subscription.position
        return False

    def end(self, disconnect: Disconnect) -> None:
        """The channel has ended, or the client is too slow for its policy, or its credentials have expired."""
        if self.replaced:
            self._over = True
            if self._subscription is not None:
                self._subscription.stop()
            return
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
