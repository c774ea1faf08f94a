"""Channels of messages: events without a state, which clients publish and follow by name.

Clients choose the names, so the table is bounded, in channels and in bytes. A channel that nobody follows is kept
for those who come back, as long as its log would keep a message. When there are too many, whose they are decides which
makes room (`gateway.core.shares`), and what finds no room is refused: who invents names harms nobody else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gateway.core.asgi import Scope
from gateway.core.channel_names import Fits, message_pattern
from gateway.core.codes import Disconnect
from gateway.core.crowd import address_of
from gateway.core.event import Json, message
from gateway.core.http import IDENTITY
from gateway.core.identity import Identity
from gateway.core.position import Position
from gateway.core.settings import Limits, LiveSettings, MessageSettings, PluginUse
from gateway.core.shares import Full, Owner, Shares
from gateway.core.stats import Stats
from gateway.errors import ClientError
from gateway.live.channel import Channel
from gateway.plugin import Broker, Clock

NO_MODES = "a channel of messages has no modes"


@dataclass(slots=True)
class _Kept:
    """A channel, when it was last used, who was the first to follow it, and its bytes that are on an account."""

    channel: Channel
    settings: MessageSettings
    age: float
    used: float
    next_heartbeat: float
    held: Owner | None = None
    size: int = 0


class Messages:
    """All channels of messages of this node."""

    def __init__(
        self, settings: tuple[MessageSettings, ...], limits: Limits, broker: Broker, stats: Stats, clock: Clock
    ) -> None:
        self._settings = _patterns(settings)
        self._limits = limits
        self._broker = broker
        self._stats = stats
        self._clock = clock
        self._channels: dict[str, _Kept] = {}
        self._shares = Shares(limits.message_channels, limits.message_bytes)
        self._held = Counter[Owner]()  # channels by who was the first to follow them

    def __repr__(self) -> str:
        return f"<Messages channels={len(self._channels)} bytes={self._shares.bytes}>"

    def __len__(self) -> int:
        return len(self._channels)

    def get(self, name: str, by: Owner) -> Channel:
        """The channel of this name, for one more user; each call is matched by one of `release`. Raises ClientError."""
        kept = self._channels.get(name)
        if kept is None or not kept.channel.users:
            self._check_held(by)
        kept = kept or self._start(name, by)
        if not kept.channel.users:
            kept.held = by
            self._held[by] += 1
            self._shares.use(name)
        kept.channel.users += 1
        return kept.channel

    def release(self, channel: Channel) -> None:
        """A user has gone."""
        channel.users -= 1
        kept = self._channels.get(channel.name)
        if kept is None or kept.channel is not channel:
            return  # it was retired meanwhile
        if not channel.users and kept.held is not None:
            self._unhold(kept.held)
            kept.held = None
        self._touch(channel.name)

    def _unhold(self, owner: Owner) -> None:
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]

    async def publish(self, name: str, data: Json, by: Owner | None = None) -> Position:
        """Bring a message to everyone who follows the channel, in a client's name or in the gateway's own.

        Raises ClientError when there is no room.
        """
        kept = self._channels.get(name) or self._start(name, by)
        if by is None and self._shares.owner(name).client:
            self._shares.hand_over(name, kept.size, self._house(kept.channel.route))
        try:
            while (other := self._shares.room_for(name)) is not None:
                self._forget(other)
            return await self._broker.publish(_stream(name), message(data))
        except Full:
            raise _full("messages") from None
        finally:
            if name in self._channels:
                self._weigh(name)
                self._touch(name)

    def renew(self, settings: tuple[MessageSettings, ...]) -> list[Channel]:
        """Go by other settings; gives the channels that were made with others than they would be now.

        Those are forgotten with what they kept. Who holds them hears nothing more, and is to be sent away.
        """
        self._settings = _patterns(settings)
        gone = [name for name, kept in self._channels.items() if self._settings_of(name) != kept.settings]
        return [self._retire(name) for name in gone]

    def _retire(self, name: str) -> Channel:
        kept = self._channels[name]
        if kept.held is not None:
            self._unhold(kept.held)
        self._forget(name)
        return kept.channel

    def sweep(self) -> None:
        """Upkeep, each second: old messages go, and channels that nobody uses."""
        now = self._clock.monotonic()
        for name, kept in tuple(self._channels.items()):
            due = now >= kept.next_heartbeat
            if due:
                kept.next_heartbeat = now + kept.channel.settings.heartbeat
            kept.channel.sweep(heartbeat=due)
            self._weigh(name)
            if not kept.channel.users and now - kept.used >= kept.age:
                self._forget(name)

    def end(self, disconnect: Disconnect) -> None:
        """Send every follower away."""
        for kept in tuple(self._channels.values()):
            kept.channel.end(disconnect)

    def _start(self, name: str, by: Owner | None) -> _Kept:
        settings = self._settings_of(name)
        owner = by or self._house(settings.pattern)
        try:
            while (other := self._shares.place_for(owner)) is not None:
                self._forget(other)
        except Full:
            raise _full("channels") from None
        stats = self._stats.routes[settings.pattern]
        stats.channels += 1
        channel = Channel(name, settings.pattern, _live(settings), stats, self._clock)
        channel.log.messages = True
        channel.begin(self._broker.attach(_stream(name), channel.deliver))
        channel.ready.set()
        self._shares.enter(name, owner)
        now = self._clock.monotonic()
        kept = self._channels[name] = _Kept(channel, settings, settings.log.age, now, now + settings.heartbeat)
        return kept

    def _settings_of(self, name: str) -> MessageSettings:
        return next((one for fits, one in self._settings if fits(name)), _DEFAULT)

    def _check_held(self, by: Owner) -> None:
        """Raise ClientError where a client already keeps as many channels from making room as it may."""
        most = self._limits.channels_per_ip if by.crowd else self._limits.channels_per_client
        if self._held[by] >= most:
            detail = f"you already follow {most} channels of messages, the limit for one client"
            raise ClientError(429, "too_many_channels", detail)

    def _house(self, pattern: str) -> Owner:
        return Owner(pattern, client=False)

    def _touch(self, name: str) -> None:
        """Note that a channel was used; if nobody follows it, it is kept for a while."""
        kept = self._channels[name]
        kept.used = self._clock.monotonic()
        if not kept.channel.users:
            self._shares.rest(name, empty=kept.channel.log.head.offset == 0)

    def _weigh(self, name: str) -> None:
        """Note how large a channel has become."""
        kept = self._channels[name]
        size = kept.channel.log.size
        self._shares.weigh(name, size - kept.size)
        kept.size = size

    def _forget(self, name: str) -> None:
        kept = self._channels.pop(name)
        self._shares.leave(name, kept.size)
        self._broker.detach(_stream(name))
        kept.channel.forget()


def _full(what: str) -> ClientError:
    detail = f"the gateway keeps as many {what} as it may, and none that could make room; try again later"
    return ClientError(429, f"too_many_{what}", detail)


def owner_of(scope: Scope) -> Owner:
    """On whose account is what a client names: its own, or its address's where nobody knows it."""
    identity: Identity | None = scope.get(IDENTITY)
    return Owner(address_of(scope), crowd=True) if identity is None else Owner(identity.subject)


_DEFAULT = MessageSettings()


def _patterns(settings: tuple[MessageSettings, ...]) -> list[tuple[Fits, MessageSettings]]:
    return [(message_pattern(one.pattern)({}), one) for one in settings]


def _live(settings: MessageSettings) -> LiveSettings:
    """As channels know them: events one by one, and from no source."""
    return LiveSettings(
        source=PluginUse(name="messages", options=None),
        modes=("items",),
        log=settings.log,
        slow=settings.slow,
        heartbeat=settings.heartbeat,
        compression=settings.compression,
    )


def _stream(name: str) -> str:
    """What the broker calls it: names of live channels hold spaces, these none."""
    return f"message:{name}"
