"""One channel on this node: its log, its groups of subscribers, and the flush that joins them.

`deliver` only marks the channel dirty; one flush a turn of the loop writes everything that came meanwhile. So an
event goes out at once under light load, and many events share one write under heavy load, without a timer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from weakref import WeakValueDictionary

from gateway.core.asgi import Framing, Writer
from gateway.core.codes import FORBIDDEN, NO_CHANNEL, UNAUTHENTICATED, Disconnect
from gateway.core.event import Change, Event, Json
from gateway.core.freshness import Freshness
from gateway.core.log import Audience, Log
from gateway.core.position import Position
from gateway.core.settings import LiveSettings, Mode
from gateway.core.stats import RouteStats
from gateway.core.voices import Voices
from gateway.live.paced import PacedGroup
from gateway.live.subscriptions import Feed, Group, Subscription
from gateway.plugin import Clock, Encoding, Refused, Status

_log = logging.getLogger("tidegate.live")

_CLOSES = {401: UNAUTHENTICATED, 403: FORBIDDEN}


class Channel:
    """One stream of events.

    `ready` is set once there is a state, a failure to tell of, or a refusal; `users` counts those who hold it,
    `keepers` those of them who only keep it; each of `ends` is called when it ends before its user has left; `voices`
    are the credentials that its users lend.
    `wish` is called when somebody has come with an interval of its own.
    """

    def __init__(self, name: str, route: str, settings: LiveSettings, stats: RouteStats, clock: Clock) -> None:
        self.name = name
        self.route = route
        self.settings = settings
        self.ready = asyncio.Event()
        self.refused: Refused | None = None
        self.users = self.keepers = 0
        self.ends: set[Callable[[Disconnect], None]] = set()
        self.stats = stats
        self.voices: Voices | None = None
        self.wish: Callable[[], None] | None = None
        self._clock = clock
        self._feed = Feed(Log(settings.log, Position("", 0)), settings.slow, clock)
        self._groups: dict[tuple[Encoding, Mode, Framing], Group] = {}
        # most channels have none; each ends with its last subscriber, so there are no more of them than of those
        self._paced: WeakValueDictionary[tuple[Group, float], PacedGroup] | None = None
        self._dirty = False

    def __repr__(self) -> str:
        return f"<Channel users={self.users} {self._feed.log!r}>"

    @property
    def log(self) -> Log:
        return self._feed.log

    @property
    def freshness(self) -> Freshness:
        return self._feed.freshness

    @property
    def idle(self) -> bool:
        """Whether nobody follows it now."""
        return self.users <= self.keepers

    def wished(self) -> float:
        """The shortest interval that a subscriber who is there asked for; inf when none did."""
        return min((group.interval for group in self._paces() if group.members or group.ahead), default=inf)

    def begin(self, head: Position) -> None:
        """Take the place in the stream from which changes will be delivered."""
        self._feed.log.head = head
        self._feed.log.start = head.offset

    def deliver(self, position: Position, change: Change) -> None:
        """Take a change from the broker; everyone at the head is sent it in this turn of the loop."""
        self._feed.log.append(position, change, self._clock.monotonic())
        self._count(change)
        self.ready.set()
        if not self._dirty:
            self._dirty = True
            asyncio.get_running_loop().call_soon(self._flush)

    def tell(self, status: Status) -> None:
        """Send everyone a status event; the same state as before is told once."""
        freshness, failed = self.freshness, self.freshness.failing
        if freshness.is_news(status.state):
            self._flush()  # who is too slow for this leaves its group, and is told when it has caught up
            for paced in self._paces():
                paced.flush(self._feed.log)  # it comes at once, and after what was before it
        now, today = self._clock.monotonic(), self._clock.time()
        event = freshness.change(status.state, _details(status, today), now=now, today=today)
        if event is not None:
            if freshness.failing is not failed:
                self._fails(freshness.failing, status.reason)
            self.stats.events["status"] += 1
            self._broadcast(event)
        self.ready.set()

    def subscribe(
        self,
        encoding: Encoding,
        mode: Mode,
        transport: str,
        writer: Writer,
        finish: Callable[[Disconnect], None],
        interval: float = 0.0,
    ) -> Subscription:
        """A subscription that has not started yet. With an `interval` it hears of changes at most that often."""
        group = self._group(encoding, mode, writer.framing(encoding.kind), transport)
        if interval:
            group = self._pace(group, interval)
        return Subscription(self._feed, group, writer, finish)

    def refuse(self, refused: Refused) -> None:
        """The backend denies the resource: the channel ends."""
        self.refused = refused
        self.end(closed_by(refused.status))

    def end(self, disconnect: Disconnect) -> None:
        """Send every subscriber away, those who still wait included."""
        self.ready.set()
        for end in tuple(self.ends):
            end(disconnect)

    def forget(self) -> None:
        """Nobody follows it any more."""
        self.stats.channels -= 1
        self.stats.failing -= self.freshness.failing

    def sweep(self, *, heartbeat: bool) -> None:
        """Regular upkeep: forget what is too old, and show quiet clients that the line is alive."""
        self._feed.log.trim(self._clock.monotonic())
        for group in self._groups.values():
            if heartbeat and group.heartbeat and group.members:
                group.write(group.heartbeat, 0)
        for paced in self._paces():
            paced.flush_if_due(self._feed.log)
            if heartbeat:
                paced.beat()

    def _group(self, encoding: Encoding, mode: Mode, framing: Framing, transport: str) -> Group:
        key = (encoding, mode, framing)
        group = self._groups.get(key)
        if group is None:
            encode = encoding.encode
            audience = Audience(mode, lambda event: framing(encode(event)))
            heartbeat = framing(encoding.heartbeat) if encoding.heartbeat else b""
            head = self._feed.log.head
            group = self._groups[key] = Group(audience, heartbeat, head, self.stats.streams[transport])
        return group

    def _pace(self, like: Group, interval: float) -> Group:
        """One of the same audience, for which no bytes are made again."""
        if self._paced is None:
            self._paced = WeakValueDictionary()
        key = (like, interval)
        group = self._paced.get(key)
        if group is None:
            log, clock = self._feed.log, self._clock
            group = PacedGroup(like, log.head, interval, clock, self._wish)
            self._paced[key] = group
        return group

    def _wish(self) -> None:
        if self.wish is not None:
            self.wish()

    def _paces(self) -> tuple[PacedGroup, ...]:
        return () if self._paced is None else tuple(self._paced.values())

    def _flush(self) -> None:
        self._dirty = False
        for group in self._groups.values():
            group.flush(self._feed.log)
        if self._paced is not None:
            for paced in self._paces():
                paced.flush_if_due(self._feed.log)

    def _broadcast(self, event: Event) -> None:
        for group in (*self._groups.values(), *self._paces()):
            if group.members:
                group.write(group.audience.render(event), 1)

    def _fails(self, failing: bool, reason: str) -> None:
        """Count, and log once when the first channel of a route fails and once when the last is well again."""
        self.stats.failing += 1 if failing else -1
        if failing and self.stats.failing == 1:
            _log.warning("route %s: the source fails: %s; subscribers keep their data", self.route, reason)
        elif not failing and not self.stats.failing:
            _log.warning("route %s: the source is well again", self.route)

    def _count(self, change: Change) -> None:
        events = self.stats.events
        for item in change.items:
            events[item.type] += 1
        if not change.items:
            events["snapshot" if change.patch is None else "patch"] += 1


def closed_by(status: int) -> Disconnect:
    """How a backend's refusal ends a stream."""
    return _CLOSES.get(status, NO_CHANNEL)


def _details(status: Status, today: float) -> dict[str, Json]:
    """What clients are told of what is wrong."""
    details: dict[str, Json] = {
        "code": status.code or None,
        "reason": status.reason or None,
        "upstream_status": status.upstream_status,
        "retry_at": None if status.retry_in is None else _date(today + status.retry_in),
    }
    return {name: value for name, value in details.items() if value is not None}


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
