"""How a channel is polled while its backend fails, refuses or answers nonsense."""

from __future__ import annotations

import gzip

import pytest

from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway.plugin import Answer, Refused, Status
from tests.plugins.sources.scripted import NOT_MODIFIED, answer, ok, run


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


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_missed_is_over_where_the_operator_says_so(status: int) -> None:
    this = run(ok(b"[1]"), answer(status), terminal=[status])
    watch = this.watch()
    await watch.look()
    with pytest.raises(Refused) as caught:
        await watch.look()
    assert caught.value.status == status
    assert this.channel.results == ["changed", "refused"]
    assert this.channel.told == []
    other = run(ok(b"[1]"), answer(404 + 410 - status), terminal=[status])
    await other.polls(4)
    assert [told.state for told in other.channel.told] == ["stale"]


async def test_failures_are_tolerated_told_and_recovered_from() -> None:
    this = run(ok(b"[1]"), *[answer(500)] * 4, ok(b"[1]"), jitter="0%", randoms=(0.5,) * 3 + (0.5,) * 9)
    await this.polls(6)
    assert this.channel.told == [
        Status(
            state="stale",
            code="upstream_status",
            reason="the backend answered 500",
            upstream_status=500,
            retry_in=15.0,
        ),
        Status(state="ok"),
    ]
    # two failures keep the pace, then the pauses grow: 10 + 0.5 * (20 - 10), 10 + 0.5 * (40 - 10)
    assert this.backend.times() == [0, 10, 20, 30, 45, 70]
    assert this.channel.documents == [[1]]


async def test_a_newcomer_is_told_of_the_first_failure() -> None:
    this = run(UpstreamUnavailable("10.0.0.5:9000 refused"), ok(b"[1]"))
    await this.polls(2)
    assert this.channel.told == [
        Status(state="error", code="upstream_unavailable", reason="the backend cannot be reached", retry_in=10.0),
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
    assert [(status.code, status.reason) for status in this.channel.told] == [(error.code, reason)]


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


LONGEST = 1e9


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("30", 30.0),
        ("1", 10.0),
        ("0", 10.0),
        ("86400", LONGEST),
        ("9" * 60, LONGEST),
        ("Tue, 14 Nov 2023 22:14:00 GMT", 30.0),
        ("Tue, 14 Nov 2017 22:13:50 GMT", 10.0),
        ("Tue, 14 Nov 9999 22:13:50 GMT", LONGEST),
        ("soon", 10.0),
        ("-5", 10.0),
        ("9" * 1000, 10.0),
    ],
)
async def test_retry_after_within_our_bounds(status: int, value: str, pause: float) -> None:
    """Whoever has been asked too often is left alone for longer than one that is away for a while."""
    this = run(ok(b"[1]"), answer(status, retry_after=value), jitter="0%", rate={"max_wait": "10m"})
    await this.polls(2)
    assert this.clock.slept[-1] == pytest.approx(min(pause, 600.0 if status == 429 else 60.0))


async def test_a_budget_that_is_used_up_is_waited_for_and_counted() -> None:
    spent = ok(b"[1]", X_RateLimit_Remaining="0", X_RateLimit_Reset="600")
    this = run(spent, spent, jitter="0%", max_backoff="1m")
    await this.polls(2)
    assert this.clock.slept == [600.0, 600.0]
    assert this.channel.incidents == ["budget_spent"] * 2


@pytest.mark.parametrize(("reset", "told"), [(29, []), (31, ["stale", "ok"])])
async def test_a_long_wait_for_a_budget_is_told(reset: int, told: list[str]) -> None:
    """Longer than the three intervals of failures that are not spoken of."""
    spent = ok(b"[1]", X_RateLimit_Remaining="0", X_RateLimit_Reset=str(reset))
    this = run(spent, spent, ok(b"[1]"), jitter="0%")
    await this.polls(3)
    assert [status.state for status in this.channel.told] == told
    if told:
        assert (this.channel.told[0].code, this.channel.told[0].retry_in) == ("budget_spent", 31.0)


@pytest.mark.parametrize(("status", "wait", "told"), [(429, "31", 1), (403, "31", 1), (503, "31", 1), (429, "29", 0)])
async def test_a_long_pause_after_a_failure_is_told_at_once(status: int, wait: str, told: int) -> None:
    this = run(ok(b"[1]"), answer(status, retry_after=wait), jitter="0%")
    await this.polls(2)
    assert [one.state for one in this.channel.told] == ["stale"] * told
    assert this.clock.slept[-1] == float(wait)


@pytest.mark.parametrize(
    ("credentials", "hold"), [("forward", 0.0), ("none", 30.0), ({"service": {"bearer": "t"}}, 30.0)]
)
async def test_a_limit_is_everybodys_only_where_the_credentials_are_the_gateways_own(
    credentials: object, hold: float
) -> None:
    """No client can make the polls of others wait."""
    for spent in (answer(429, retry_after="30"), ok(b"[1]", RateLimit_Remaining="0", RateLimit_Reset="30")):
        again = await run(spent, jitter="0%", credentials=credentials).watch().look()
        assert (again.hold, again.least) == (hold, 30.0)


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


async def test_a_bug_is_not_hidden() -> None:
    this = run(lambda headers: [][0])
    with pytest.raises(IndexError):
        await this.follow()


async def test_failures_are_counted_from_the_last_success() -> None:
    this = run(ok(b"[1]"), answer(500), answer(500), ok(b"[1]"), answer(500), answer(500), ok(b"[1]"))
    await this.polls(7)
    assert this.channel.results.count("error") == 4
    assert this.channel.told == []
