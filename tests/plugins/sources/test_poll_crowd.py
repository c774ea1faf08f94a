"""In whose name batches ask, and which of them has whom."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from gateway.core.event import Json
from gateway.plugin import Headers
from gateway.testing.source import turn
from tests.plugins.sources.together import Followed, ids_of, together, told

TENANT: dict[str, Json] = {"tenant": 1}


def spoken(asked: list[tuple[float, bytes, Headers]]) -> list[bytes]:
    return [dict(headers).get(b"authorization", b"") for _, _, headers in asked]


async def test_two_clients_ids_are_never_in_one_request() -> None:
    async with together() as scene:
        scene.backend.put("1", "2", "3")
        for token, one in (("a", "1"), ("b", "2"), ("a", "3"), ("", "1")):
            scene.follow(one, token=token)
        await scene.begin()
        await scene.pass_time(30)
        asked = {
            (token, tuple(sorted(target.rpartition(b"=")[2].split(b","))))
            for (_, target, _), token in zip(scene.backend.asked, spoken(scene.backend.asked), strict=True)
        }
        assert asked == {(b"a", (b"1", b"3")), (b"b", (b"2",)), (b"", (b"1",))}
        assert scene.crowds == 3


@pytest.mark.parametrize("seed", range(3))
async def test_nobody_is_asked_for_or_shown_what_only_another_follows(seed: int) -> None:
    """Clients that follow each other's orders at random, at a backend that shows each its own."""
    chance = random.Random(seed)
    async with together(interval="10s", batch={"param": "ids", "max": 4}) as scene:
        backend = scene.backend
        owners = {str(number): chance.choice("abc") for number in range(20)}
        for one, owner in owners.items():
            backend.orders[one] = {"id": int(one), "v": 0, "owner": owner}

        def own(ids: list[str]) -> list[Json]:
            token = dict(backend.asked[-1][2])[b"authorization"].decode()
            return [backend.orders[one] for one in ids if owners[one] == token]

        backend.many = lambda ids: told(200, own(ids))
        backend.one = lambda one: told(200, own([one])[0]) if own([one]) else told(403)
        followed: list[tuple[str, str, Followed]] = []
        for version in range(60):
            token, one = chance.choice("abc"), str(chance.randrange(20))
            followed.append((token, one, scene.follow(one, token=token)))
            changed = str(chance.randrange(20))
            backend.orders[changed] = {"id": int(changed), "v": version, "owner": owners[changed]}
            scene.channels.refresh("orders", f"/api/orders/{changed}".encode())
            await scene.pass_time(chance.choice([0, 0.5, 5]))
        await scene.pass_time(20)
        for token, one, it in followed:
            assert (it.refused, it.document) in [(403, None), (None, backend.orders[one])]
            assert (it.refused is None) == (owners[one] == token)
        asked_by = {token: {one for by, one, _ in followed if by == token} for token in "abc"}
        for _, target, headers in backend.asked:
            path, _, query = target.decode().partition("?")
            wanted = ids_of(query) or [path.rpartition("/")[2]]
            assert set(wanted) <= asked_by[dict(headers)[b"authorization"].decode()]


async def test_the_same_ids_with_other_queries_are_other_requests() -> None:
    async with together() as scene:
        scene.backend.put("1", "2")
        scene.follow("1", query="full=1")
        scene.follow("2")
        await scene.begin()
        assert sorted(scene.backend.targets) == ["/api/orders?full=1&ids=1", "/api/orders?ids=2"]


async def test_other_parameters_of_the_path_are_the_lists() -> None:
    async with together(template="/{shop}/orders/{id}", batch={"param": "ids", "id": "id"}) as scene:
        for path in ("/north%2Feast/orders/1", "/south/orders/1", "/south/orders/2"):
            scene.follow(path)
        await turn()
        scene.clock.advance(0.005)
        await turn()
        assert {"/north%2Feast/orders?ids=1", "/south/orders?ids=1,2"} <= set(scene.backend.targets)


async def test_clients_that_share_by_claims_lend_their_credentials_in_turn() -> None:
    async with together(share_by=["claims.tenant"]) as scene:
        scene.backend.put("1", "2")
        first = scene.follow("1", token="a", claims=TENANT)
        scene.follow("2", token="b", claims=TENANT)
        scene.follow("1", token="c", claims={"tenant": 2})
        await scene.begin()
        assert scene.backend.targets == ["/api/orders?ids=1,2", "/api/orders?ids=1"]
        assert spoken(scene.backend.asked) == [b"a", b"c"]
        first.leave()
        scene.backend.forget()
        await scene.pass_time(20)
        assert set(spoken(scene.backend.asked)) == {b"b", b"c"}, "nobody's after it has left"
        assert scene.backend.singles == []


async def test_one_whose_credentials_are_refused_does_not_speak_for_the_others() -> None:
    async with together(share_by=["claims.tenant"]) as scene:
        scene.backend.put("1", "2")
        one, two = scene.follow("1", token="a", claims=TENANT), scene.follow("2", token="b", claims=TENANT)
        answers = iter([told(401)])
        scene.backend.many = lambda ids: next(answers, None)
        await scene.begin()
        await scene.pass_time(1)
        assert spoken(scene.backend.asked)[:2] == [b"a", b"b"]
        assert (one.refused, two.refused, two.version) == (401, None, 1)


async def test_nobody_is_asked_for_when_all_who_lent_have_gone() -> None:
    async with together(share_by=["claims.tenant"]) as scene:
        scene.backend.put("1")
        one = scene.follow("1", token="a", claims=TENANT)
        await scene.begin()
        assert one.channel.voices is not None
        assert one.voice is not None
        one.channel.voices.leave(one.voice)
        scene.backend.forget()
        await scene.pass_time(30)
        assert scene.backend.asked == []


async def test_an_answer_that_must_not_be_shared_ends_the_sharing() -> None:
    async with together(share_by=["claims.tenant"]) as scene:
        scene.backend.put("1", "2")
        private = (b"cache-control", b"private")
        scene.backend.many = lambda ids: told(200, [scene.backend.orders[one] for one in ids], private)
        ends: list[str] = []
        for token, one in (("a", "1"), ("b", "2")):
            followed = scene.follow(one, token=token, claims=TENANT)
            followed.channel.ends.add(lambda disconnect: ends.append(disconnect.label))
        await scene.begin()
        assert ends == ["restart", "restart"]
        scene.backend.forget()
        mine, theirs = scene.follow("1", token="a", claims=TENANT), scene.follow("2", token="b", claims=TENANT)
        await scene.begin()
        assert scene.backend.targets == ["/api/orders?ids=1", "/api/orders?ids=2"]
        assert (mine.version, theirs.version) == (1, 1)


async def test_newcomers_are_read_at_once_and_then_with_the_others() -> None:
    async with together() as scene:
        scene.follow_all(10)
        await scene.begin()
        scene.backend.put("10", "11")
        scene.follow("10")
        late = scene.follow("11")
        await scene.begin()
        assert late.version == 1
        assert scene.backend.batches[-1] == ["10", "11"]
        await scene.pass_time(20)
        scene.backend.forget()
        await scene.pass_time(20)
        assert [len(ids) for ids in scene.backend.batches] == [12, 12]


async def test_who_leaves_is_asked_for_no_more_and_small_batches_come_together() -> None:
    async with together(batch={"param": "ids", "max": 10}) as scene:
        followed = scene.follow_all(40)
        await scene.begin()
        for one in followed[:35]:
            one.leave()
        await scene.pass_time(20)
        scene.backend.forget()
        await scene.pass_time(10)
        assert scene.backend.batches == [["35", "36", "37", "38", "39"]]


async def test_an_id_in_two_spellings_is_asked_for_once() -> None:
    async with together() as scene:
        scene.backend.put("ab")
        one, two = scene.follow("ab"), scene.follow("%61b")
        await scene.begin()
        assert scene.backend.targets == ["/api/orders?ids=ab"]
        assert one.channel is not two.channel
        assert (one.version, two.version) == (1, 1)


async def test_a_crowd_of_thousands_is_a_few_requests() -> None:
    async with together(batch={"param": "ids", "max": 1000}) as scene:
        scene.follow_all(3000)
        await scene.begin()
        await scene.pass_time(20)
        scene.backend.forget()
        await scene.pass_time(10)
        lines = [len(target) for target in scene.backend.targets]
        assert sum(len(ids) for ids in scene.backend.batches) == 3000
        assert len(lines) <= 13
        times = sorted(time for time, _, _ in scene.backend.asked)
        assert max(later - earlier for earlier, later in pairwise(times)) < 4


async def test_what_is_asked_of_one_host_is_never_asked_of_another() -> None:
    async with together(credentials="none") as scene:
        scene.route = replace(scene.route, preserve_host=True)
        scene.backend.put("1", "2", "3")
        for one, host in (("1", "a.example"), ("2", "b.example"), ("3", "a.example")):
            scene.follow(one, host=host)
        await scene.begin()
        hosts = [dict(headers)[b"host"] for _, _, headers in scene.backend.asked]
        assert sorted(zip(hosts, scene.backend.batches, strict=True)) == [
            (b"a.example", ["1", "3"]),
            (b"b.example", ["2"]),
        ]
