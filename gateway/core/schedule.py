"""Which looks at backends begin now: one heap of times for all, and a lane for each backend.

Decides, never acts: the shell asks `take` what to start and tells `finished` what has ended. Two looks of one entry
never overlap. One that is late delays the next, and a request for an early one, made while one is under way, is
followed by another after it. In a lane, urgent looks (the first of an entry, and those asked for) go before regular
ones, and these before those that nobody waits for. Time comes in as seconds of one clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Generic, Literal, TypeVar

State = Literal["waiting", "ready", "running", "gone"]

# Stale heap entries (of looks that were asked for early) are swept out when they are most of so many.
_FEWEST_TO_SWEEP = 64

# Between two looks that were asked for: this part of the entry's own pause, so that somebody who asks all the time
# makes the backend busier by a factor at most; and no longer than a person waits for what they have just done.
_SPACING, _LONGEST_SPACING = 0.1, 1.0


class Lane:
    """What shares one backend: at most `slots` looks at once and `rate` a second, and none before `held_until`."""

    __slots__ = ("held_until", "idle", "rate", "regular", "running", "slots", "spent_until", "urgent")

    def __init__(self, slots: int, rate: int | None = None) -> None:
        self.slots = slots
        self.rate = rate
        self.running = 0
        self.held_until = 0.0
        self.spent_until = 0.0  # the looks begun so far are what the rate allows up to then
        self.urgent: deque[Entry] = deque()
        self.regular: deque[Entry] = deque()
        self.idle: deque[Entry] = deque()

    def __repr__(self) -> str:
        ready = " + ".join(str(len(queue)) for queue in (self.urgent, self.regular, self.idle))
        return f"<Lane {self.running} of {self.slots} running, {ready} ready>"

    @property
    def free_at(self) -> float:
        """When the next look may begin; a second's worth may begin at once after a quiet time."""
        return max(self.held_until, self.spent_until - 1.0)

    def spend(self, now: float) -> None:
        """One look begins."""
        self.running += 1
        if self.rate is not None:
            self.spent_until = max(self.spent_until, now) + 1.0 / self.rate


class Entry:
    """Something to look at; `again` asks for one more look after the one under way.

    `asked_at` is when a look that was asked for last became ready, `pause` the last between two looks. No look is had
    before `held_until` by asking. It is `behind` when it became ready while nobody waited for it.
    """

    __slots__ = ("again", "asked_at", "behind", "due", "held_until", "lane", "pause", "state", "urgent")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.state: State = "ready"
        self.due = 0.0
        self.again = False
        self.urgent = self.behind = False
        self.asked_at = self.held_until = -inf
        self.pause = 0.0

    @property
    def idle(self) -> bool:
        """Whether nobody waits for what it sees."""
        return False

    @property
    def free_at(self) -> float:
        """When a look that is asked for may be had."""
        return max(self.asked_at + min(self.pause * _SPACING, _LONGEST_SPACING), self.held_until)


E = TypeVar("E", bound=Entry)


class Schedule(Generic[E]):
    """The looks to come of all entries."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, E]] = []
        self._order = count()
        self._waiting = 0
        self._queued: dict[Lane, None] = {}  # lanes with something ready, in the order that they became so

    def __repr__(self) -> str:
        return f"<Schedule {self._waiting} waiting, {len(self._queued)} lanes with looks to start>"

    def add(self, entry: E, due: float | None = None) -> None:
        """Its first look is at that time (inf: when it is asked for); at once without it."""
        if due is None:
            self._ready(entry, urgent=True)
        else:
            self._wait(entry, due)

    def remove(self, entry: E) -> None:
        """No look of it begins any more; one under way must still be told `finished`."""
        if entry.state == "waiting":
            self._waiting -= 1
        if entry.state == "running":
            entry.lane.running -= 1
        entry.state = "gone"

    def refresh(self, entry: E, now: float) -> None:
        """Look at it as soon as may be, with a look that begins after now: at once, unless that was just asked for."""
        if entry.state == "running":
            entry.again = True
        elif entry.state == "waiting" and entry.free_at > now:
            if entry.due > entry.free_at:
                self._waiting -= 1
                self._put_off(entry)
        elif entry.state == "waiting":
            self._waiting -= 1
            self._asked(entry, now)
        elif entry.state == "ready" and not entry.urgent:
            self._asked(entry, now)

    def overtake(self, entry: E, now: float) -> None:
        """Somebody waits for it now."""
        if entry.state == "ready" and entry.behind:
            self._asked(entry, now)

    def hasten(self, entry: E, pause: float) -> None:
        """Have the next look so long after the last at most; who asks for that all the time gets no more by it."""
        due = max(entry.due - entry.pause + pause, entry.free_at)
        if entry.state == "waiting" and due < entry.due < inf:
            entry.pause -= entry.due - due
            self._waiting -= 1
            self._wait(entry, due)

    def finished(
        self, entry: E, now: float, pause: float, *, hold: float = 0.0, least: float = 0.0, asked: bool = False
    ) -> None:
        """Its look has ended; the next is `pause` seconds from now, and none in its lane for `hold`.

        Asking brings it forward, but not to before `least` is over. One that is to be `asked` for is had only then.
        """
        lane = entry.lane
        if hold > 0:
            lane.held_until = max(lane.held_until, now + hold)
        if entry.state != "running":
            return
        lane.running -= 1
        entry.pause, entry.held_until = pause, now + least
        if entry.again:
            entry.again = False
            if entry.free_at <= now:
                self._asked(entry, now)
                return
            if asked or entry.free_at < now + pause:
                self._put_off(entry)
                return
        self._wait(entry, inf if asked else now + pause)

    def _put_off(self, entry: E) -> None:
        """It was asked for again so soon: the look is one for all who ask until then."""
        entry.asked_at = entry.free_at
        self._wait(entry, entry.asked_at)

    def _asked(self, entry: E, now: float) -> None:
        entry.asked_at = now
        self._ready(entry, urgent=True)

    def _wait(self, entry: E, due: float) -> None:
        entry.state, entry.due = "waiting", due
        self._waiting += 1
        heapq.heappush(self._heap, (due, next(self._order), entry))
        if len(self._heap) > max(2 * self._waiting, _FEWEST_TO_SWEEP):
            self._heap = [item for item in self._heap if _is_current(item)]
            heapq.heapify(self._heap)

    def take(self, now: float) -> list[E]:
        """What is to be looked at now; each is under way from here on."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            item = heapq.heappop(heap)
            if _is_current(item):
                self._waiting -= 1
                self._ready(item[2], urgent=False)
        taken: list[E] = []
        for lane in tuple(self._queued):
            taken += self._begin(lane, now)
        return taken

    def wake(self) -> float | None:
        """When `take` has something to give if nothing else happens; None: not before something does."""
        heap = self._heap
        while heap and not _is_current(heap[0]):
            heapq.heappop(heap)
        times = [lane.free_at for lane in self._queued if lane.running < lane.slots]
        if heap and heap[0][0] < inf:
            times.append(heap[0][0])
        return min(times, default=None)

    def _ready(self, entry: E, *, urgent: bool) -> None:
        entry.state, entry.urgent = "ready", urgent
        entry.behind = not urgent and entry.idle
        lane = entry.lane
        (lane.urgent if urgent else lane.idle if entry.behind else lane.regular).append(entry)
        self._queued[lane] = None

    def _begin(self, lane: Lane, now: float) -> Iterator[E]:
        while lane.running < lane.slots and lane.free_at <= now:
            queue = lane.urgent or lane.regular or lane.idle
            if not queue:
                del self._queued[lane]
                return
            entry: E = queue.popleft()  # type: ignore[assignment]  # a lane holds what this schedule put in
            if entry.state == "ready":
                entry.state = "running"
                lane.spend(now)
                yield entry


def _is_current(item: tuple[float, int, Entry]) -> bool:
    """Whether the entry still waits for this time: it may have been looked at early, or be gone."""
    due, _, entry = item
    return entry.state == "waiting" and entry.due == due
