from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.change import Step
from gateway.core.deletes import INSISTENT, Scope
from gateway.core.event import Json
from gateway.core.settings import Items
from gateway.live.publisher import ChannelPublisher
from gateway.plugin import Publisher, Status
from gateway.testing.source import turn
from tests.live.scene import Client, Scene


async def test_a_document_of_the_wrong_shape_is_the_sources_to_deal_with(scene: Scene) -> None:
    errors = []

    async def publish_garbage(publish: Publisher) -> None:
        try:
            await publish.state({"not": "a list"})
        except ValueError as error:
            errors.append(str(error))

    client = await scene.open()
    await scene.state([])
    client.writer.take()
    await scene.source.do(publish_garbage)
    assert errors == ["the answer is not a list"]
    assert client.writer.take() == b""


async def test_state_says_whether_anything_changed(scene: Scene) -> None:
    said = []

    async def publish_twice(publish: Publisher) -> None:
        said.append(publish.has_state)
        said.append(await publish.state([{"id": 1}]))
        said.append(publish.has_state)
        said.append(await publish.state([{"id": 1}]))

    await scene.open()
    await scene.source.do(publish_twice)
    assert said == [False, True, True, False]


async def test_polls_are_counted(scene: Scene) -> None:
    async def count(publish: Publisher) -> None:
        publish.polled("changed", 0.02)

    await scene.open()
    await scene.source.do(count)
    stats = scene.stats.routes["shirts"]
    assert stats.polls["changed"] == 1
    assert stats.poll_seconds.total == pytest.approx(0.02)


async def test_items_without_a_key_of_their_own_are_reported_to_the_operator(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    client = await scene.open()
    await scene.state([{"id": 1}, {"name": "x"}, {"id": 1}])
    assert caplog.messages == [
        "route shirts: 2 items have no key of their own (items.key: id); their changes go out as snapshots"
    ]
    await scene.state([{"id": 1}, {"name": "y"}, {"id": 1}])
    assert b'"snapshot"' in client.writer.take()
    assert len(caplog.messages) == 1
    assert scene.stats.routes["shirts"].irregular == 4


async def test_a_document_that_takes_long_to_compare_leaves_the_loop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    compare = ChannelPublisher._compare

    def slowly(self: ChannelPublisher, document: Json, more: Sequence[Json], scope: Scope) -> Step:
        threads.append(threading.current_thread() is threading.main_thread())
        if threads[-1]:
            scene.clock.advance(1)
        return compare(self, document, more, scope)

    monkeypatch.setattr(ChannelPublisher, "_compare", slowly)
    done = asyncio.Event()

    async def publish_three(publish: Publisher) -> None:
        for number in range(3):
            await publish.state([{"id": number}])
        done.set()

    client = await scene.open()
    await scene.source.do(publish_three)
    await done.wait()
    await turn()
    assert threads == [True, False, False]
    assert str(client.heard()[-1]).endswith(".5"), "one snapshot, and two items exchanged for others"


def states(client: Client) -> list[str]:
    """What status events said since the last call."""
    return [data["state"] for data in statuses(client)]


def statuses(client: Client) -> list[dict[str, Any]]:
    """The data of status events since the last call."""
    events = [json.loads(line) for line in client.writer.take().splitlines() if line.startswith(b"{")]
    return [event["data"] for event in events if event["type"] == "status"]


async def test_an_answer_that_lacks_most_items_is_told_of_and_kept_back(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    client = await scene.open()
    await scene.state([{"id": number} for number in range(20)])
    client.writer.take()
    await scene.state([])
    assert b"the answer lacks 20 of 20 items" in client.writer.take()
    await scene.source.do(say_ok)
    assert states(client) == [], "the source's own word does not end the doubt"
    assert "lacks 20 of 20" in caplog.text
    await scene.state([{"id": number} for number in range(20)])
    assert states(client) == ["recovered"]
    assert scene.stats.routes["shirts"].doubted == 1
    assert scene.stats.routes["shirts"].failing == 0


async def test_the_same_answer_again_confirms_deletions(scene: Scene) -> None:
    said: list[bool] = []

    async def confirm(publish: Publisher) -> None:
        said.append(await publish.confirm())

    client = await scene.open()
    await scene.state([{"id": number} for number in range(20)])
    await scene.source.do(confirm)
    await scene.state([])
    client.writer.take()
    for _ in range(INSISTENT - 1):
        await scene.source.do(confirm)
    assert said == [False] * (INSISTENT - 1) + [True]
    assert client.writer.take().count(b'"deleted"') == 20
    await scene.source.do(confirm)
    assert said[-1] is False


async def test_an_incomplete_answer_is_no_reason_to_delete(scene: Scene) -> None:
    async def incomplete(publish: Publisher) -> None:
        assert await publish.state([{"id": 3}], complete=False)

    client = await scene.open()
    await scene.state([{"id": 1}, {"id": 2}])
    client.writer.take()
    await scene.source.do(incomplete)
    heard = client.writer.take()
    assert b'"created"' in heard
    assert b'"deleted"' not in heard


async def say_ok(publish: Publisher) -> None:
    publish.status(Status(state="ok"))


@pytest.mark.parametrize("items", [None, Items(), Items(deleted="gone")])
async def test_it_says_whether_items_tell_of_deletions(scene: Scene, items: Items | None) -> None:
    said: list[bool] = []

    async def ask(publish: Publisher) -> None:
        said.append(publish.tombstones)

    scene.route = replace(scene.route, settings=replace(scene.route.settings, items=items, modes=("patch",)))
    await scene.open()
    await scene.source.do(ask)
    assert said == [items is not None and items.deleted is not None]


async def test_pages_are_one_list(scene: Scene) -> None:
    client = await scene.open()
    await scene.source.do(lambda publish: publish.state([{"id": 1}], more=[[{"id": 2}], [{"id": 3}]]))
    assert b'"data": [{"id": 1}, {"id": 2}, {"id": 3}]' in client.writer.take()


@pytest.mark.parametrize(
    ("page", "known"),
    [
        ([{"id": 1, "n": 1}, {"id": 2, "n": 1}], True),
        ([{"id": 2, "n": 1}, {"id": 3, "n": 1}], True),
        ([{"id": 1, "n": 1, "seen": 9}], True),  # but for what is ignored
        ([{"id": 1, "n": 2}, {"id": 2, "n": 1}], False),
        ([{"id": 3, "n": 1}, {"id": 1, "n": 1}], False),  # one went to the top
        ([{"id": 1, "n": 1}, {"id": 4, "n": 1}], False),
        ([{"id": 1, "gone": True}], False),
        ([{"id": 9, "gone": True}], True),
        ([{"n": 1}], False),
        ([], False),
    ],
)
async def test_it_says_whether_a_page_is_known(scene: Scene, page: list[Json], *, known: bool) -> None:
    said: list[bool] = []

    async def ask(publish: Publisher) -> None:
        said.append(await publish.known(page))

    items = Items(ignore=("seen",), deleted="gone")
    scene.route = replace(scene.route, settings=replace(scene.route.settings, items=items))
    client = await scene.open()
    await scene.source.do(ask)
    assert said == [False], "there is no state yet"
    await scene.state([{"id": number, "n": 1} for number in (1, 2, 3)])
    client.writer.take()
    await scene.source.do(ask)
    assert said[1:] == [known]
    assert client.writer.take() == b"", "asking publishes nothing"


async def test_pages_must_be_lists(scene: Scene) -> None:
    said = []

    async def publish(publish: Publisher) -> None:
        with pytest.raises(ValueError, match="one of its pages has no list") as caught:
            await publish.state([{"id": 1}], more=[{"id": 2}])
        said.append(str(caught.value))

    await scene.open()
    await scene.source.do(publish)
    assert said == ["one of its pages has no list where `items` says"]


async def test_changes_are_items_of_the_list_that_stays(scene: Scene) -> None:
    said: list[object] = []

    async def changes(publish: Publisher) -> None:
        said.append(await publish.changes([{"id": 2, "n": 5}, {"id": 9}], more=[[{"id": 1}]]))
        said.append(await publish.changes([{"id": 9}]))

    await scene.open()
    await scene.state([{"id": 1}, {"id": 2}, {"id": 3}])
    await scene.source.do(changes)
    assert said == [True, False]
    late = await scene.open()
    snapshot = json.loads(late.writer.take().splitlines()[1])
    assert snapshot["data"] == [{"id": 1}, {"id": 2, "n": 5}, {"id": 3}, {"id": 9}]


async def test_changes_of_nothing_are_no_state(scene: Scene) -> None:
    errors: list[str] = []

    async def changes(publish: Publisher) -> None:
        try:
            await publish.changes([{"id": 2}])
        except ValueError as error:
            errors.append(str(error))

    await scene.open()
    await scene.source.do(changes)
    assert errors == ["it tells of changes, and there are no `items` that could have changed"]


async def test_changes_settle_no_doubt_and_count_no_absence(scene: Scene) -> None:
    unsettled: list[bool] = []

    async def changes(publish: Publisher) -> None:
        unsettled.append(publish.unsettled)
        await publish.changes([{"id": 100}])
        unsettled.append(publish.unsettled)
        assert not await publish.confirm()

    client = await scene.open()
    await scene.state([{"id": number} for number in range(20)])
    await scene.state([])
    client.writer.take()
    for _ in range(INSISTENT):
        await scene.source.do(changes)
    assert unsettled == [True] * 2 * INSISTENT
    assert b"deleted" not in (told := client.writer.take())
    assert b"status" not in told, "what was doubted still is"
    for _ in range(INSISTENT - 1):
        await scene.state([{"id": 100}])
    assert client.writer.take().count(b'"type": "deleted"') == 20


async def test_an_answer_that_is_not_believed_confirms_nothing(scene: Scene) -> None:
    async def polled(publish: Publisher) -> None:
        publish.polled("unchanged", 0.1)

    client = await scene.open()
    await scene.state([{"id": number} for number in range(20)])
    await scene.source.do(polled)
    scene.clock.advance(10)
    await scene.state([])
    await scene.source.do(polled)
    assert [data["age"] for data in statuses(client)] == [10]
    scene.clock.advance(10)
    (late,) = statuses(await scene.open())
    assert (late["state"], late["age"]) == ("suspect", 20)


async def test_who_comes_before_a_poll_is_over_is_told_no_age_of_the_poll_before(scene: Scene) -> None:
    async def polled(publish: Publisher) -> None:
        publish.polled("changed", 0.1)

    await scene.open()
    await scene.state([{"id": 1}])
    await scene.source.do(polled)
    scene.clock.advance(10)
    await scene.state([{"id": 2}])  # and the poll goes on, to read where it leads
    assert states(await scene.open()) == []
