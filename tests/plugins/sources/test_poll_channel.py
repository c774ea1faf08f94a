"""How a channel is polled while its backend is well."""

from __future__ import annotations

import asyncio
import gzip
import threading
from math import inf

import pytest

from gateway.plugin import Again, Answer, Codec, Headers, Json, WishedWatch
from tests.plugins.sources.scripted import NOT_MODIFIED, Backend, answer, ok, run


async def test_the_first_poll_is_at_once_and_the_next_after_the_interval() -> None:
    this = run(ok(b"[1]"), ok(b"[2]"))
    await this.polls(3)
    assert this.backend.times() == [0, 10, 20]
    assert this.channel.documents == [[1], [2]]
    assert this.channel.results == ["changed", "changed", "unchanged"]
    assert this.channel.told == []


@pytest.mark.parametrize(("phase", "times"), [(0.4, [0, 4, 14]), (1e-9, [0, 1, 11])])
async def test_channels_that_begin_together_go_on_apart(phase: float, times: list[float]) -> None:
    this = run(ok(b"[1]"))
    this.phase = phase
    await this.polls(3)
    assert this.backend.times() == times


async def test_a_wish_is_heeded_within_the_range() -> None:
    this = run(ok(b"[1]"), interval={"base": "10s", "min": "4s", "max": "60s"})
    this.wishes.append(1.0)
    watch = this.watch()
    assert isinstance(watch, WishedWatch)
    assert watch.interval == inf
    assert (await watch.look()).pause == 4.0
    assert watch.interval == 4.0
    this.wishes[:] = [7.0]
    assert watch.interval == 7.0
    assert (await watch.look()).pause == 7.0


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
        async def fetch(
            self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b""
        ) -> Answer:
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


class Watched:
    """A codec that notes on which thread it decodes."""

    name, binary = "json", False

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.on_loop: list[bool] = []
        self.loop_thread = threading.get_ident()

    def encode(self, value: Json, /) -> bytes:
        return self.codec.encode(value)

    def decode(self, data: bytes | str, /) -> Json:
        self.on_loop.append(threading.get_ident() == self.loop_thread)
        return self.codec.decode(data)


async def test_what_takes_long_is_read_off_the_loop() -> None:
    small, big = b"[1]", b'["' + b"x" * 300_000 + b'"]'
    this = run(ok(small), ok(big), ok(gzip.compress(b"[2]"), content_encoding="gzip"))
    codec = this.codec = Watched(this.codec)
    await this.polls(3)
    assert codec.on_loop == [True, False, False]
    assert this.channel.results == ["changed"] * 3


async def test_the_same_answer_again_is_a_confirmation() -> None:
    """Deletions may wait for it; what it publishes is no sign that a validator lied."""
    this = run(ok(b"[1]", etag='"1"'), NOT_MODIFIED, ok(b"[1]", etag='"1"'), NOT_MODIFIED)
    async with this.started():
        await this.next()
        assert this.channel.confirmed == 1
        this.channel.confirming = True
        await this.next()
        await this.next()
    assert this.channel.confirmed == 3
    assert this.channel.results == ["changed", "not_modified", "changed", "changed"]
    assert this.backend.conditions() == [None, b'"1"', b'"1"', b'"1"']


async def test_a_lie_is_counted() -> None:
    stuck = '"stuck"'
    this = run(ok(b"[1]", etag=stuck), ok(b"[2]", etag=stuck), ok(b"[3]", etag=stuck), conditional={"ttl": "1s"})
    await this.polls(3)
    assert this.channel.incidents == ["validator_distrusted"]


async def test_validators_are_not_sent_where_the_operator_says_so() -> None:
    this = run(ok(b"[1]", etag='"1"'), conditional={"etag": False})
    await this.polls(3)
    assert this.backend.conditions() == [None, None, None]


async def test_304_in_a_row_as_the_operator_says() -> None:
    this = run(ok(b"[1]", etag='"1"'), NOT_MODIFIED, NOT_MODIFIED, ok(b"[1]", etag='"1"'), conditional={"max_304": 2})
    await this.polls(4)
    assert this.backend.conditions() == [None, b'"1"', b'"1"', None]


@pytest.mark.parametrize(("credentials", "hold"), [("none", 30.0), ("forward", 0.0)])
async def test_a_budget_that_is_used_up_holds_everybody_only_where_it_is_everybodys(
    credentials: str, hold: float
) -> None:
    this = run(ok(b"[1]", RateLimit="a;r=0;t=30"), credentials=credentials, jitter="0%")
    assert await this.watch().look() == Again(30.0, hold=hold, least=30.0)


async def test_a_budget_of_the_backends_own_is_left_to_others_in_part() -> None:
    names = {"remaining": "X-Left", "reset": "X-Reset", "limit": "X-Max", "early_limit": "25%"}
    left = [ok(b"[1]", X_Left=str(number), X_Reset="30", X_Max="100") for number in (36, 25)]
    this = run(*left, credentials="none", jitter="0%", rate=names)
    watch = this.watch()
    assert await watch.look() == Again(10.0)
    assert await watch.look() == Again(30.0, hold=30.0, least=30.0)


async def test_a_refusal_for_asking_too_often_has_a_budget_too() -> None:
    names = {"remaining": "X-Left", "reset": "X-Reset", "early_limit": 9}
    this = run(answer(429, X_Left="9", X_Reset="30"), credentials="none", jitter="0%", rate=names)
    assert (await this.watch().look()).hold == 30.0


async def test_a_poll_that_trickles_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    this = run(ok(b"[1]"))

    class Silent(Backend):
        async def fetch(
            self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b""
        ) -> Answer:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    this.backend = Silent(this.clock, [])
    monkeypatch.setattr(asyncio, "timeout", lambda seconds: asyncio.timeout_at(0.0) if seconds == 30.0 else None)
    await this.watch().look()
    assert [(status.state, status.reason) for status in this.channel.told] == [
        ("error", "the backend did not answer in time")
    ]


@pytest.mark.parametrize(("body", "sent"), [('{"q": 1}', b'{"q": 1}'), ({"q": [1]}, b'{"q":[1]}'), ([1], b"[1]")])
async def test_a_query_by_post(body: object, sent: bytes) -> None:
    this = run(ok(b"[1]", etag='"1"'), NOT_MODIFIED, request={"method": "POST", "body": body})
    await this.polls(2)
    assert this.backend.sent == [("POST", sent)] * 2
    assert this.backend.conditions() == [None, b'"1"']
    assert this.channel.results == ["changed", "not_modified"]
