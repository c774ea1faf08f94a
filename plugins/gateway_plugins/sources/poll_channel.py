"""The polls of one channel: ask, read, publish, decide when to ask again.

While the backend fails, subscribers keep what they have and are told; polls go on with growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gateway.plugin import (
    Again,
    Answer,
    Clock,
    Json,
    PollResult,
    Publisher,
    Refused,
    Status,
    Target,
    UpstreamError,
    backoff,
    jittered,
    rest,
)
from gateway_plugins.sources.poll_answer import Failed, Reading, is_heavy, judge, read, validators_of
from gateway_plugins.sources.poll_memory import Memory

# Parsing this much takes about 2 ms, as long as an event loop should be kept from its clients.
_OFF_LOOP = 256 * 1024

# What clients are told; the error itself may name addresses.
_UNREACHED = {
    "upstream_unavailable": "the backend cannot be reached",
    "upstream_timeout": "the backend did not answer in time",
    "upstream_protocol": "the backend's answer is not usable: it is broken off, too big, or no HTTP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds, but for `jitter` (a fraction) and `tolerate` (failures that are not spoken of)."""

    interval: float
    jitter: float
    tolerate: int
    max_backoff: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all channels of a source poll with."""

    clock: Clock
    decode: Callable[[bytes], Json]
    max_body: int


class PolledChannel:
    """The `Watch` of one target."""

    def __init__(self, pace: Pace, tools: Tools, target: Target, publish: Publisher) -> None:
        self._pace = pace
        self._clock = tools.clock
        self._tools = tools
        self._target = target
        self._publish = publish
        self._headers = [*target.headers, (b"accept-encoding", b"identity")]
        self._memory = Memory()
        self._failures = 0
        self._known_ok = False
        self._first = True

    async def look(self) -> Again:
        return Again(await self._poll())

    async def _poll(self) -> float:
        """One look at the backend; returns the pause until the next."""
        clock, publish = self._clock, self._publish
        started = clock.monotonic()
        try:
            result = await self._look(started)
        except Refused:
            publish.polled("refused", clock.monotonic() - started)
            raise
        except Failed as failure:
            elapsed = clock.monotonic() - started
            publish.polled("error", elapsed)
            return self._failed(failure, elapsed)
        elapsed = clock.monotonic() - started
        publish.polled(result, elapsed)
        self._succeeded()
        if self._first:
            self._first = False
            # channels that began together, after a restart say, are spread over the interval
            return max(self._regular(elapsed) * self._target.phase, self._pace.interval / 10)
        return self._regular(elapsed)

    async def _look(self, now: float) -> PollResult:
        conditions = self._memory.conditions(now)
        target = self._target
        try:
            answer = await target.upstream.fetch(
                "GET", target.target, self._headers + conditions, max_body=self._tools.max_body
            )
        except UpstreamError as error:
            raise Failed(_UNREACHED.get(error.code, "the backend failed")) from None
        has_state, date = self._publish.has_state, self._clock.time()
        if not judge(answer, conditional=bool(conditions), has_state=has_state, now=date):
            self._memory.not_modified()
            return "changed" if await self._publish.confirm() else "not_modified"
        changed = await self._take(answer, now)
        return "changed" if changed else "unchanged"

    async def _take(self, answer: Answer, now: float) -> bool:
        """Publish the state that an answer brings; says whether it is another than before."""
        reading = await self._read(answer)
        changed = False
        if reading.fresh:
            try:
                changed = await self._publish.state(reading.document)
            except ValueError as error:
                raise Failed(f"the backend's answer does not fit the route: {error}", answer.status) from None
        self._memory.whole(reading.digest, validators_of(answer.headers), now, changed=changed)
        return changed or (not reading.fresh and await self._publish.confirm())

    async def _read(self, answer: Answer) -> Reading:
        known, tools = self._memory.digest, self._tools
        if is_heavy(answer, _OFF_LOOP):
            return await asyncio.to_thread(read, answer, known, tools.max_body, tools.decode)
        return read(answer, known, tools.max_body, tools.decode)

    def _succeeded(self) -> None:
        self._failures = 0
        if not self._known_ok:
            self._known_ok = True
            self._publish.status(Status(state="ok"))

    def _failed(self, failure: Failed, elapsed: float) -> float:
        self._failures += 1
        self._known_ok = False
        pause = self._after_failure(failure, elapsed)
        has_state = self._publish.has_state
        if self._failures > self._pace.tolerate or not has_state:
            self._publish.status(
                Status(
                    state="stale" if has_state else "error",
                    reason=failure.reason,
                    upstream_status=failure.status,
                    retry_in=pause,
                )
            )
        return pause

    def _after_failure(self, failure: Failed, elapsed: float) -> float:
        """Tolerated failures keep the pace; what the backend asks for goes first, within our own bounds.

        No pause is shorter than the interval, even where that is longer than the longest backoff.
        """
        pace = self._pace
        if failure.retry_after is not None:
            # a little later than asked for, so that not everyone who was told so comes back at once
            later = failure.retry_after * (1 + pace.jitter * self._clock.random())
            return max(pace.interval, min(later, pace.max_backoff))
        attempt = self._failures - pace.tolerate - 1
        if attempt < 0:
            return self._regular(elapsed)
        return backoff(attempt, pace.interval, pace.max_backoff, self._clock.random())

    def _regular(self, elapsed: float) -> float:
        return rest(jittered(self._pace.interval, self._pace.jitter, self._clock.random()), elapsed)
