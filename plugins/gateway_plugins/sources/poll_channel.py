"""The polls of one channel: ask, read, publish, decide when to ask again.

While the backend fails, subscribers keep what they have and are told; polls go on with growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import NamedTuple

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
    Unshared,
    UpstreamError,
)
from gateway_plugins.sources.poll_answer import Failed, Reading, Validators, is_heavy, judge, read, validators_of
from gateway_plugins.sources.poll_formats import Format
from gateway_plugins.sources.poll_hints import NONE, hints_of, unshared
from gateway_plugins.sources.poll_memory import Memory
from gateway_plugins.sources.poll_oauth2 import Tokens
from gateway_plugins.sources.poll_options import Conditional, Pages, Since
from gateway_plugins.sources.poll_pages import Elsewhere, next_page
from gateway_plugins.sources.poll_since import Progress, position
from gateway_plugins.sources.poll_tempo import Pace, Tempo

# Parsing this much takes about 2 ms, as long as an event loop should be kept from its clients.
_OFF_LOOP = 256 * 1024

# Looking through so many items for where they lead takes 2 ms as well.
_MANY = 1000

_PLAIN = (b"accept-encoding", b"identity")

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
    the backend says of its limits holds for all channels; `tokens` are where they come from if they change.
    """

    clock: Clock
    format: Format
    pages: Pages | None
    since: Since | None
    shared: Shared | None
    max_body: int
    conditional: Conditional
    deadline: Callable[[], AbstractAsyncContextManager[object]]
    own: bool
    method: str = "GET"
    body: bytes = b""
    tokens: Tokens | None = None


class Shared(NamedTuple):
    """Clients with different credentials share, by claims: `part` ends that for the route.

    `forwarded` are the headers in which they may differ.
    """

    by: list[str]
    forwarded: frozenset[bytes]
    part: Callable[[], None]


class Gathered(NamedTuple):
    """The state that one poll brought: its pages, unless they are the same bytes as before (then not `fresh`)."""

    digest: bytes
    documents: list[Json]
    fresh: bool
    complete: bool
    validators: Validators
    headers: tuple[tuple[bytes, bytes], ...]


class PolledChannel:
    """The `Watch` of one target."""

    def __init__(self, pace: Pace, tools: Tools, target: Target, publish: Publisher) -> None:
        self._clock = tools.clock
        self._tools = tools
        self._target = target
        self._publish = publish
        self._headers = [*target.headers, _PLAIN]
        self._tempo = Tempo(pace, target.phase)
        self._memory = Memory(tools.conditional.max_304, tools.conditional.ttl, trusted=tools.conditional.etag)
        self._progress = Progress(tools.since)
        self._asked = b""
        self._hints = NONE
        self._known_ok = False

    async def look(self) -> Again:
        voices = self._target.voices
        if voices is None:
            return await self._poll()
        voice = voices.speaker(self._clock.time())
        if voice is None:
            return Again(self._tempo.interval)  # whose credentials could be used have all gone
        self._headers = [*self._target.headers, *voice.headers, _PLAIN]
        try:
            return await self._poll()
        except Refused as refused:
            voices.leave(voice)
            if refused.status not in (401, 403) or not len(voices):
                raise
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
        if not self._known_ok:
            self._known_ok = True
            publish.status(Status(state="ok"))
        hints = self._hints
        pause = self._tempo.succeeded(changed=result == "changed", took=took, hints=hints, random=clock.random())
        return self._again(pause, hints.exhausted)

    async def _look(self, now: float) -> PollResult:
        changes = self._changes(now)
        conditions = self._memory.conditions(now)
        try:
            async with self._tools.deadline():
                gathered = await self._ask(conditions)
        except TimeoutError:
            raise Failed(_UNREACHED["upstream_timeout"], code="upstream_timeout") from None
        except Failed as failure:
            if changes and failure.is_refusal and self._progress.lose():
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
        if self._publish.has_state and not self._publish.unsettled:
            changes = self._progress.changes(whole, now)
        asked = changes or self._progress.whole(whole)
        if asked != self._asked:
            self._asked, self._memory = asked, self._memory.anew()
        return changes is not None

    async def _ask(self, conditions: Headers) -> Gathered | None:
        """The state, or what has changed of it, as the backend tells it; None when it is not modified."""
        answer = await self._fetch(self._asked, conditions)
        has_state, date = self._publish.has_state, self._clock.time()
        good = judge(answer, conditional=bool(conditions), has_state=has_state, now=date)
        self._hints = hints_of(answer.headers, date)
        if not good:
            return None
        if self._tools.pages is not None:
            return await self._gather(self._tools.pages, answer)
        reading = await self._read(answer, self._memory.digest)
        return Gathered(
            digest=reading.digest,
            documents=[reading.document],
            fresh=reading.fresh,
            complete=answer.status != 206,
            validators=validators_of(answer.headers),
            headers=answer.headers,
        )

    async def _gather(self, pages: Pages, answer: Answer) -> Gathered:
        """All pages of a list, of which `answer` is the first."""
        first, target, digest = answer, self._asked, sha256()
        asked, documents, size = {target}, list[Json](), 0
        while True:
            reading = await self._read(answer, None)
            digest.update(reading.digest)
            documents.append(reading.document)
            size += len(answer.body)
            complete = answer.status != 206
            try:
                following = next_page(pages, target, answer, reading.document, len(documents))
            except Elsewhere:
                following, complete = None, False
                self._publish.met("page_elsewhere")
            if following is None or not complete:
                break
            if following in asked or len(documents) >= pages.max or size >= self._tools.max_body:
                complete = False
                self._publish.met("pages_cut_off")
                break
            asked.add(following)
            answer = await self._fetch(following, [])
            if answer.status not in (200, 206):
                reason = f"the backend answered {answer.status} for a page of the list"
                raise Failed(reason, answer.status, code="upstream_status")
        known = pages.etag_of_all or len(documents) == 1
        return Gathered(
            digest=digest.digest(),
            documents=documents,
            fresh=digest.digest() != self._memory.digest,
            complete=complete,
            validators=validators_of(first.headers) if known and complete else Validators(),
            headers=first.headers,
        )

    async def _fetch(self, target: bytes, conditions: Headers) -> Answer:
        headers, tokens = self._headers + conditions, self._tools.tokens
        if tokens is None:
            answer = await self._request(target, headers)
        else:
            line = await tokens.line()
            answer = await self._request(target, [*headers, line])
            if answer.status == 401:  # it may have been taken back before its time
                tokens.refused(line)
                answer = await self._request(target, [*headers, await tokens.line()])
        if self._target.voices is not None and self._tools.shared is not None:
            self._check(answer, self._tools.shared)
        return answer

    async def _request(self, target: bytes, headers: Headers) -> Answer:
        tools = self._tools
        try:
            return await self._target.upstream.fetch(
                tools.method, target, headers, max_body=tools.max_body, body=tools.body
            )
        except UpstreamError as error:
            raise Failed(_UNREACHED.get(error.code, "the backend failed"), code=error.code) from None

    def _check(self, answer: Answer, shared: Shared) -> None:
        """Raise Unshared for a good answer that says it is not for everyone who shares it."""
        why = unshared(answer.headers, shared.forwarded) if answer.status in (200, 206, 304) else ""
        if why:
            shared.part()
            raise Unshared(
                f"the backend marks an answer with {why!r}, so answers are no longer shared by {', '.join(shared.by)}; "
                "set share_private if they are the same for all of them, else remove share_by"
            )

    async def _take(self, gathered: Gathered, now: float, *, changes: bool) -> bool:
        """Publish what an answer brings; says whether that is news."""
        changed, publish, (document, *more) = False, self._publish, gathered.documents
        if gathered.fresh:
            try:
                if changes:
                    changed = await publish.changes(document, more=more)
                else:
                    changed = await publish.state(document, more=more, complete=gathered.complete)
                await self._move(gathered, changes=changes)
            except ValueError as error:
                raise Failed(f"the backend's answer does not fit the route: {error}") from None
        if self._memory.whole(gathered.digest, gathered.validators, now, changed=changed):
            publish.met("validator_distrusted")
        return changed

    async def _move(self, gathered: Gathered, *, changes: bool) -> None:
        """What the answer told is published: go on from where it ends."""
        since = self._tools.since
        if since is None:
            return
        if not gathered.complete:  # what it lacks would never be asked for again
            self._progress.lose()
            return
        items = [item for document in gathered.documents for item in self._publish.items(document)]
        find = partial(position, since, gathered.documents, items, gathered.headers, self._clock.time())
        found = await asyncio.to_thread(find) if len(items) > _MANY else find()
        if not self._progress.move(found, changes=changes):
            self._publish.met("since_missing")

    async def _read(self, answer: Answer, known: bytes | None) -> Reading:
        tools = self._tools
        if is_heavy(answer, _OFF_LOOP):
            return await asyncio.to_thread(read, answer, known, tools.max_body, tools.format)
        return read(answer, known, tools.max_body, tools.format)

    def _failed(self, failure: Failed, took: float) -> Again:
        self._known_ok = False
        pause = self._tempo.failed(took=took, retry_after=failure.retry_after, random=self._clock.random())
        has_state = self._publish.has_state
        if not (self._tempo.tolerated and has_state):
            self._publish.status(
                Status(
                    state="stale" if has_state else "error",
                    code=failure.code,
                    reason=failure.reason,
                    upstream_status=failure.status,
                    retry_in=pause,
                )
            )
        return self._again(pause, failure.retry_after and pause)

    def _again(self, pause: float, wanted: float | None) -> Again:
        """What the backend wants is for all its polls, but where it is about one client's credentials."""
        least = min(wanted or 0.0, self._tempo.longest_pause)
        return Again(pause, hold=least if self._tools.own else 0.0, least=least)
