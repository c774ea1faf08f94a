"""The polls of one channel: ask, read, publish, decide when to ask again.

While the backend fails, subscribers keep what they have and are told; polls go on with growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from gateway.plugin import (
    Again,
    Answer,
    Clock,
    Headers,
    Json,
    PollResult,
    Publisher,
    Refused,
    Status,
    Target,
    UpstreamError,
)
from gateway_plugins.sources.poll_answer import Failed, Reading, is_heavy, judge, read, validators_of
from gateway_plugins.sources.poll_hints import NONE, hints_of
from gateway_plugins.sources.poll_memory import Memory
from gateway_plugins.sources.poll_options import Conditional
from gateway_plugins.sources.poll_tempo import Pace, Tempo

# Parsing this much takes about 2 ms, as long as an event loop should be kept from its clients.
_OFF_LOOP = 256 * 1024

# What clients are told; the error itself may name addresses.
_UNREACHED = {
    "upstream_unavailable": "the backend cannot be reached",
    "upstream_timeout": "the backend did not answer in time",
    "upstream_protocol": "the backend's answer is not usable: it is broken off, too big, or no HTTP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all channels of a source poll with.

    `deadline` makes what bounds one poll in time; `own` says that the credentials are the gateway's, so that what
    the backend says of its limits holds for all channels.
    """

    clock: Clock
    decode: Callable[[bytes], Json]
    max_body: int
    conditional: Conditional
    deadline: Callable[[], AbstractAsyncContextManager[object]]
    own: bool


class PolledChannel:
    """The `Watch` of one target."""

    def __init__(self, pace: Pace, tools: Tools, target: Target, publish: Publisher) -> None:
        self._clock = tools.clock
        self._tools = tools
        self._target = target
        self._publish = publish
        self._headers = [*target.headers, (b"accept-encoding", b"identity")]
        self._tempo = Tempo(pace, target.phase)
        self._memory = Memory(tools.conditional.max_304, tools.conditional.ttl, trusted=tools.conditional.etag)
        self._hints = NONE
        self._known_ok = False

    async def look(self) -> Again:
        clock, publish = self._clock, self._publish
        started = clock.monotonic()
        try:
            result = await self._look(started)
        except Refused:
            publish.polled("refused", clock.monotonic() - started)
            raise
        except Failed as failure:
            took = clock.monotonic() - started
            publish.polled("error", took)
            return self._failed(failure, took)
        took = clock.monotonic() - started
        publish.polled(result, took)
        if not self._known_ok:
            self._known_ok = True
            publish.status(Status(state="ok"))
        hints = self._hints
        pause = self._tempo.succeeded(changed=result == "changed", took=took, hints=hints, random=clock.random())
        return Again(pause, self._hold(hints.exhausted))

    async def _look(self, now: float) -> PollResult:
        conditions = self._memory.conditions(now)
        answer = await self._fetch(conditions)
        has_state, date = self._publish.has_state, self._clock.time()
        if not judge(answer, conditional=bool(conditions), has_state=has_state, now=date):
            self._hints = hints_of(answer.headers, date)
            self._memory.not_modified()
            return "changed" if await self._publish.confirm() else "not_modified"
        self._hints = hints_of(answer.headers, date)
        changed = await self._take(answer, now)
        return "changed" if changed else "unchanged"

    async def _fetch(self, conditions: Headers) -> Answer:
        target, headers = self._target, self._headers + conditions
        try:
            async with self._tools.deadline():
                return await target.upstream.fetch("GET", target.target, headers, max_body=self._tools.max_body)
        except TimeoutError:
            raise Failed(_UNREACHED["upstream_timeout"]) from None
        except UpstreamError as error:
            raise Failed(_UNREACHED.get(error.code, "the backend failed")) from None

    async def _take(self, answer: Answer, now: float) -> bool:
        """Publish the state that an answer brings; says whether it is another than before."""
        reading = await self._read(answer)
        changed = False
        if reading.fresh:
            try:
                changed = await self._publish.state(reading.document)
            except ValueError as error:
                raise Failed(f"the backend's answer does not fit the route: {error}", answer.status) from None
        if self._memory.whole(reading.digest, validators_of(answer.headers), now, changed=changed):
            self._publish.met("validator_distrusted")
        return changed or (not reading.fresh and await self._publish.confirm())

    async def _read(self, answer: Answer) -> Reading:
        known, tools = self._memory.digest, self._tools
        if is_heavy(answer, _OFF_LOOP):
            return await asyncio.to_thread(read, answer, known, tools.max_body, tools.decode)
        return read(answer, known, tools.max_body, tools.decode)

    def _failed(self, failure: Failed, took: float) -> Again:
        self._known_ok = False
        pause = self._tempo.failed(took=took, retry_after=failure.retry_after, random=self._clock.random())
        has_state = self._publish.has_state
        if not (self._tempo.tolerated and has_state):
            self._publish.status(
                Status(
                    state="stale" if has_state else "error",
                    reason=failure.reason,
                    upstream_status=failure.status,
                    retry_in=pause,
                )
            )
        return Again(pause, self._hold(failure.retry_after and pause))

    def _hold(self, seconds: float | None) -> float:
        """For how long the backend is left alone by all: a limit of one client's credentials is not everybody's."""
        return min(seconds or 0.0, self._tempo.longest_pause) if self._tools.own else 0.0
