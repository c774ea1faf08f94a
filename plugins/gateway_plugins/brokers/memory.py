"""The broker of a single node: it numbers the changes of each channel and delivers them on the spot.

It keeps nothing; a channel that is attached anew begins a new epoch.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from gateway.plugin import BrokerPlugin, Change, Context, Deliver, Options, Plugin, Position


class MemoryOptions(Options):
    """There is nothing to choose."""


@dataclass(slots=True)
class _Stream:
    deliver: Deliver | None
    # Three bytes are plenty: an epoch need only differ from those that a channel's clients may still hold.
    head: Position = field(default_factory=lambda: Position(secrets.token_hex(3), 0))


class MemoryBroker:
    """All channels of one process."""

    def __init__(self, options: MemoryOptions, context: Context) -> None:
        self._streams: dict[str, _Stream] = {}

    def __repr__(self) -> str:
        return f"<MemoryBroker channels={len(self._streams)}>"

    def attach(self, channel: str, deliver: Deliver) -> Position:
        if channel in self._streams:
            raise ValueError("the channel is attached already")
        stream = self._streams[channel] = _Stream(deliver)
        return stream.head

    def detach(self, channel: str) -> None:
        self._streams.pop(channel, None)

    async def publish(self, channel: str, change: Change) -> Position:
        # Nobody has a channel that isn't attached: its change is lost, as the epoch of its position says.
        stream = self._streams.get(channel) or _Stream(None)
        epoch, offset = stream.head
        stream.head = Position(epoch, offset + change.span)
        if stream.deliver is not None:
            stream.deliver(stream.head, change)
        return stream.head


plugin: BrokerPlugin[MemoryOptions] = Plugin(MemoryOptions, MemoryBroker)
