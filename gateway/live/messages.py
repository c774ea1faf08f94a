"""Channels of messages: events without a state, which clients publish and follow by name.

Clients choose the names, so the table is bounded, in channels and in bytes. A channel that nobody follows is kept
for those who come back, as long as its log would keep a message; when there are too many, the pattern that most of them
fit makes room, with those unused longest, and what finds no room is refused: who floods one pattern harms no other.
"""

from __future__ import annotations

from gateway.core.channel_names import message_pattern
from gateway.core.event import Json, message
from gateway.core.position import Position
from gateway.core.settings import Limits, LiveSettings, MessageSettings, PluginUse
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.channel import Channel
from gateway.plugin import Broker, Clock


class Messages:
    """All channels of messages of this node."""

    def __init__(
        self, settings: tuple[MessageSettings, ...], limits: Limits, broker: Broker, stats: Stats, clock: Clock
    ) -> None:
        self._settings = [(message_pattern(one.pattern)({}), one) for one in settings]
        self._limits = limits
        self._broker = broker
        self._stats = stats
        self._clock = clock
        self._channels: dict[str, tuple[Channel, MessageSettings]] = {}
        self._used: dict[str, dict[str, float]] = {}  # by pattern, when each was last used, the longest ago first
        self._size = 0

    def __repr__(self) -> str:
        return f"<Messages channels={len(self._channels)} bytes={self._size}>"

    def __len__(self) -> int:
        return len(self._channels)

    def get(self, name: str) -> Channel:
        """The channel of this name, for one more user; each call is matched by one of `release`. Raises ClientError."""
        channel = self._get(name)
        channel.users += 1
        return channel

    def release(self, channel: Channel) -> None:
        """A user has gone."""
        channel.users -= 1
        self._touch(channel)

    async def publish(self, name: str, data: Json) -> Position:
        """Bring a message to everyone who follows the channel; raises ClientError when there is no room."""
        channel = self._get(name)
        if self._size > self._limits.message_bytes and not self._evict(name):
            raise ClientError(429, "too_many_messages", "the gateway keeps as many messages as it may; try again later")
        before = channel.log.size
        position = await self._broker.publish(_stream(name), message(data))
        self._size += channel.log.size - before
        return position

    def sweep(self) -> None:
        """Upkeep, each second: old messages go, and channels that nobody uses."""
        now, size = self._clock.monotonic(), 0
        for name, (channel, settings) in tuple(self._channels.items()):
            channel.sweep(heartbeat=False)
            size += channel.log.size
            if not channel.users and now - self._used[channel.route][name] >= settings.log.age:
                size -= channel.log.size
                self._forget(name)
        self._size = size

    def _get(self, name: str) -> Channel:
        found = self._channels.get(name)
        channel = found[0] if found is not None else self._start(name)
        self._touch(channel)
        return channel

    def _start(self, name: str) -> Channel:
        if len(self._channels) >= self._limits.message_channels and not self._evict():
            raise ClientError(429, "too_many_channels", "there are as many channels as there may be; try again later")
        settings = next((one for fits, one in self._settings if fits(name)), _DEFAULT)
        stats = self._stats.routes[settings.pattern]
        stats.channels += 1
        channel = Channel(name, settings.pattern, _live(settings), stats, self._clock)
        channel.log.messages = True
        channel.begin(self._broker.attach(_stream(name), channel.deliver))
        channel.ready.set()
        self._channels[name] = channel, settings
        return channel

    def _touch(self, channel: Channel) -> None:
        used = self._used.setdefault(channel.route, {})
        used.pop(channel.name, None)
        used[channel.name] = self._clock.monotonic()

    def _evict(self, but: str = "") -> bool:
        """Forget a channel that nobody follows: of the largest pattern that has one, the one unused longest."""
        for used in sorted(self._used.values(), key=len, reverse=True):
            for name in used:
                channel, _ = self._channels[name]
                if not channel.users and name != but:
                    self._size -= channel.log.size
                    self._forget(name)
                    return True
        return False

    def _forget(self, name: str) -> None:
        channel, _ = self._channels.pop(name)
        del self._used[channel.route][name]
        self._broker.detach(_stream(name))
        channel.forget()


_DEFAULT = MessageSettings()


def _live(settings: MessageSettings) -> LiveSettings:
    """As channels know them: events one by one, and from no source."""
    source = PluginUse(name="messages", options=None)
    return LiveSettings(source=source, modes=("items",), log=settings.log, slow=settings.slow)


def _stream(name: str) -> str:
    """What the broker calls it: names of live channels hold spaces, these none."""
    return f"message:{name}"
