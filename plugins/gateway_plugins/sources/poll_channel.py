"""The polls of one channel: ask, read, publish, decide when to ask again.

While the backend fails, subscribers keep what they have and are told; polls go on with growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from gateway.plugin import (
    Again,
    Answer,
    Headers,
    Json,
    PollResult,
    Publisher,
    Refused,
    Status,
    Target,
)
from gateway_plugins.sources.poll_answer import Failed, Validators, judge, validators_of
from gateway_plugins.sources.poll_fetcher import Fetcher, Tools, again, late, spent, waiting
from gateway_plugins.sources.poll_gather import End, Listing
from gateway_plugins.sources.poll_hints import NONE, Hints, hints_of
from gateway_plugins.sources.poll_memory import Memory
from gateway_plugins.sources.poll_pages_options import Pages
from gateway_plugins.sources.poll_since import TOP, Progress, position
from gateway_plugins.sources.poll_tempo import Pace, Tempo

# Looking through so many items for where they lead takes 2 ms as well.
_MANY = 1000


class Gathered(NamedTuple):
    """The state that one poll brought: its pages, unless they are the same bytes as before (then not `fresh`)."""

    digest: bytes
    documents: list[Json]
    fresh: bool
    end: End
    validators: Validators
    headers: tuple[tuple[bytes, bytes], ...]


class PolledChannel:
    """The `Watch` of one target."""

    def __init__(self, pace: Pace, tools: Tools, target: Target, publish: Publisher) -> None:
        self._clock = tools.clock
        self._tools = tools
        self._target = target
        self._publish = publish
        self._fetcher = Fetcher(tools, target)
        self._tempo = Tempo(pace, target.phase, target.wished, target.fallback)
        self._memory = Memory(tools.conditional.max_304, tools.conditional.ttl, trusted=tools.conditional.etag)
        self._progress = Progress(tools.since, tools.pages)
        self._asked = b"", False
        self._hints = NONE
        self._known_ok = False
        self._reread = False

    @property
    def interval(self) -> float:
        return self._tempo.soonest

    @property
    def failing(self) -> bool:
        """Whether the last poll brought no state."""
        return self._tempo.failures > 0

    def forget(self) -> None:
        """Others publish here, too: what an answer was compared with may be the state no more."""
        self._memory, self._known_ok = self._memory.anew(), False

    def reread(self) -> None:
        self._reread = not self._publish.tombstones

    async def look(self) -> Again:
        voices = self._target.voices
        if voices is None:
            return await self._poll()
        voice = voices.speaker(self._clock.time())
        if voice is None:
            return Again(self._tempo.interval)  # whose credentials could be used have all gone
        self._fetcher.speak(voice.headers)
        try:
            return await self._poll()
        except Refused as refused:
            if refused.status not in (401, 403) or len(voices) < 2:
                raise
            voices.refuse(voice, refused.status)
            return Again(0.0)  # that was about one subscriber: ask in another's name

    async def _poll(self) -> Again:
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
        hints = self._hints
        pause = self._tempo.succeeded(changed=result == "changed", took=took, hints=hints, random=clock.random())
        self._tell_good(hints, pause)
        return again(self._tools, self._tempo, pause, hints.exhausted, budget=True)

    def _tell_good(self, hints: Hints, pause: float) -> None:
        spoken = self._known_ok
        self._known_ok = True
        if hints.exhausted:
            self._publish.met("budget_spent", spent(pause))
            if not self._tempo.tolerated(pause):
                self._known_ok = False
                self._publish.status(waiting(pause))
                return
        if not spoken:
            self._publish.status(Status(state="ok"))

    async def _look(self, now: float) -> PollResult:
        changes = self._changes(now)
        conditions = self._memory.conditions(now)
        try:
            async with self._tools.deadline():
                gathered = await self._ask(conditions, changes=changes)
        except TimeoutError:
            raise late() from None
        except Failed as failure:
            if changes and self._tools.since is not None and failure.is_refusal and self._progress.lose():
                self._publish.met("since_refused")
            raise
        news = False
        if gathered is None:
            self._memory.not_modified()
        else:
            news = await self._take(gathered, now, changes=changes)
        if not changes:
            self._progress.read_whole(now)
            if gathered is None or not gathered.fresh:
                news = await self._publish.confirm()
        return "changed" if news else "not_modified" if gathered is None else "unchanged"

    def _changes(self, now: float) -> bool:
        """Decide what to ask for; says whether it is changes alone."""
        whole = self._target.target
        changes = None
        if self._reread:
            self._reread = False
            self._progress.expire()
        if self._publish.has_state and not self._publish.unsettled:
            changes = self._progress.changes(whole, now)
        asked = changes or self._progress.whole(whole), changes is not None
        if asked != self._asked:
            self._asked, self._memory = asked, self._memory.anew()
        return changes is not None

    async def _ask(self, conditions: Headers, *, changes: bool) -> Gathered | None:
        """The state, or what has changed of it, as the backend tells it; None when it is not modified."""
        answer = await self._fetcher.fetch(self._asked[0], conditions)
        tools, date = self._tools, self._clock.time()
        # with a position it may be that which is gone: 410 for one too old
        positioned = changes and tools.since is not None
        good = judge(
            answer,
            conditional=bool(conditions),
            has_state=self._publish.has_state,
            now=date,
            terminal=() if positioned else tools.terminal,
            rates=tools.rates,
        )
        self._hints = hints_of(answer.headers, date, tools.rates)
        if not good:
            return None
        if self._tools.pages is not None:
            return await self._gather(self._tools.pages, answer, changes=changes)
        reading = await self._fetcher.read(answer, self._memory.digest)
        return Gathered(
            digest=reading.digest,
            documents=[reading.document],
            fresh=reading.fresh,
            end="gap" if answer.status == 206 else "end",
            validators=validators_of(answer.headers),
            headers=answer.headers,
        )

    async def _gather(self, pages: Pages, answer: Answer, *, changes: bool) -> Gathered:
        """All pages of a list, of which `answer` is the first; of its changes, those that may hold some."""

        async def enough(answer: Answer, documents: list[Json]) -> bool:
            if not (changes and pages.stop_when_known):
                return False
            with _fitting():
                return await self._publish.known(documents[-1])

        listing = Listing(self._tools, self._fetcher, pages, self._publish)
        listed = await listing.gather(self._asked[0], answer, enough)
        return Gathered(
            digest=listed.digest,
            documents=listed.documents,
            fresh=listed.digest != self._memory.digest,
            end=listed.end,
            validators=validators_of(answer.headers) if listed.covered else Validators(),
            headers=answer.headers,
        )

    async def _take(self, gathered: Gathered, now: float, *, changes: bool) -> bool:
        """Publish what an answer brings; says whether that is news."""
        changed, publish, (document, *more) = False, self._publish, gathered.documents
        if gathered.fresh:
            with _fitting():
                if changes and self._tools.since is not None:
                    changed = await publish.changes(document, more=more)
                else:
                    changed = await publish.state(document, more=more, complete=gathered.end == "end")
                await self._move(gathered, changes=changes)
        if self._memory.whole(gathered.digest, gathered.validators, now, changed=changed):
            publish.met("validator_distrusted")
        return changed

    async def _move(self, gathered: Gathered, *, changes: bool) -> None:
        """What the answer told is published: go on from where it ends."""
        since = self._tools.since
        if since is None:  # what lies beyond a limit is out of reach for a whole read, too
            self._progress.move(None if gathered.end == "gap" else TOP, changes=False)
            return
        if gathered.end != "end":  # what it lacks would never be asked for again
            self._progress.lose()
            return
        items = [item for document in gathered.documents for item in self._publish.items(document)]
        find = partial(position, since, gathered.documents, items, gathered.headers, self._clock.time())
        found = await asyncio.to_thread(find) if len(items) > _MANY else find()
        if not self._progress.move(found, changes=changes):
            self._publish.met("since_missing")

    def _failed(self, failure: Failed, took: float) -> Again:
        self._known_ok = False
        wait, budget = failure.retry_after, failure.is_budget
        pause = self._tempo.failed(took=took, retry_after=wait, random=self._clock.random(), budget=budget)
        has_state = self._publish.has_state
        if not (self._tempo.tolerated(pause) and has_state):
            self._publish.status(
                Status(
                    state="stale" if has_state else "error",
                    code=failure.code,
                    reason=failure.reason,
                    upstream_status=failure.status,
                    retry_in=pause,
                )
            )
        return again(self._tools, self._tempo, pause, wait and pause, budget=budget)


@contextmanager
def _fitting() -> Iterator[None]:
    """Around what takes documents: one that is not what the route's `items` promise is a failure of the backend."""
    try:
        yield
    except ValueError as error:
        raise Failed(f"the backend's answer does not fit the route: {error}") from None
