"""Brokers carry and keep changes between nodes, and give them their positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.core.event import Change
from gateway.core.position import Position

Deliver = Callable[[Position, Change], None]


class Broker(Protocol):
    """One ordered stream per channel.

    `publish` and `deliver` agree: every attached node is called with the same changes, in the same
    order, each once; a publisher's own node included, before `publish` returns. Positions of a channel
    grow by `change.span`; a new epoch means that earlier changes are lost.
    """

    def attach(self, channel: str, deliver: Deliver) -> Position:
        """Begin to receive a channel's changes, after the position that is returned."""

    def detach(self, channel: str) -> None:
        """Receive no more; the channel may be forgotten."""

    async def publish(self, channel: str, change: Change) -> Position:
        """Give the change its position (the last of its span) and deliver it everywhere."""
