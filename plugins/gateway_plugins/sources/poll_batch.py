"""The look at many resources with one request, whose answer each channel takes its own from.

Of what an answer does not hold nothing is concluded: that is looked at alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from gateway.plugin import Again, Answer, Headers, Json, Look, PollResult, Refused, Status, Unshared
from gateway_plugins.sources.poll_answer import Failed, Validators, judge, validators_of
from gateway_plugins.sources.poll_fetcher import OFF_LOOP, Fetcher, again, late, spent, waiting
from gateway_plugins.sources.poll_gather import Listing
from gateway_plugins.sources.poll_hints import NONE, hints_of
from gateway_plugins.sources.poll_ids import MOST, Found, asked
from gateway_plugins.sources.poll_memory import Memory
from gateway_plugins.sources.poll_tempo import Tempo

if TYPE_CHECKING:
    from gateway_plugins.sources.poll_crowd import Crowd
    from gateway_plugins.sources.poll_joined import JoinedChannel

# For so many seconds a first look waits for others that begin: clients that reconnect come in crowds.
_GATHER = 0.005

# A batch that was divided is put together with no other for so many seconds: the reason may still be there.
_REST = 300.0

# Answers that say nothing of what was asked for: whoever asks is unknown, asks too often, or nobody is there to answer.
_NOT_OF_IT = frozenset({401, 408, 429, 502, 503, 504})

# The codes of failures that may be about what was asked for.
_OF_IT = frozenset({"upstream_answer", "upstream_status", "upstream_protocol"})

# Documents of this many channels are compared before others get a turn of the loop.
_TURN = 20


class _Told(NamedTuple):
    """What an answer brought: resources by id; None when it is the one before."""

    digest: bytes
    found: dict[str, Json] | None
    validators: Validators
    result: PollResult


class BatchLook:
    """The `Watch` of a batch.

    `forming`: it has not been looked at yet; `proven`: it has been answered with a state.

    Until `held_until` the backend wants to be left alone by all that are in it.
    """

    def __init__(self, crowd: Crowd, phase: float) -> None:
        self.channels: dict[JoinedChannel, None] = {}
        self.look_of: Look | None = None
        self.phase = phase
        self.size = 0
        self.forming = True
        self.proven = False
        self.held_until = 0.0
        self._crowd = crowd
        self._clock = crowd.tools.clock
        self._tempo = Tempo(crowd.pace, phase, self._wished, self._fallback)
        conditional = crowd.tools.conditional
        self._memory = Memory(conditional.max_304, conditional.ttl, trusted=conditional.etag)
        self._hints = NONE
        self._asked = b""
        self._asking = False
        self._rests_until = 0.0

    def __repr__(self) -> str:
        return f"<BatchLook of {len(self.channels)} {self._tempo!r}>"

    @property
    def settled(self) -> bool:
        """Whether it may be put together with others."""
        return self.proven and not self._asking and self._clock.monotonic() >= self._rests_until

    @property
    def interval(self) -> float:
        """As of `WishedWatch`."""
        return self._tempo.soonest

    def _wished(self) -> float:
        """What is wished for one of them all get."""
        return min((channel.target.wished() for channel in self.channels), default=inf)

    def _fallback(self) -> float:
        """The operator's, which is the route's."""
        return min((channel.target.fallback() for channel in self.channels), default=inf)

    def fits(self, count: int, size: int) -> bool:
        """Whether there is room for so many, and so many bytes in the URL."""
        batch, base = self._crowd.batch, self._crowd.base
        room = MOST - len(base) - 3 * len(batch.param) - 2
        return len(self.channels) + count <= batch.max and self.size + size <= room

    def add(self, channel: JoinedChannel) -> None:
        self.channels[channel] = None
        self.size += channel.size
        channel.batch = self

    def remove(self, channel: JoinedChannel) -> None:
        del self.channels[channel]
        self.size -= channel.size
        channel.batch = None

    def divided(self, other: BatchLook) -> None:
        """Be a half of another, which has been answered before."""
        self.forming, self.proven = False, True
        self._tempo.failures = other._tempo.failures
        self._rests_until = other._rests_until = self._clock.monotonic() + _REST

    async def look(self) -> Again:
        if self.forming:
            await self._clock.sleep(_GATHER)
            self.forming = False
        self._crowd.absorb(self)
        self._asking = True
        try:
            return await self._poll()
        except Exception:
            self._scatter()  # a bug, of which each of them is better off without
            raise
        finally:
            self._asking = False

    async def _poll(self) -> Again:
        clock, started = self._clock, self._clock.monotonic()
        channels = [(channel, channel.looks) for channel in self.channels]
        fetcher, credentials = self._speaker()
        if fetcher is None:
            return Again(self._tempo.interval)  # whose credentials could be used have all gone
        publish = channels[0][0].publish
        try:
            told = await self._ask(fetcher)
            self._crowd.answered()
            self.proven = True
            result = await self._tell(told, channels)
        except Refused as refused:
            publish.polled("refused", clock.monotonic() - started)
            return self._refused(refused, credentials)
        except Unshared as unshared:
            return self._end(unshared)
        except Failed as failure:
            took = clock.monotonic() - started
            publish.polled("error", took)
            return self._failed(failure, took)
        took, hints = clock.monotonic() - started, self._hints
        publish.polled(result, took)
        pause = self._tempo.succeeded(changed=result == "changed", took=took, hints=hints, random=clock.random())
        if hints.exhausted:
            publish.met("budget_spent", spent(pause))
            if not self._tempo.tolerated(pause):
                for channel in self.channels:
                    channel.tell(waiting(pause))
        return self._again(pause, hints.exhausted, budget=True)

    def _speaker(self) -> tuple[Fetcher | None, Headers]:
        """In whose name to ask: that of all, or of one who lends it; None when nobody does any more."""
        now = self._clock.time()
        for channel in self.channels:
            fetcher, voices = Fetcher(self._crowd.tools, channel.target), channel.target.voices
            if voices is None:
                return fetcher, []
            voice = voices.speaker(now)
            if voice is not None:
                fetcher.speak(voice.headers)
                return fetcher, voice.headers
        return None, []

    async def _ask(self, fetcher: Fetcher) -> _Told:
        """What the backend tells; raises Failed, Refused where that is about whoever asks, or Unshared."""
        crowd, wanted = self._crowd, {channel.id: channel.written for channel in self.channels}
        target = asked(crowd.batch, crowd.base, wanted.values())
        if target != self._asked:
            self._asked, self._memory = target, self._memory.anew()
        known = self._memory.digest
        if any(channel.taken != known for channel in self.channels):
            known = None
        conditions = self._memory.conditions(self._clock.monotonic()) if known is not None else []
        next(iter(self.channels)).publish.batched(len(wanted))
        try:
            async with crowd.tools.deadline():
                answer = await fetcher.fetch(target, conditions)
                now = self._clock.time()
                rates = crowd.tools.rates
                good = judge(answer, conditional=bool(conditions), has_state=True, now=now, rates=rates)
                self._hints = hints_of(answer.headers, now, rates)
                if not good:
                    return _Told(known or b"", None, Validators(), "not_modified")
                return await self._read(fetcher, target, answer, known, wanted)
        except TimeoutError:
            raise late() from None
        except Refused as refused:
            if refused.status != 401:  # it may be about one of the resources
                raise Failed(f"the backend answered {refused.status}", refused.status, code="upstream_status") from None
            raise

    async def _read(
        self, fetcher: Fetcher, target: bytes, answer: Answer, known: bytes | None, wanted: Collection[str]
    ) -> _Told:
        """What a good answer tells, and the further pages of its list; `known` is the digest of the one before."""
        pages, validators = self._crowd.batch.paged, validators_of(answer.headers)
        found = Found(self._crowd.batch, wanted)

        async def take(answer: Answer, documents: list[Json]) -> bool:
            read = partial(found.read, documents)
            try:
                return await asyncio.to_thread(read) if len(answer.body) > OFF_LOOP else read()
            except ValueError as error:
                raise Failed(f"the backend's answer does not fit the route: {error}", answer.status) from None

        if pages is None:
            reading = await fetcher.read(answer, known)
            digest, documents, fresh = reading.digest, [reading.document], reading.fresh
        else:
            publish = next(iter(self.channels)).publish
            listed = await Listing(self._crowd.tools, fetcher, pages, publish).gather(target, answer, take)
            digest, documents, fresh = listed.digest, listed.documents, listed.digest != known
            validators = validators if listed.covered else Validators()
        if not fresh:
            return _Told(digest, None, validators, "unchanged")
        await take(answer, documents)
        return _Told(digest, found.resources, validators, "unchanged")

    async def _tell(self, told: _Told, channels: Sequence[tuple[JoinedChannel, int]]) -> PollResult:
        """Give each channel its own; how the look counts."""
        news = False
        lacking: list[JoinedChannel] = []
        for number, (channel, looks) in enumerate(channels, 1):
            if channel.batch is not self or channel.looking or channel.looks != looks:
                continue  # it has left, or has looked for itself since
            try:
                if told.found is None or channel.taken == told.digest:
                    news |= await channel.confirm(told.result)
                elif channel.id in told.found:
                    news |= await channel.take(told.found[channel.id], told.digest)
                else:
                    lacking.append(channel)
            except ValueError:  # its own answer will show it, and tell
                lacking.append(channel)
            if number % _TURN == 0:
                await asyncio.sleep(0)
        if told.result == "not_modified":
            self._memory.not_modified()
        else:
            other = told.digest != self._memory.digest
            lied = self._memory.whole(told.digest, told.validators, self._clock.monotonic(), changed=news and other)
            if lied:
                channels[0][0].publish.met("validator_distrusted")
        for channel in lacking:
            channel.publish.met("batch_lacking")
        self._leave_alone(lacking)
        return "changed" if news else told.result

    def _refused(self, refused: Refused, credentials: Headers) -> Again:
        """Whoever asked is refused: those who share with others ask in another's name, the others are sent away."""
        now = self._clock.time()
        for channel in tuple(self.channels):
            voices = channel.target.voices
            voice = voices.speaker(now) if voices is not None else None
            while voices is not None and voice is not None and voice.headers == credentials:
                voices.refuse(voice, refused.status)
                voice = voices.speaker(now)
            if voice is None:
                self._crowd.part(channel)
                channel.end(refused)
        return Again(0.0)

    def _end(self, unshared: Unshared) -> Again:
        for channel in tuple(self.channels):
            self._crowd.part(channel)
            channel.end(unshared)
        return Again(0.0)

    def _failed(self, failure: Failed, took: float) -> Again:
        """Where the fault may be a resource's, the batch is divided until it is known which one's."""
        of_it = failure.code in _OF_IT and failure.status not in _NOT_OF_IT and not failure.is_budget
        if of_it:
            next(iter(self.channels)).publish.met("batch_refused", failure.reason)
        if of_it and (failure.is_refusal or not self.proven):
            if not self._crowd.divide(self, None):
                self._scatter()
            return Again(0.0)
        wait, budget = failure.retry_after, failure.is_budget
        pause = self._tempo.failed(took=took, retry_after=wait, random=self._clock.random(), budget=budget)
        for channel in self.channels:
            channel.fail(self._told(failure, pause, has_state=channel.publish.has_state))
        if of_it and self._tempo.failing and not self._crowd.divide(self, pause) and len(self.channels) == 1:
            self._scatter()
        return self._again(pause, wait and pause, budget=budget)

    def _told(self, failure: Failed, pause: float, *, has_state: bool) -> Status | None:
        """What a channel's subscribers are told of it."""
        if self._tempo.tolerated(pause) and has_state:
            return None
        return Status(
            state="stale" if has_state else "error",
            code=failure.code,
            reason=failure.reason,
            upstream_status=failure.status,
            retry_in=pause,
        )

    def _again(self, pause: float, wanted: float | None, *, budget: bool) -> Again:
        next_look = again(self._crowd.tools, self._tempo, pause, wanted, budget=budget)
        self.held_until = self._clock.monotonic() + next_look.least
        return next_look

    def _scatter(self) -> None:
        self._leave_alone(tuple(self.channels))

    def _leave_alone(self, channels: Iterable[JoinedChannel]) -> None:
        for channel in channels:
            self._crowd.part(channel)
            channel.go_alone()
