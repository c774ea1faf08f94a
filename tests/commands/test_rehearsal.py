from __future__ import annotations

from pathlib import Path

import pytest

from gateway.commands.recorded import StillClock
from gateway.commands.rehearsal import Rehearsal, ask, source_of
from gateway.errors import ClientError
from gateway.testing.clock import ManualClock
from gateway.testing.source import ScriptedSource
from tests.commands.played import Played, json_answer, settings


def rehearsal(folder: Path, url: str, *answers: object, **headers: str) -> tuple[Rehearsal, Played]:
    clock, upstream = ManualClock(), Played(*answers)  # type: ignore[arg-type]
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    asked = ask(settings(folder), url, pairs)
    return Rehearsal(asked, source_of(asked, {"shop": upstream}, clock), upstream, clock), upstream


async def test_a_client_is_told_what_it_would_be_told_live(tmp_path: Path) -> None:
    this, upstream = rehearsal(
        tmp_path,
        "/api/shirts?size=M&live.mode=items",
        json_answer([{"id": 1, "n": 1}]),
        json_answer([{"id": 1, "n": 2}, {"id": 2}]),
        json_answer(None, 304),
        json_answer(None, 401),
        authorization="t",
    )
    assert await this.look() == [{"type": "snapshot", "data": [{"id": 1, "n": 1}]}]
    assert [event["type"] for event in await this.look()] == ["updated", "created"]
    await this.look()
    assert await this.look() == [{"type": "refused", "data": {"status": 401}}]
    target, headers = upstream.asked[0]
    assert target == b"/api/shirts?size=M"
    assert (b"authorization", b"t") in headers


async def test_a_document_that_clients_have_already(tmp_path: Path) -> None:
    this, _ = rehearsal(tmp_path, "/api/shirts", json_answer([{"id": 2}]))
    await this.begin_with([{"id": 1}])
    assert [event["type"] for event in await this.look()] == ["deleted", "created"]


async def test_a_backend_that_fails_at_first(tmp_path: Path) -> None:
    this, _ = rehearsal(tmp_path, "/api/shirts", json_answer(None, 500), json_answer([]))
    ((event),) = await this.look()
    assert event["type"] == "status"
    assert [event["type"] for event in await this.look()] == ["snapshot", "status"]


def test_urls_that_nothing_answers(tmp_path: Path) -> None:
    config = settings(tmp_path)
    with pytest.raises(ValueError, match="dot segments"):
        ask(config, "/a/../b")
    with pytest.raises(ValueError, match="is not live"):
        ask(config, "/other").live  # noqa: B018 - it is the property that is asked for
    assert ask(config, "http://h:1/api/shirts/a%20b").request.params == {"id": "a b"}
    assert ask(config, "http://h:1/x").request.header(b"host") == b"h:1"


def test_a_mode_that_is_not_offered(tmp_path: Path) -> None:
    with pytest.raises(ClientError):
        rehearsal(tmp_path, "/api/shirts?live.mode=merge", json_answer([]))


def test_a_source_that_only_follows(tmp_path: Path) -> None:
    asked = ask(settings(tmp_path), "/api/shirts")
    with pytest.raises(ValueError, match="cannot be asked for one look"):
        Rehearsal(asked, ScriptedSource(), Played(), ManualClock())


BATCHED = """\
upstreams: {shop: {url: "http://127.0.0.1:9000/v1"}}
routes: [{path: "/api/shirts/{id}", upstream: shop, live: {poll: {credentials: none, batch: {param: ids}}}}]
"""


async def test_a_resource_of_a_batch_is_read_in_a_batch_of_one(tmp_path: Path) -> None:
    one, two, three = ({"id": 7, "n": n, "text": "x" * 100} for n in (1, 2, 3))
    answers = [[one], [two], [], three, three]
    clock, upstream = StillClock(), Played(*map(json_answer, answers))  # type: ignore[arg-type]
    asked = ask(settings(tmp_path, BATCHED), "/api/shirts/7")
    this = Rehearsal(asked, source_of(asked, {"shop": upstream}, clock), upstream, clock)
    assert await this.look() == [{"type": "snapshot", "data": one}]
    for number in (2, 3):
        ((event),) = await this.look()
        assert event["data"] == [{"op": "replace", "path": "/n", "value": number}]
    assert await this.look() == []
    together = [target for target, _ in upstream.asked]
    assert together == [b"/api/shirts?ids=7"] * 3 + [b"/api/shirts/7"] * 2
