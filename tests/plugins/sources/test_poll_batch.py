"""Many resources in one request: what is asked, who is told what, and what a failure does."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gateway.core.settings import HintSettings, Polls
from gateway.errors import UpstreamProtocolError, UpstreamUnavailable
from gateway.plugin import Json
from gateway.testing.source import turn
from tests.plugins.sources.together import Reply, together, told


async def test_a_hundred_resources_are_one_request_an_interval() -> None:
    async with together() as scene:
        followed = scene.follow_all(100)
        await scene.begin()
        assert [one.document for one in followed] == [{"id": number, "v": 1} for number in range(100)]
        await scene.pass_time(30)
        assert [len(ids) for ids in scene.backend.batches] == [100] * len(scene.backend.batches)
        assert (len(scene.backend.batches), scene.backend.singles) == (4, [])
        assert scene.polls == {"changed": 1, "unchanged": 3}
        assert scene.counts.batches.total == 400


async def test_what_is_asked() -> None:
    async with together(credentials={"service": {"bearer": "s"}}) as scene:
        scene.backend.put("7", "b-1")
        scene.follow("7", query="full=1")
        scene.follow("b-1", query="full=1")
        await scene.begin()
        ((_, target, headers),) = scene.backend.asked
        assert target == b"/api/orders?full=1&ids=7,b-1"
        assert dict(headers) == {
            b"authorization": b"Bearer s",
            b"accept": b"application/json",
            b"accept-encoding": b"identity",
        }


async def test_each_channel_hears_of_its_own_resource() -> None:
    async with together() as scene:
        one, two, three = scene.follow_all(3)
        await scene.begin()
        scene.backend.put("1", version=2)
        await scene.pass_time(10)
        assert [it.version for it in (one, two, three)] == [1, 2, 1]
        assert [it.channel.log.head.offset for it in (one, two, three)] == [1, 2, 1]
        assert scene.polls == {"changed": 2}
        await scene.pass_time(20)
        assert scene.counts.staleness <= 10, "all of them are confirmed each time"


async def test_validators_are_of_the_batch_as_a_whole() -> None:
    async with together() as scene:
        scene.backend.etags = True
        (one, *_) = scene.follow_all(3)
        await scene.begin()
        await scene.pass_time(20)
        assert scene.polls == {"changed": 1, "not_modified": 2}
        scene.backend.put("0", version=2)
        await scene.pass_time(10)
        assert one.version == 2
        await scene.pass_time(10)
        assert scene.polls == {"changed": 2, "not_modified": 3}
        scene.backend.put("3")
        scene.follow("3")
        await scene.begin()
        await scene.pass_time(20)
        conditions = [dict(headers).get(b"if-none-match") for _, _, headers in scene.backend.asked[-2:]]
        assert conditions[0] is None, "with another resource in it, it is another state"
        assert conditions[1] is not None


async def test_a_validator_that_lies_is_found_out() -> None:
    async with together(conditional={"max_304": 2}) as scene:
        etag = (b"etag", b'"stuck"')
        scene.backend.put("1")
        scene.backend.many = lambda ids: told(200, [scene.backend.orders["1"]], etag)
        one = scene.follow("1")
        await scene.begin()
        scene.backend.put("1", version=2)
        scene.backend.many = lambda ids: told(304)
        await scene.pass_time(20)
        assert one.version == 1
        scene.backend.many = lambda ids: told(200, [scene.backend.orders["1"]], etag)
        await scene.pass_time(10)
        assert one.version == 2
        assert scene.counts.incidents == {"validator_distrusted": 1}


async def test_what_a_batch_lacks_is_asked_for_by_its_own_url() -> None:
    async with together() as scene:
        scene.backend.put("1")
        scene.backend.one = lambda one: {"3": told(403), "4": told(200, {"id": 4, "v": 9})}.get(one)
        known, unknown, secret, apart = (scene.follow(one) for one in "1234")
        await scene.begin()
        assert (known.refused, known.version) == (None, 1)
        assert (unknown.refused, secret.refused, apart.version) == (404, 403, 9)
        assert scene.backend.targets == ["/api/orders?ids=1,2,3,4", *(f"/api/orders/{one}" for one in "234")]
        assert scene.counts.incidents == {"batch_lacking": 3}
        await scene.pass_time(10)
        assert scene.backend.targets[4:] == ["/api/orders?ids=1", "/api/orders/4"] or scene.backend.targets[4:] == [
            "/api/orders/4",
            "/api/orders?ids=1",
        ]


async def test_what_vanishes_for_good_is_sent_away_by_its_own_url() -> None:
    async with together(terminal=[404]) as scene:
        one, two = scene.follow_all(2)
        await scene.begin()
        scene.backend.many = lambda ids: told(404)  # a list that is not there says nothing of what it lists
        await scene.pass_time(40)
        assert (one.refused, two.refused) == (None, None)
        scene.backend.many = lambda ids: None
        await scene.pass_time(400)
        scene.backend.orders.pop("0")
        await scene.pass_time(20)
        assert (one.refused, two.refused, two.status) == (404, None, "ok")


async def test_a_batch_leaves_a_part_of_the_limit_to_others() -> None:
    async with together(rate={"remaining": "X-Left", "reset": "X-Reset", "early_limit": 5}) as scene:
        scene.follow_all(2)
        budget = (b"x-left", b"5"), (b"x-reset", b"30")
        scene.backend.many = lambda ids: told(200, [scene.backend.orders[one] for one in ids], *budget)
        await scene.begin()
        scene.backend.many = lambda ids: told(429, None, *budget)
        for _ in range(2):
            scene.backend.forget()
            await scene.pass_time(28)
            assert scene.backend.asked == []
            await scene.pass_time(3)
            assert len(scene.backend.batches) == 1


async def test_all_of_a_batch_hear_that_it_waits_for_long() -> None:
    async with together() as scene:
        one, two = scene.follow_all(2)
        for seconds in (b"29", b"60"):
            budget = (b"ratelimit-remaining", b"0"), (b"ratelimit-reset", seconds)
            scene.backend.many = lambda ids, budget=budget: told(  # type: ignore[misc]
                200, [scene.backend.orders[one] for one in ids], *budget
            )
            await (scene.pass_time(30) if one.version else scene.begin())
            assert [each.status for each in (one, two)] == ["ok" if seconds == b"29" else "stale"] * 2
        scene.backend.many = lambda ids: None
        await scene.pass_time(60)
        assert [each.status for each in (one, two)] == ["ok"] * 2
        scene.backend.many = lambda ids: told(403, None, (b"retry-after", b"60"))
        await scene.pass_time(11)
        assert [(each.status, each.refused) for each in (one, two)] == [("stale", None)] * 2
        assert scene.backend.singles == [], "nobody's URL is to blame"
        assert scene.counts.incidents["batch_refused"] == 0


async def test_what_vanishes_is_as_if_it_were_alone() -> None:
    async with together(max_backoff="20s") as scene:
        one, two = scene.follow_all(2)
        await scene.begin()
        gone = scene.backend.orders.pop("0")
        await scene.pass_time(60)
        assert (one.status, one.refused, one.version) == ("stale", None, 1)
        assert (two.status, two.version) == ("ok", 1)
        scene.backend.orders["0"] = gone
        scene.backend.put("0", version=2)
        await scene.pass_time(30)
        assert (one.status, one.version) == ("ok", 2)
        await scene.pass_time(400)
        scene.backend.forget()
        await scene.pass_time(30)
        assert (scene.backend.batches, scene.backend.singles) == ([["0", "1"]] * 3, []), "it came back"


async def test_an_empty_answer_deletes_nothing() -> None:
    async with together() as scene:
        followed = scene.follow_all(20)
        await scene.begin()
        scene.backend.many = lambda ids: told(200, [])
        await scene.pass_time(15)
        assert {one.status for one in followed} == {"ok"}
        assert len(scene.backend.singles) >= 20


@pytest.mark.parametrize(
    "item", [[{"id": 1}, {"id": 1}], [{"id": True}], [{"id": 1.0}], [{"id": None}], [{}], [1, None, "x"]]
)
async def test_what_does_not_bear_the_id_once_is_nobodys(item: Json) -> None:
    async with together() as scene:
        scene.backend.put("1")
        scene.backend.many = lambda ids: told(200, item)
        one = scene.follow("1")
        await scene.begin()
        assert one.version == 1
        assert scene.backend.targets == ["/api/orders?ids=1", "/api/orders/1"]


async def test_what_nobody_asked_for_reaches_nobody() -> None:
    async with together() as scene:
        scene.backend.put("1", "2", "3")
        scene.backend.many = lambda ids: told(200, list(scene.backend.orders.values()))
        one = scene.follow("1")
        await scene.begin()
        assert one.document == {"id": 1, "v": 1}


async def test_a_list_in_an_answer_made_into_what_each_url_answers() -> None:
    batch = {"param": "ids", "path": "/api/orders", "at": "rows", "key": "nr", "document": "{data: doc}"}
    async with together(batch=batch) as scene:
        scene.backend.many = lambda ids: told(200, {"rows": [{"nr": one, "doc": {"v": 1}} for one in ids]})
        one = scene.follow("x1")
        await scene.begin()
        assert one.document == {"data": {"v": 1}}


async def test_the_parameter_given_for_each() -> None:
    async with together(batch={"param": "ids", "repeat": True, "max": 2}) as scene:
        scene.follow_all(3)
        await scene.begin()
        assert scene.backend.targets == ["/api/orders?ids=0&ids=1", "/api/orders?ids=2"]


async def test_more_than_fit_are_more_requests_spread_over_the_interval() -> None:
    async with together(batch={"param": "ids", "max": 50}) as scene:
        followed = scene.follow_all(200)
        await scene.begin()
        await scene.pass_time(20)
        scene.backend.forget()
        await scene.pass_time(10)
        assert [len(ids) for ids in scene.backend.batches] == [50] * 4
        times = sorted(time for time, _, _ in scene.backend.asked)
        assert min(b - a for a, b in zip(times, [*times[1:], times[0] + 10], strict=True)) > 1
        assert {one.version for one in followed} == {1}


async def test_a_url_is_of_bounded_length() -> None:
    async with together(batch={"param": "ids", "max": 1000}) as scene:
        ids = [f"{number:0100}x" for number in range(100)]
        scene.backend.put(*ids)
        followed = [scene.follow(one) for one in ids]
        await scene.begin()
        assert len(scene.backend.batches) == 3
        assert max(map(len, scene.backend.targets)) <= 4096
        assert {one.version for one in followed} == {1}


async def test_a_backend_that_fails_is_told_to_all() -> None:
    async with together(tolerate=1) as scene:
        one, two = scene.follow_all(2)
        await scene.begin()
        scene.backend.many = lambda ids: UpstreamUnavailable("it is down")
        await scene.pass_time(10)
        assert (one.status, two.status) == ("ok", "ok"), "one failure is tolerated"
        await scene.pass_time(20)
        assert (one.status, two.status) == ("stale", "stale")
        assert scene.counts.failing == 2
        scene.backend.many = lambda ids: None
        await scene.pass_time(60)
        assert (one.status, two.status) == ("ok", "ok")
        assert scene.backend.singles == [], "that it is down says nothing of any of them"


async def test_a_backend_that_is_down_at_first() -> None:
    async with together() as scene:
        scene.backend.many = lambda ids: told(503, None, (b"retry-after", b"30"))
        one, two = scene.follow_all(2)
        await scene.begin()
        assert (one.status, two.status) == ("error", "error")
        assert one.channel.ready.is_set()
        scene.backend.many = lambda ids: None
        await scene.pass_time(28)
        assert len(scene.backend.asked) == 1, "it asked for so long"
        await scene.pass_time(10)
        assert (one.version, one.status, two.version) == (1, "ok", 1)


async def test_a_limit_of_the_gateways_own_credentials_holds_everybody() -> None:
    async with together(credentials="none") as scene:
        scene.backend.many = lambda ids: told(429, None, (b"retry-after", b"30"))
        scene.follow_all(1)
        await scene.begin()
        scene.backend.put("8")
        scene.follow("8")
        await scene.pass_time(28)
        assert len(scene.backend.asked) == 1


async def test_a_limit_of_one_clients_credentials_holds_nobody_else() -> None:
    async with together() as scene:
        scene.backend.put("1", "2")
        mine, other = scene.follow("1", token="a"), scene.follow("2", token="b")
        await scene.begin()
        scene.backend.many = lambda ids: told(429, None, (b"retry-after", b"60")) if ids == ["1"] else None
        await scene.pass_time(10)
        scene.backend.put("1", "2", version=2)
        await scene.pass_time(21)
        assert (mine.version, mine.status) == (1, "stale")
        assert (other.version, other.status) == (2, "ok")


async def test_a_limit_of_one_clients_credentials_holds_its_looks_alone_as_well() -> None:
    async with together() as scene:
        (one,) = scene.follow_all(1)
        await scene.begin()
        scene.backend.many = lambda ids: told(429, None, (b"retry-after", b"30"))
        await scene.pass_time(10)
        scene.backend.forget()
        scene.backend.put("0", version=2)
        scene.channels.refresh("orders", b"/api/orders/0")
        await scene.pass_time(19)
        assert (scene.backend.asked, one.version) == ([], 1)
        await scene.pass_time(15)
        assert one.version == 2


async def test_big_answers_are_taken_apart_all_the_same() -> None:
    async with together() as scene:
        scene.backend.orders["1"] = {"id": 1, "v": "x" * 300_000}
        one = scene.follow("1")
        await scene.begin()
        while one.version is None:
            await turn()
        assert one.version == "x" * 300_000


async def test_an_unknown_name_is_sent_away_with_all_that_it_follows() -> None:
    async with together() as scene:
        scene.backend.many = lambda ids: told(401, None, (b"www-authenticate", b"Bearer"))
        followed = [scene.follow(one, token="t") for one in "12"]
        await scene.begin()
        assert [one.refused for one in followed] == [401, 401]
        assert followed[0].channel.refused is not None
        assert followed[0].channel.refused.headers == [(b"www-authenticate", b"Bearer")]
        assert len(scene.backend.asked) == 1
        assert scene.polls == {"refused": 1}


@pytest.mark.parametrize("status", [302, 400, 403, 404, 405, 414, 422, 500, 501])
async def test_a_list_that_takes_no_ids(status: int, caplog: pytest.LogCaptureFixture) -> None:
    async with together() as scene:
        scene.backend.many = lambda ids: told(status)
        with caplog.at_level(logging.WARNING):
            followed = scene.follow_all(5)
            await scene.begin()
            assert [one.version for one in followed] == [1] * 5, "by their own URLs, at once"
            scene.backend.put("0", version=2)
            await scene.pass_time(100)
        assert followed[0].version == 2
        assert scene.counts.incidents == {"batch_refused": 1}
        assert len(scene.backend.batches) == 1, "it is left in peace for a while"
        (line,) = [record.getMessage() for record in caplog.records if record.name == "tidegate.live"]
        assert f"route orders: batch_refused: the backend answered {status}" in line
        scene.backend.many = lambda ids: None
        await scene.pass_time(300)
        scene.backend.forget()
        await scene.pass_time(20)
        assert [len(ids) for ids in scene.backend.batches] == [5, 5]
        assert scene.backend.singles == []


def strict(*bad: str, reply: Reply) -> object:
    """A backend that answers a list like this when one of these ids is in it."""
    return lambda ids: reply if set(ids) & set(bad) else None


@pytest.mark.parametrize("status", [400, 404])
async def test_one_that_spoils_a_batch_is_found_and_left_alone(status: int) -> None:
    async with together() as scene:
        followed = scene.follow_all(64)
        await scene.begin()
        scene.backend.forget()
        del scene.backend.orders["17"]
        scene.backend.many = strict("17", reply=told(status))  # type: ignore[assignment]
        await scene.pass_time(9.5)
        assert len(scene.backend.batches) <= 20, "it takes two requests to halve"
        assert scene.backend.singles == ["/api/orders/17"]
        assert {one.status for one in followed} == {"ok"}
        await scene.pass_time(40)
        assert [one.status for one in followed] == ["stale" if number == 17 else "ok" for number in range(64)]
        await scene.pass_time(300)
        scene.backend.forget()
        await scene.pass_time(20)
        assert len(scene.backend.batches) == 2, "the others are together again"


@pytest.mark.parametrize(
    "reply", [told(500), UpstreamProtocolError("too big"), told(200, {"no": "list"})], ids=["500", "big", "no list"]
)
async def test_one_that_breaks_a_batch_is_found_at_no_quicker_pace(reply: Reply) -> None:
    async with together(tolerate=0) as scene:
        followed = scene.follow_all(8)
        await scene.begin()
        scene.backend.forget()
        scene.backend.many = strict("5", reply=reply)  # type: ignore[assignment]
        await scene.pass_time(10)
        assert len(scene.backend.batches) == 1
        assert {one.status for one in followed} == {"stale"}
        await scene.pass_time(200)
        assert {one.status for one in followed} == {"ok"}
        assert scene.backend.singles
        assert set(scene.backend.singles) == {"/api/orders/5"}


async def test_newcomers_are_not_kept_waiting_by_one_that_breaks_the_list() -> None:
    async with together() as scene:
        scene.backend.many = strict("666", reply=told(500))  # type: ignore[assignment]
        scene.backend.put("1", "2", "666")
        old = scene.follow("1")
        await scene.begin()
        bad, new = scene.follow("666"), scene.follow("2")
        await scene.begin()
        assert [it.version for it in (old, bad, new)] == [1, 1, 1]
        await scene.pass_time(100)
        assert [it.status for it in (old, bad, new)] == ["ok", "ok", "ok"]
        assert ["1"] in scene.backend.batches, "who was there before is read as before"


async def test_a_list_that_is_taken_away() -> None:
    async with together() as scene:
        followed = scene.follow_all(100)
        await scene.begin()
        scene.backend.forget()
        scene.backend.many = lambda ids: told(404)
        await scene.pass_time(10)
        assert len(scene.backend.batches) <= 20
        assert len(set(scene.backend.singles)) == 100
        assert {one.status for one in followed} == {"ok"}


async def test_an_outage_does_not_take_batches_apart_for_good() -> None:
    async with together(tolerate=0) as scene:
        followed = scene.follow_all(100)
        await scene.begin()
        scene.backend.many = lambda ids: told(500)
        await scene.pass_time(600)
        assert scene.backend.singles == []
        assert len(scene.backend.batches) < 130, "ten requests a minute at most"
        scene.backend.many = lambda ids: None
        await scene.pass_time(400)
        scene.backend.forget()
        await scene.pass_time(10)
        assert [len(ids) for ids in scene.backend.batches] == [100]
        assert {one.status for one in followed} == {"ok"}


async def test_the_limits_of_a_backend_count_requests() -> None:
    async with together() as scene:
        scene.limit(Polls(concurrency=1, rate=1))
        followed = scene.follow_all(100)
        await scene.begin()
        assert {one.version for one in followed} == {1}


async def test_a_bug_in_a_batch_leaves_each_to_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("in the batch")

    monkeypatch.setattr("gateway_plugins.sources.poll_batch.Found", broken)
    async with together() as scene:
        followed = scene.follow_all(3)
        await scene.begin()
        assert {one.version for one in followed} == {1}
        assert "in the batch" in caplog.text


PAGED = {"param": "ids", "pages": {"page": "page", "size": 3, "max": 4}}


async def test_a_list_that_comes_in_pages_is_read_until_all_is_found() -> None:
    async with together(batch=PAGED) as scene:
        scene.backend.per_page = 3
        followed = scene.follow_all(8)
        await scene.begin()
        assert {one.version for one in followed} == {1}
        ids = "0,1,2,3,4,5,6,7"
        pages = [f"/api/orders?ids={ids}", *(f"/api/orders?ids={ids}&page={page}" for page in (2, 3))]
        assert scene.backend.targets == pages
        scene.backend.forget()
        scene.backend.put("7", version=2)
        await scene.pass_time(10)
        assert (followed[7].version, scene.backend.targets) == (2, pages)
        for one in followed[3:]:
            one.leave()
        await scene.pass_time(10)
        scene.backend.forget()
        await scene.pass_time(10)
        assert scene.backend.targets == ["/api/orders?ids=0,1,2"], "nothing more is wanted"
        assert not scene.counts.incidents


async def test_what_lies_beyond_the_pages_that_are_read_is_asked_for_alone() -> None:
    async with together(batch=PAGED) as scene:
        scene.backend.per_page = 2
        scene.backend.many = lambda ids: None
        followed = scene.follow_all(9)
        await scene.begin()
        assert {one.version for one in followed[:2]} == {1}
        await scene.pass_time(1)
        assert {one.version for one in followed} == {1}
        assert len(scene.backend.singles) == 7, "a page that is not full is the last"
        assert scene.counts.incidents == {"batch_lacking": 7}


async def test_of_a_list_in_pages_one_etag_is_no_proof() -> None:
    async with together(batch=PAGED) as scene:
        scene.backend.per_page, scene.backend.etags = 3, True
        followed = scene.follow_all(4)
        await scene.begin()
        scene.backend.put("3", version=2)
        await scene.pass_time(10)
        assert followed[3].version == 2, "the first page is as it was"
        for one in followed[2:]:
            one.leave()
        await scene.pass_time(20)
        assert scene.polls["not_modified"] == 1, "what is found on one page has one"


async def test_more_pages_than_may_be_read() -> None:
    async with together(batch={"param": "ids", "pages": {"page": "page", "max": 2}}) as scene:
        scene.backend.per_page = 3
        followed = scene.follow_all(8)
        await scene.begin()
        await scene.pass_time(1)
        assert {one.version for one in followed} == {1}
        assert sorted(scene.backend.singles) == ["/api/orders/6", "/api/orders/7"]
        assert scene.counts.incidents == {"pages_cut_off": 1, "batch_lacking": 2}


async def test_a_batch_heeds_what_one_of_its_subscribers_wishes_for() -> None:
    async with together(interval={"base": "10s", "min": "2s", "max": "20s"}) as scene:
        followed = scene.follow_all(3)
        await scene.begin()
        scene.backend.forget()
        await scene.pass_time(4)
        assert scene.backend.asked == []
        wishing = followed[1].subscribe(2.0)
        await scene.pass_time(0.5)
        assert len(scene.backend.batches) == 1, "it is two seconds since the last"
        await scene.pass_time(8)
        assert len(scene.backend.batches) in (4, 5)
        wishing.stop()
        scene.backend.forget()
        await scene.pass_time(20)
        assert len(scene.backend.batches) in (1, 2)
        assert scene.backend.singles == []


async def test_a_batch_is_read_more_often_while_hints_stay_away() -> None:
    async with together(interval="1h") as scene:
        scene.route = replace(
            scene.route, settings=replace(scene.route.settings, hints=HintSettings(every=60, interval=5))
        )
        scene.follow_all(3)
        await scene.begin()
        scene.backend.forget()
        await scene.pass_time(50)
        assert scene.backend.asked == []
        await scene.pass_time(30)
        assert len(scene.backend.batches) in (4, 5)
        scene.channels.announce("orders", b"/api/orders/none")
        await scene.pass_time(6)
        scene.backend.forget()
        await scene.pass_time(50)
        assert scene.backend.asked == []


async def test_items_within_a_resource() -> None:
    async with together() as scene:
        scene.itemised()
        scene.backend.orders["1"] = {"id": 1, "lines": [{"id": 1, "n": 1}]}
        scene.backend.orders["2"] = {"id": 2, "lines": "none"}
        one, two = scene.follow("1"), scene.follow("2")
        await scene.begin()
        assert one.document == [{"id": 1, "n": 1}]
        assert (two.status, one.status) == ("error", "ok")


async def test_nothing_is_left_when_nobody_follows() -> None:
    async with together() as scene:
        followed = scene.follow_all(3)
        await scene.begin()
        scene.backend.gate.clear()
        await scene.pass_time(10)
        for one in followed:
            one.leave()
        await scene.pass_time(2)
        await turn()
        assert (scene.crowds, len(scene.channels)) == (0, 0)
        scene.backend.forget()
        await scene.pass_time(50)
        assert scene.backend.asked == []
