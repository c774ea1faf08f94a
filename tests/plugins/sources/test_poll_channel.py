"""The whole source on a scripted backend and a clock that the test moves."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from gateway_plugins.codecs.json import JsonOptions
from gateway_plugins.codecs.json import plugin as json_plugin
from gateway_plugins.sources.poll import PollOptions, plugin

from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway.plugin import Answer, Context, Headers, Json, PollResult, Refused, Status, Target
from gateway.testing.clock import ManualClock

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
    at_once: int = 0
    name: str = "shop"

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int) -> Answer:
        assert (method, max_body, self.at_once) == ("GET", 5 * 1024**2, 0)
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
    has_state: bool = False
    refuses: str = ""

    async def state(self, document: Json) -> bool:
        if self.refuses:
            raise ValueError(self.refuses)
        changed = not self.documents or self.documents[-1] != document
        self.has_state = True
        self.documents.append(document)
        return changed

    def status(self, status: Status) -> None:
        if status.state != (self.told[-1].state if self.told else "ok"):
            self.told.append(status)

    def polled(self, result: PollResult, seconds: float) -> None:
        self.polls.append((result, round(seconds, 6)))

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

    async def follow(self) -> None:
        codec = json_plugin.make(JsonOptions(), Context(clock=self.clock))
        source = plugin.make(self.options, Context(clock=self.clock, codecs={"json": codec}))
        target = Target(target=b"/api?a=1", headers=[(b"authorization", b"t")], upstream=self.backend)
        await source.follow(target, self.channel)

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
    return Run(clock, Backend(clock, list(script), takes), Channel(), PollOptions.model_validate(settings))


async def test_the_first_poll_is_at_once_and_the_next_after_the_interval() -> None:
    this = run(ok(b"[1]"), ok(b"[2]"))
    await this.polls(3)
    assert this.backend.times() == [0, 10, 20]
    assert this.channel.documents == [[1], [2]]
    assert this.channel.results == ["changed", "changed", "unchanged"]
    assert this.channel.told == []


async def test_what_is_asked() -> None:
    this = run(ok(b"[1]"))
    await this.polls(1)
    ((_, target, headers),) = this.backend.asked
    assert target == b"/api?a=1"
    assert headers == [(b"authorization", b"t"), (b"accept-encoding", b"identity")]


async def test_conditions_are_the_validators_exactly() -> None:
    modified = "Tue, 14 Nov 2023 22:13:20 GMT"
    this = run(ok(b"[1]", ETag='W/"a"', Last_Modified=modified), NOT_MODIFIED)
    await this.polls(3)
    assert this.channel.results == ["changed", "not_modified", "not_modified"]
    for _, _, headers in this.backend.asked[1:]:
        assert headers[-2:] == [(b"if-none-match", b'W/"a"'), (b"if-modified-since", modified.encode())]
    assert this.channel.documents == [[1]]


async def test_validators_follow_the_state() -> None:
    this = run(ok(b"[1]", etag='"1"'), ok(b"[2]", etag='"2"'), ok(b"[3]"), ok(b"[3]"))
    await this.polls(4)
    assert this.backend.conditions() == [None, b'"1"', b'"2"', None]


async def test_a_body_that_is_the_same_is_not_published_again() -> None:
    this = run(ok(b'{"a":1}'), ok(b'{"a":1}'), ok(b'{ "a":1}'))
    await this.polls(3)
    assert this.channel.documents == [{"a": 1}, {"a": 1}]
    assert this.channel.results == ["changed", "unchanged", "unchanged"]


async def test_a_state_from_an_earlier_run_is_compared_not_trusted() -> None:
    this = run(ok(b"[1]"))
    this.channel.documents, this.channel.has_state = [[1]], True
    await this.polls(1)
    assert this.channel.results == ["unchanged"]


async def test_a_validator_that_never_changes_is_found_out() -> None:
    stuck = '"stuck"'
    this = run(ok(b"[1]", etag=stuck), *[NOT_MODIFIED] * 20, ok(b"[2]", etag=stuck), ok(b"[3]", etag=stuck))
    await this.polls(24)
    assert this.backend.conditions() == [None, *[b'"stuck"'] * 20, None, None, None]
    assert this.channel.documents == [[1], [2], [3]]


async def test_a_good_validator_is_checked_now_and_then() -> None:
    this = run(ok(b"[1]", etag='"1"'), *[NOT_MODIFIED] * 20, ok(b"[1]", etag='"1"'), NOT_MODIFIED)
    await this.polls(24)
    assert this.backend.conditions()[20:] == [b'"1"', None, b'"1"', b'"1"']
    assert this.channel.results[21] == "unchanged"


async def test_no_validator_is_trusted_for_more_than_ten_minutes() -> None:
    this = run(ok(b"[1]", etag='"1"'), NOT_MODIFIED, NOT_MODIFIED, ok(b"[1]"), interval="5m", jitter="0%")
    await this.polls(3)
    assert this.backend.conditions() == [None, b'"1"', None]


async def test_304_for_ever_without_being_asked_is_a_failure() -> None:
    this = run(NOT_MODIFIED)
    await this.polls(3)
    assert this.channel.results == ["error"] * 3
    assert [(status.state, status.upstream_status) for status in this.channel.told] == [("error", 304)]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("with_state", [True, False])
async def test_refusals_end_the_channel(status: int, with_state: bool) -> None:
    this = run(answer(status, b"SECRET"))
    this.channel.has_state = with_state
    with pytest.raises(Refused) as caught:
        await this.follow()
    assert caught.value.status == status
    assert this.channel.results == ["refused"]
    assert this.channel.told == []


@pytest.mark.parametrize("status", [404, 410])
async def test_what_was_never_there_is_refused_but_what_is_missed_is_stale(status: int) -> None:
    never = run(answer(status))
    with pytest.raises(Refused):
        await never.follow()
    missed = run(ok(b"[1]"), answer(status))
    await missed.polls(4)
    assert missed.channel.results == ["changed", "error", "error", "error"]
    assert missed.channel.told[0].upstream_status == status


async def test_failures_are_tolerated_told_and_recovered_from() -> None:
    this = run(ok(b"[1]"), *[answer(500)] * 4, ok(b"[1]"), jitter="0%", randoms=(0.5,) * 3 + (0.5,) * 9)
    await this.polls(6)
    assert this.channel.told == [
        Status(state="stale", reason="the backend answered 500", upstream_status=500, retry_in=15.0),
        Status(state="ok"),
    ]
    # two failures keep the pace, then the pauses grow: 10 + 0.5 * (20 - 10), 10 + 0.5 * (40 - 10)
    assert this.backend.times() == [0, 10, 20, 30, 45, 70]
    assert this.channel.documents == [[1]]


async def test_a_newcomer_is_told_of_the_first_failure() -> None:
    this = run(UpstreamUnavailable("10.0.0.5:9000 refused"), ok(b"[1]"))
    await this.polls(2)
    assert this.channel.told == [
        Status(state="error", reason="the backend cannot be reached", retry_in=10.0),
        Status(state="ok"),
    ]
    assert this.channel.documents == [[1]]


async def test_nothing_is_tolerated_when_the_operator_says_so() -> None:
    this = run(ok(b"[1]"), answer(500), tolerate=0)
    await this.polls(2)
    assert [status.state for status in this.channel.told] == ["stale"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UpstreamUnavailable("SECRET"), "the backend cannot be reached"),
        (UpstreamTimeout("SECRET"), "the backend did not answer in time"),
        (UpstreamProtocolError("SECRET"), "the backend's answer is not usable: it is broken off, too big, or no HTTP"),
        (UpstreamError("SECRET"), "the backend failed"),
    ],
)
async def test_reasons_name_no_addresses(error: UpstreamError, reason: str) -> None:
    this = run(error)
    await this.polls(1)
    assert [status.reason for status in this.channel.told] == [reason]


@pytest.mark.parametrize(
    "reply",
    [
        ok(b'{"SECRET":'),
        ok(b""),
        answer(200, b"<SECRET>", content_type="text/html"),
        ok(gzip.compress(b" " * 6_000_000), content_encoding="gzip"),
        ok(gzip.compress(b"[1]")[:-1], content_encoding="gzip"),
        ok(b"[" * 300_000),
        ok(b"[1]", content_encoding="br"),
        answer(204),
        answer(302, location="/SECRET"),
    ],
)
async def test_hostile_answers_are_failures_that_leave_the_state_alone(reply: Answer) -> None:
    this = run(ok(b"[1]", etag='"1"'), reply, ok(b"[2]", etag='"2"'), tolerate=0)
    await this.polls(3)
    assert this.channel.results == ["changed", "error", "changed"]
    assert this.channel.documents == [[1], [2]]
    assert [status.state for status in this.channel.told] == ["stale", "ok"]
    assert "SECRET" not in this.channel.told[0].reason
    assert this.backend.conditions() == [None, b'"1"', b'"1"']


async def test_a_document_that_does_not_fit_is_a_failure_every_time() -> None:
    this = run(ok(b"[1]", etag='"1"'), jitter="0%")
    this.channel.refuses = "there is no list at 'data'"
    await this.polls(2)
    assert this.channel.results == ["error", "error"]
    (status,) = this.channel.told
    assert status.reason == "the backend's answer does not fit the route: there is no list at 'data'"
    assert this.backend.conditions() == [None, None], "a state that was not published is not to be kept"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("30", 30.0),
        ("1", 10.0),
        ("0", 10.0),
        ("86400", 60.0),
        ("9" * 60, 60.0),
        ("Tue, 14 Nov 2023 22:14:00 GMT", 30.0),
        ("Tue, 14 Nov 2017 22:13:50 GMT", 10.0),
        ("Tue, 14 Nov 9999 22:13:50 GMT", 60.0),
        ("soon", 10.0),
        ("-5", 10.0),
        ("9" * 1000, 10.0),
    ],
)
async def test_retry_after_within_our_bounds(status: int, value: str, pause: float) -> None:
    this = run(ok(b"[1]"), answer(status, retry_after=value), jitter="0%")
    await this.polls(2)
    assert this.clock.slept[-1] == pytest.approx(pause)


async def test_not_everyone_comes_back_at_once() -> None:
    this = run(ok(b"[1]"), answer(503, retry_after="30"), randoms=(0.5, 0.9))
    await this.polls(2)
    assert this.clock.slept[-1] == pytest.approx(30 * 1.09)


async def test_a_long_interval_is_not_cut_by_the_backoff() -> None:
    this = run(answer(500), interval="5m", jitter="0%", tolerate=0, randoms=(0.9,) * 5)
    await this.polls(3)
    assert this.clock.slept == [300.0, 300.0, 300.0]


async def test_pauses_grow_no_further_than_the_longest() -> None:
    this = run(answer(500), jitter="0%", tolerate=0, randoms=(0.999999,) * 50)
    await this.polls(20)
    assert [round(pause) for pause in this.clock.slept[:4]] == [20, 40, 60, 60]
    assert max(this.clock.slept) <= 60


async def test_the_interval_varies() -> None:
    this = run(ok(b"[1]"), randoms=(0.0, 0.25, 0.99))
    await this.polls(3)
    assert this.clock.slept == pytest.approx([9.0, 9.5, 10.98])


@pytest.mark.parametrize(("takes", "times"), [(4.0, [0, 10, 20]), (10.0, [0, 11, 22]), (25.0, [0, 26, 52])])
async def test_a_late_poll_delays_the_next(takes: float, times: list[float]) -> None:
    this = run(ok(b"[1]"), takes=takes)
    await this.polls(3)
    assert this.backend.times() == times
    assert this.channel.polls == [("changed", takes), ("unchanged", takes), ("unchanged", takes)]


async def test_a_big_answer_is_read_all_the_same() -> None:
    body = b'["' + b"x" * 600_000 + b'"]'
    this = run(ok(body), ok(body), ok(gzip.compress(body), content_encoding="gzip"))
    await this.polls(3)
    assert this.channel.documents == [["x" * 600_000]]
    assert this.channel.results == ["changed", "unchanged", "unchanged"]


async def test_a_byte_order_mark() -> None:
    this = run(ok(b"\xef\xbb\xbf[1]"))
    await this.polls(1)
    assert this.channel.documents == [[1]]


async def test_cancelled_while_asking_nothing_is_left_behind() -> None:
    this = run(ok(b"[1]"))
    asking = asyncio.Event()

    class Silent(Backend):
        async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int) -> Answer:
            asking.set()
            never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            return await never

    this.backend = Silent(this.clock, [])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(this.follow())
        await asking.wait()
        task.cancel()
    assert task.cancelled()
    assert this.channel.polls == []
    assert len(asyncio.all_tasks()) == 1


async def test_a_bug_is_not_hidden() -> None:
    this = run(lambda headers: [][0])
    with pytest.raises(IndexError):
        await this.follow()
