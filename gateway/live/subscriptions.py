"""Subscribers of one channel, grouped so that the same bytes are made once and written many times.

A group is everyone of one audience who is at the head of the log. A subscriber whose buffer is full leaves its
group with nothing but an offset, and comes back when it has caught up. There is no await and no task here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.core.asgi import Writer
from gateway.core.codes import Disconnect
from gateway.core.cursor import catch_up, elsewhere, flush, join
from gateway.core.event import Event
from gateway.core.freshness import Freshness
from gateway.core.log import Audience, Batch, Log
from gateway.core.position import Position
from gateway.core.settings import SlowPolicy
from gateway.core.stats import StreamStats
from gateway.plugin import Clock


class Group:
    """The subscribers of one audience at the head; `messages` and `bytes` are what each of them was sent so far.

    `unanswered` are those who came with a position before there was a state that could answer it; `ahead` are those
    who know more than the group was sent, and wait for it (`gateway.live.paced`).
    """

    __slots__ = (
        "_writers", "ahead", "audience", "bytes", "epoch", "heartbeat", "members", "messages", "offset", "stats",
        "unanswered",
    )  # fmt: skip

    def __init__(self, audience: Audience, heartbeat: bytes, head: Position, stats: StreamStats) -> None:
        self.audience = audience
        self.heartbeat = heartbeat
        self.epoch, self.offset = head
        self.stats = stats
        self.members: dict[Subscription, Writer] = {}
        self.unanswered: dict[Subscription, None] = {}
        self.ahead: dict[Subscription, None] = {}
        self.messages = 0
        self.bytes = 0
        self._writers: tuple[Writer, ...] | None = ()

    def add(self, member: Subscription) -> None:
        self.members[member] = member.writer
        self._writers = None

    def remove(self, member: Subscription) -> None:
        del self.members[member]
        self.unanswered.pop(member, None)
        self._writers = None

    def early(self, epoch: str, offset: int) -> bool:
        """Whether a reader there has missed nothing, as the group itself is kept from what follows."""
        return False

    def puts_off(self, log: Log, epoch: str, offset: int) -> bool:
        """Whether a reader there must wait until the group is flushed."""
        return False

    def flush(self, log: Log) -> None:
        """Send everyone what came since the last flush."""
        answered = self._answer() if self.unanswered and log.has_state else ()
        if not self.members:
            self.epoch, self.offset = log.head
        while self.behind(log):
            same = self.epoch == log.head.epoch
            batch = flush(log, self.audience, self.offset) if same else elsewhere(log, self.audience)
            self.epoch, self.offset = log.head.epoch, batch.offset
            if batch.messages:
                self.write(batch.data, batch.messages)
        for member in answered:
            member.follow()

    def behind(self, log: Log) -> bool:
        """Whether there is more than it was sent."""
        return self.offset != log.head.offset or self.epoch != log.head.epoch

    def _answer(self) -> tuple[Subscription, ...]:
        """Those who can be answered now, each for itself and not as members."""
        unanswered = tuple(self.unanswered)
        for member in unanswered:
            member.leave()
        return unanswered

    def write(self, data: bytes, count: int) -> None:
        """Write ready bytes that hold `count` messages to every member."""
        writers = self._writers
        if writers is None:
            writers = self._writers = tuple(self.members.values())
        self.messages += count
        self.bytes += len(data)
        self.stats.messages += count * len(writers)
        self.stats.bytes += len(data) * len(writers)
        for writer in writers:  # the loop that the whole gateway is built around: ready bytes, nothing else
            writer.write(data)


@dataclass(slots=True)
class Feed:
    """What subscriptions share of their channel."""

    log: Log
    slow: SlowPolicy
    clock: Clock
    freshness: Freshness = field(default_factory=Freshness)


class Subscription:
    """One subscriber: at the head in its group, or behind with its own offset.

    `finish` is told why it can't go on. Whoever owns the writer calls `full` and `drained` as `Writer.on_flow` tells: a
    writer may carry many of them.
    """

    __slots__ = (
        "_base", "_due", "_epoch", "_feed", "_offset", "_own", "_since", "_told", "_waiting", "finish", "group",
        "writer",
    )  # fmt: skip

    def __init__(self, feed: Feed, group: Group, writer: Writer, finish: Callable[[Disconnect], None]) -> None:
        self.group = group
        self.writer = writer
        self._feed = feed
        self.finish = finish
        self._epoch, self._offset = feed.log.head
        self._since: Position | None = None  # where the client was, until it can be told whether that is continued
        self._own = (0, 0)  # messages and bytes that were sent to this subscriber alone
        self._base: tuple[int, int] | None = None  # the group's counters when it came in; None: it is behind
        self._told: Event | None = None  # the last status that it knows of
        self._due = False  # it is told of the status once it has the state
        self._waiting = False

    @property
    def sent(self) -> tuple[int, int]:
        """Messages and bytes so far."""
        messages, size = self._own
        if self._base is not None:
            messages += self.group.messages - self._base[0]
            size += self.group.bytes - self._base[1]
        return messages, size

    @property
    def position(self) -> Position:
        """How far it has been sent the log."""
        behind = self._base is None
        return Position(self._epoch, self._offset) if behind else Position(self.group.epoch, self.group.offset)

    def start(self, since: Position | None, *, told: bool = False, mark: bool = False) -> None:
        """Send the first bytes and follow from there; who was `told` hears of the status when it changes.

        A state that was not confirmed just now comes with its age. Of messages there is no state to begin with: with
        `mark`, who brings no position is told where it begins, and loses nothing if its line breaks before the first.
        """
        self._since = since
        first, freshness = self._join(), self._feed.freshness
        if mark and since is None and self._feed.log.messages:
            place = Event(type="position", data=None, position=Position(self._epoch, self._offset))
            self._write(self.group.audience.render(place), 1)
        self._told = freshness.told
        given = first.messages > 0 and (since is None or first.reset)
        self._due = (freshness.failing and not told) or (
            given and freshness.worth_telling(self._feed.clock.monotonic())
        )
        self.follow()

    def resume(self) -> None:
        """The group that it waited for has been flushed: it was kept from the rest, and is not slow."""
        log = self._feed.log
        if not self.writer.full and self._epoch == log.head.epoch and self._offset != log.head.offset:
            self._send(flush(log, self.group.audience, self._offset))
        self.follow()

    def beat(self, heartbeat: bytes) -> None:
        """Show the client that the line is alive, while it waits for its group."""
        if not self.writer.full:
            self._write(heartbeat, 0)

    def remind(self) -> None:
        """Send the status, if anything ever went wrong."""
        self._due = self._feed.freshness.told is not None
        self._tell_status()

    def stop(self) -> None:
        """Receive nothing more."""
        self.leave()
        self.group.ahead.pop(self, None)
        self._wait_no_more()

    def _join(self) -> Batch:
        log = self._feed.log
        first = join(log, self.group.audience, self._since)
        self._send(first)
        if log.has_state or log.messages:
            self._since = None
        return first

    def _send(self, batch: Batch) -> None:
        self._epoch, self._offset = self._feed.log.head.epoch, batch.offset
        self.group.stats.resets += batch.reset
        if batch.messages:
            self._write(batch.data, batch.messages)

    def _write(self, data: bytes, count: int) -> None:
        self._own = (self._own[0] + count, self._own[1] + len(data))
        self.group.stats.messages += count
        self.group.stats.bytes += len(data)
        self.writer.write(data)

    def follow(self) -> None:
        """Catch up, and then be in the group."""
        log, group = self._feed.log, self.group
        while self._offset != log.head.offset or self._epoch != log.head.epoch:
            if self.writer.full:
                self._wait()
                return
            if self._since is not None:
                self._join()
                continue
            if group.puts_off(log, self._epoch, self._offset):
                break
            batch = self._next()
            if isinstance(batch, Disconnect):
                self.finish(batch)
                return
            self._send(batch)
        self._tell_status()
        if self.writer.full:
            self._wait()
            return
        if group.puts_off(log, self._epoch, self._offset):
            group.ahead[self] = None
            return
        if group.behind(log):
            group.flush(log)
        self._base = (group.messages, group.bytes)
        group.add(self)
        if self._since is not None:
            group.unanswered[self] = None

    def _next(self) -> Batch | Disconnect:
        log, audience = self._feed.log, self.group.audience
        if self._epoch != log.head.epoch:
            return elsewhere(log, audience)
        if self.group.early(self._epoch, self._offset):
            return flush(log, audience, self._offset)
        batch = catch_up(log, audience, self._offset, self._feed.slow)
        self.group.stats.skipped += isinstance(batch, Batch) and self._offset < log.tail
        return batch

    def _tell_status(self) -> None:
        """Send the status where it is due, or where another was told meanwhile."""
        freshness = self._feed.freshness
        if self._due or freshness.told is not self._told:
            self._due, self._told = False, freshness.told
            status = freshness.present(self._feed.clock.monotonic())
            self._write(self.group.audience.render(status), 1)

    def leave(self) -> None:
        """Be in the group no more."""
        if self._base is not None:
            self._own = self.sent
            self._base = None
            self._epoch, self._offset = self.group.epoch, self.group.offset
            self._told = self._feed.freshness.told
            self.group.remove(self)

    def full(self) -> None:
        """The writer takes no more for now."""
        if self._base is not None:
            self.leave()
            self._wait()

    def drained(self) -> None:
        """The writer takes more again; what was missed meanwhile is sent."""
        if self._waiting:
            self._wait_no_more()
            self.follow()

    def _wait(self) -> None:
        """Be behind until the buffer has drained."""
        self._waiting = True
        self.group.stats.behind += 1

    def _wait_no_more(self) -> None:
        self.group.stats.behind -= self._waiting
        self._waiting = False
