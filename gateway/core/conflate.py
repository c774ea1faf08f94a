"""What a channel holds back, so that of many changes in a short time only the last of each item is sent.

The first change after a quiet time goes out at once. What comes within `every` seconds of it waits, and then goes
out as one change: the difference between the state that everyone has and the latest. So an item that came and went
meanwhile is never told of, one that was created and then updated is created as it is now, and patches, snapshots and
item events agree, as they are made of the same two states.

Time is the caller's, monotonic.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from gateway.core.change import net_change
from gateway.core.event import Change, Json
from gateway.core.settings import LiveSettings


class Released(NamedTuple):
    """What is to be sent: None when it comes to nothing; and how many events need not be, thanks to later ones."""

    change: Change | None
    spared: int


class Conflation:
    """What one channel holds back; `due` is from when on something may be sent."""

    __slots__ = ("_base", "_events", "_every", "_last", "_live", "_several", "due")

    def __init__(self, live: LiveSettings, every: float) -> None:
        self.due = -inf
        self._live = live
        self._every = every
        self._base: Json = None
        self._last: Change | None = None
        self._several = False
        self._events = 0

    def __repr__(self) -> str:
        return f"<Conflation events={self._events} due={self.due:g}>"

    @property
    def holds(self) -> bool:
        """Whether something waits."""
        return self._last is not None

    def latest(self, state: Json) -> Json:
        """The state that the next change begins with, where `state` is what everyone has."""
        return state if self._last is None else self._last.document

    def hold(self, state: Json, change: Change) -> None:
        """Take a change from the `latest` of this state."""
        if self._last is None:
            self._base, self._several, self._events = state, False, 0
        else:
            self._several = True
        self._last = change
        self._events += change.span

    def release(self, state: Json, now: float) -> Released:
        """Give up what waits, for those who have `state`; call it when something does."""
        last, events = self._last, self._events
        assert last is not None, "nothing waits"
        alone = not self._several and state is self._base
        change = last if alone else net_change(state, last.document, self._live)
        self._base = self._last = None
        self._events = 0
        if change is not None:
            self.due = now + self._every
        return Released(change, max(events - (0 if change is None else change.span), 0))
