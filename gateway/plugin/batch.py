"""What a source needs to look at several channels with one request: optional, and of sources of looks alone.

Each channel keeps a watch of its own, for what is about it alone: a refusal, a write that may have changed it, an
answer that lacks it. Who looks for many is a further watch in the same schedule. Both may call the channel's publisher,
which takes one state after the other; that an older answer does not come after a newer one is theirs to see to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from gateway.plugin.source import Again, Target, Watch


class Look(Protocol):
    """A watch in the runtime's schedule."""

    def ask(self) -> None:
        """Look as soon as may be, with a look that begins after this."""

    def hasten(self, pause: float) -> None:
        """Have the next look at most so long after the last, for a subscriber's wish; inf leaves it as it is."""

    def stop(self) -> None:
        """Look no more. A look under way is cancelled, unless it is that one which calls."""


Further: TypeAlias = Callable[[Watch, float | None], Look]
"""Has a watch of no single channel looked at, at the same backend and within its limits: first after so many seconds,
or at once. It must not raise Refused or Unshared; other exceptions are bugs as elsewhere."""


@runtime_checkable
class JoiningWatch(Protocol):
    """A watch whose channel may be looked at together with others: its own looks are only when they are asked for."""

    async def look(self) -> Again:
        """As of `Watch`, about this channel alone."""

    def join(self, own: Look, further: Further) -> None:
        """The channel begins. `own` asks for its own looks, `further` is for what looks at several."""

    def hasten(self) -> None:
        """An interval is shorter now (`Target.wished`, `Target.fallback`): `Look.hasten` what should heed it."""

    def leave(self) -> None:
        """The channel has ended."""


@runtime_checkable
class BatchingSource(Protocol):
    """A source that can tell what it asks for together."""

    def batch(self, target: Target) -> bytes | None:
        """The encoded path and query for this target and no other; None if it is always asked for alone."""
