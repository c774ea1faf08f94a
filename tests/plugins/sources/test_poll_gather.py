"""Pages one after the other; how they are named is in `test_poll_pages`, what comes of them in `test_poll_channel`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.plugin import Answer, Json
from gateway_plugins.sources.poll_answer import Failed
from gateway_plugins.sources.poll_channel import PolledChannel
from gateway_plugins.sources.poll_gather import Listed, Listing
from gateway_plugins.sources.poll_pages_options import Pages
from tests.plugins.sources.scripted import Reply, answer, ok, run


def page(number: int, following: str = "") -> Answer:
    return ok(json.dumps([number]).encode(), **({"Next": following} if following else {}))


class Reading:
    """A list that is read: `asked` are the further pages, `met` what was odd."""

    def __init__(self, *replies: Reply, last: int = 0, **options: object) -> None:
        self._this = run(*replies)
        watch = self._this.watch()
        assert isinstance(watch, PolledChannel)
        self._last = last
        pages = Pages.model_validate({"header": "Next", **options})
        self._listing = Listing(watch._tools, watch._fetcher, pages, self._this.channel)

    async def __call__(self, first: Answer) -> Listed:
        return await self._listing.gather(b"/list", first, self._enough)

    async def _enough(self, answer: Answer, documents: list[Json]) -> bool:
        return documents[-1] == [self._last]

    @property
    def asked(self) -> list[bytes]:
        return [target for _, target, _ in self._this.backend.asked]

    @property
    def met(self) -> list[str]:
        return list(self._this.channel.incidents)


async def test_to_the_end() -> None:
    read = Reading(page(2, "?p=3"), page(3))
    listed = await read(page(1, "?p=2"))
    assert (listed.documents, listed.end, listed.covered) == ([[1], [2], [3]], "end", False)
    assert read.asked == [b"/list?p=2", b"/list?p=3"]
    assert read.met == []


async def test_no_further_than_is_needed() -> None:
    read = Reading(page(2, "?p=3"), last=2)
    listed = await read(page(1, "?p=2"))
    assert (listed.documents, listed.end) == ([[1], [2]], "known")
    assert (await Reading(last=1)(page(1, "?p=2"))).covered, "what is needed is on the first page"
    assert (await Reading(last=1)(page(1))).end == "end"


async def test_an_etag_that_is_of_all() -> None:
    assert (await Reading(page(2), etag_of_all=True)(page(1, "?p=2"))).covered


@pytest.mark.parametrize(("options", "count"), [({"max": 2}, 2), ({}, 3)])
async def test_not_round_and_round(options: dict[str, Any], count: int) -> None:
    read = Reading(page(2, "?p=3"), page(3, "?p=2"), **options)
    listed = await read(page(1, "?p=2"))
    assert (len(listed.documents), listed.end, listed.covered) == (count, "limit", False)
    assert read.met == ["pages_cut_off"]
    assert not (await Reading(page(2, "?p=3"), etag_of_all=True, max=2)(page(1, "?p=2"))).covered


async def test_where_a_part_is_missing() -> None:
    assert (await Reading()(Answer(status=206, headers=(), body=b"[1]"))).end == "gap"
    read = Reading()
    listed = await read(page(1, "http://elsewhere/other?p=2"))
    assert (listed.end, read.asked, read.met) == ("gap", [], ["page_elsewhere"])
    assert not (await Reading(etag_of_all=True)(page(1, "http://elsewhere/other?p=2"))).covered, "or nobody asks again"


async def test_the_same_pages_have_the_same_digest() -> None:
    one, two = await Reading(page(2))(page(1, "?p=2")), await Reading(page(2))(page(1, "?p=2"))
    other = await Reading(page(3))(page(1, "?p=2"))
    assert one.digest == two.digest != other.digest


@pytest.mark.parametrize("status", [404, 304, 500])
async def test_a_page_that_fails_fails_the_list(status: int) -> None:
    with pytest.raises(Failed, match=f"answered {status} for a page") as caught:
        await Reading(answer(status))(page(1, "?p=2"))
    assert caught.value.status == status
