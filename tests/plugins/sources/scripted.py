"""A poll source on a scripted backend, a publisher that remembers, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from math import inf
from typing import TypeAlias

from gateway.errors import UpstreamError
from gateway.plugin import (
    Answer,
    Codec,
    Context,
    Headers,
    Incident,
    Json,
    PollResult,
    Status,
    Target,
    Upstream,
    Watch,
    WatchingSource,
)
from gateway.testing.clock import ManualClock
from gateway_plugins.codecs.json import JsonOptions
from gateway_plugins.codecs.json import plugin as json_plugin
from gateway_plugins.sources.poll import plugin
from gateway_plugins.sources.poll_options import PollOptions

Reply: TypeAlias = "Answer | UpstreamError | Callable[[Headers], Answer]"


def ok(body: bytes, **headers: str) -> Answer:
    return answer(200, body, content_type="application/json", **headers)


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    pairs = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Answer(status=status, headers=pairs, body=body)


NOT_MODIFIED = answer(304)


@dataclass
class Backend:
    """Answers by a script; its last line is repeated."""

    clock: ManualClock
    script: list[Reply]
    takes: float = 0.0
    asked: list[tuple[float, bytes, Headers]] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    at_once: int = 0
    name: str = "shop"

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        assert (max_body, self.at_once) == (5 * 1024**2, 0)
        self.sent.append((method, body))
        self.asked.append((self.clock.monotonic(), target, headers))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.at_once += 1
        try:
            await asyncio.sleep(0)
            self.clock.advance(self.takes)
        finally:
            self.at_once -= 1
        if isinstance(reply, UpstreamError):
            raise reply
        return reply if isinstance(reply, Answer) else reply(headers)

    def conditions(self) -> list[bytes | None]:
        """The If-None-Match of each poll."""
        return [dict(headers).get(b"if-none-match") for _, _, headers in self.asked]

    def times(self) -> list[float]:
        return [round(time, 6) for time, _, _ in self.asked]


@dataclass
class Channel:
    """A Publisher that holds what it was told."""

    documents: list[Json] = field(default_factory=list)
    told: list[Status] = field(default_factory=list)
    polls: list[tuple[PollResult, float]] = field(default_factory=list)
    published: list[tuple[Json, list[Json], bool]] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    has_state: bool = False
    refuses: str = ""
    confirmed: int = 0
    confirming: bool = False
    unsettled: bool = False
    tombstones: bool = False
    changed: list[Json] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    async def confirm(self) -> bool:
        self.confirmed += 1
        return self.confirming

    async def state(self, document: Json, *, more: Sequence[Json] = (), complete: bool = True) -> bool:
        if self.refuses:
            raise ValueError(self.refuses)
        self.published.append((document, list(more), complete))
        changed = not self.documents or self.documents[-1] != document
        self.has_state = True
        self.documents.append(document)
        return changed

    def items(self, document: Json) -> list[Json]:
        listed = document["data"] if isinstance(document, dict) else document
        assert isinstance(listed, list)
        return listed

    async def known(self, document: Json) -> bool:
        if self.refuses:
            raise ValueError(self.refuses)
        last = self.documents[-1]
        return bool(self.items(document)) and all(item in self.items(last) for item in self.items(document))

    async def changes(self, document: Json, *, more: Sequence[Json] = ()) -> bool:
        if self.refuses:
            raise ValueError(self.refuses)
        self.changed.append([item for page in (document, *more) for item in self.items(page)])
        return bool(self.changed[-1])

    def status(self, status: Status) -> None:
        if status.state != (self.told[-1].state if self.told else "ok"):
            self.told.append(status)

    def met(self, incident: Incident, why: str = "") -> None:
        self.incidents.append(incident)

    def polled(self, result: PollResult, seconds: float | None) -> None:
        if seconds is not None:
            self.polls.append((result, round(seconds, 6)))

    def batched(self, count: int) -> None:
        self.batches.append(count)

    @property
    def results(self) -> list[PollResult]:
        return [result for result, _ in self.polls]


@dataclass
class Run:
    """A source that follows one channel."""

    clock: ManualClock
    backend: Backend
    channel: Channel
    options: PollOptions
    codec: Codec
    phase: float = 1.0
    upstream_at: Callable[[str], Upstream] | None = None
    wishes: list[float] = field(default_factory=list)

    def watch(self) -> Watch:
        context = Context(clock=self.clock, codecs={"json": self.codec})
        if self.upstream_at is not None:
            context = replace(context, upstream_at=self.upstream_at)
        source = plugin.make(self.options, context)
        target = Target(
            target=b"/api?a=1",
            headers=[(b"authorization", b"t")],
            upstream=self.backend,
            phase=self.phase,
            wished=lambda: min(self.wishes, default=inf),
        )
        assert isinstance(source, WatchingSource)
        return source.watch(target, self.channel)

    async def follow(self) -> None:
        """Look again and again, as the runtime does."""
        watch = self.watch()
        while True:
            await self.clock.sleep((await watch.look()).pause)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.follow())
            await self.clock.asleep()
            yield
            task.cancel()

    async def polls(self, number: int) -> None:
        """Let so many polls happen, the first one included."""
        async with self.started():
            for _ in range(number - 1):
                await self.next()

    async def next(self) -> None:
        self.clock.advance(self.clock.slept[-1])
        await self.clock.asleep()


def run(*script: Reply, takes: float = 0.0, randoms: tuple[float, ...] = (), **options: object) -> Run:
    clock = ManualClock(randoms=randoms)
    settings = {"interval": "10s", **options}
    codec = json_plugin.make(JsonOptions(), Context(clock=clock))
    return Run(clock, Backend(clock, list(script), takes), Channel(), PollOptions.model_validate(settings), codec)
