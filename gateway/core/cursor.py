"""A reader's place in a channel log, and what it is given when it joins, catches up or has fallen too far behind.

Joining, resuming and catching up are the same decision: continue from the offset where the log can, and where
it can't say so, by the channel's policy. The client is never left to guess.
"""

from __future__ import annotations

from gateway.core.codes import TOO_SLOW, Disconnect
from gateway.core.event import Event
from gateway.core.log import Audience, Batch, Log
from gateway.core.position import Position
from gateway.core.settings import SlowPolicy


def join(log: Log, audience: Audience, since: Position | None) -> Batch:
    """A subscriber's first bytes: the changes after its own position, or the state (`reset` if it had a position).

    Nothing while the channel has no state yet. Without any state, what the log has after the position, and word of
    what it has no more.
    """
    if log.messages:
        return Batch(b"", 0, log.head.offset) if since is None else _resume(log, audience, since)
    if not log.has_state:
        return Batch(b"", 0, log.head.offset)
    if since is None:
        return log.snapshot(audience)
    continued = log.read(since.offset, audience) if since.epoch == log.head.epoch else None
    return continued if continued is not None else elsewhere(log, audience)


def elsewhere(log: Log, audience: Audience) -> Batch:
    """The first bytes of a reader who is in another epoch: offsets there say nothing about those here."""
    return _gap(log, audience, None) if log.messages else log.snapshot(audience, reset=True)


def flush(log: Log, audience: Audience, offset: int) -> Batch:
    """The next bytes of those who were at the head a moment ago: too slow is none of them."""
    batch = log.read(offset, audience)
    if batch is not None:
        return batch
    return _gap(log, audience, log.tail - offset) if log.messages else _state(log, audience, offset)


def catch_up(log: Log, audience: Audience, offset: int, policy: SlowPolicy) -> Batch | Disconnect:
    """The next bytes of a reader at `offset`, or why it must go. Call again until the head is reached."""
    batch = log.read(offset, audience)
    if batch is not None:
        return batch
    stateless = offset == log.start and not log.messages  # whatever the policy, it is given its first state
    if policy == "disconnect" and not stateless:
        return TOO_SLOW
    if log.messages:
        return _gap(log, audience, log.tail - offset)
    if policy == "snapshot" or stateless or not log.tail > offset:
        return _state(log, audience, offset)
    return _skip(log, audience, offset)


def _resume(log: Log, audience: Audience, since: Position) -> Batch:
    """From a client's own position; one that this log never had says nothing about what was missed."""
    if since.epoch != log.head.epoch or since.offset > log.head.offset:
        return elsewhere(log, audience)
    return log.read(since.offset, audience) or _gap(log, audience, log.tail - since.offset)


def _state(log: Log, audience: Audience, offset: int) -> Batch:
    """The state instead of changes: a reset, unless the reader has none yet that could be continued."""
    return log.snapshot(audience, reset=offset != log.start)


def _gap(log: Log, audience: Audience, missed: int | None) -> Batch:
    """Word of `missed` events (None: nobody knows) before the oldest that the log still has."""
    known = missed if missed is not None and missed > 0 else None
    return Batch(audience.render(Event(type="gap", data={"missed": known})), 1, log.tail)


def _skip(log: Log, audience: Audience, offset: int) -> Batch:
    gap = _gap(log, audience, log.tail - offset)
    if audience.mode == "items":
        return gap
    state = log.snapshot(audience, reset=True)  # a patch after a gap would apply to the wrong document
    return Batch(gap.data + state.data, 2, state.offset)
