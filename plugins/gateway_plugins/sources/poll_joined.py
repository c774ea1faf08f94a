"""A channel whose resource is read together with others: it takes its own from each batch.

    newcomer ─► in a batch ◄─► alone, by its own URL

It goes alone when a batch lacks it or is refused, or when its own look fails, and comes back when it has been well for
a while. So all that is about it alone, a 404 or a 403 say, is decided by an answer for its own URL, as for any channel.
A look that is asked for, after a write, is alone as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gateway.plugin import Again, Further, Json, Look, PollResult, Publisher, Refused, Status, Target, Unshared
from gateway_plugins.sources.poll_ids import Spot, size

if TYPE_CHECKING:
    from gateway_plugins.sources.poll_batch import BatchLook
    from gateway_plugins.sources.poll_crowd import Crowd

# Who went alone stays so for one to two times so many seconds: a batch that lacks or refuses it once will do so again.
_APART = 150.0


class Alone(Protocol):
    """The look at one resource by its own URL."""

    @property
    def failing(self) -> bool: ...
    @property
    def interval(self) -> float: ...
    def forget(self) -> None: ...
    async def look(self) -> Again: ...


class JoinedChannel:
    """The `JoiningWatch` of one target.

    `taken` is the digest of the batch's body that holds its state; None when that came otherwise. `looks` counts its
    own, the last of which is under way while `looking`.
    """

    def __init__(self, alone: Alone, crowd: Crowd, publish: Publisher, target: Target, spot: Spot) -> None:
        self.publish = publish
        self.target = target
        self.id, self.written = spot.id, spot.written
        self.size = size(crowd.batch, spot.written)
        self.batch: BatchLook | None = None
        self.taken: bytes | None = None
        self.looks = 0
        self.looking = False
        self._alone = alone
        self._crowd = crowd
        self._clock = crowd.tools.clock
        self._own: Look | None = None
        self._apart_until = 0.0
        self._verdict: Refused | Unshared | None = None
        self._known_ok = False

    def __repr__(self) -> str:
        return f"<JoinedChannel {'alone' if self.batch is None else 'in a batch'}>"

    def join(self, own: Look, further: Further) -> None:
        self._own = own
        self._crowd.come(self, further)

    def leave(self) -> None:
        self._crowd.go(self)

    def hasten(self) -> None:
        batch = self.batch
        if batch is not None and batch.look_of is not None:
            batch.look_of.hasten(batch.interval)
        elif self._own is not None:
            self._own.hasten(self._alone.interval)

    async def look(self) -> Again:
        if self._verdict is not None:
            raise self._verdict
        batch, crowd = self.batch, self._crowd
        if batch is not None and batch.forming:
            return Again(0.0, asked=True)  # that look is still to come, for this one too
        wanted = 0.0 if batch is None else batch.held_until - self._clock.monotonic()
        if wanted > 0:
            return Again(wanted)
        self.looks += 1
        self.looking = True
        try:
            again = await self._alone.look()
        finally:
            self.looking, self.taken = False, None
        if self._alone.failing:
            crowd.part(self)
        elif self.batch is None and self._clock.monotonic() >= self._apart_until:
            crowd.welcome(self)
        return again if self.batch is None else again._replace(asked=True)

    async def take(self, document: Json, digest: bytes) -> bool:
        """A batch holds this; raises ValueError when that is not what the route promises."""
        news = await self.publish.state(document)
        self._alone.forget()
        self.taken = digest
        self._well("changed" if news else "unchanged")
        return news

    async def confirm(self, result: PollResult) -> bool:
        """A batch says what it said before."""
        news = await self.publish.confirm()
        self._well(result)
        return news

    def fail(self, status: Status | None) -> None:
        """The batch brought no state; without a status that is not spoken of yet."""
        self.publish.polled("error", None)
        if status is not None:
            self._alone.forget()
            self.tell(status)

    def tell(self, status: Status) -> None:
        """Something is wrong with the batch, if it is only that it has to wait."""
        self._known_ok = False
        self.publish.status(status)

    def go_alone(self) -> None:
        """Be looked at by its own URL, now and for a while."""
        self._apart_until = self._clock.monotonic() + _APART * (1 + self._clock.random())
        self._ask()

    def end(self, verdict: Refused | Unshared) -> None:
        """An answer for many is about this one, too."""
        self._verdict = verdict
        self._ask()

    def _ask(self) -> None:
        assert self._own is not None, "join comes first"
        self._own.ask()

    def _well(self, result: PollResult) -> None:
        self.publish.polled(result, None)
        if not self._known_ok:
            self._known_ok = True
            self.publish.status(Status(state="ok"))
