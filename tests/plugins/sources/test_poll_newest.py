"""Lists with the newest first (`pages.stop_when_known`): the real runtime on a backend that counts its requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.core.event import Json
from gateway.core.settings import Items
from gateway.plugin import Answer, Headers, Refused
from gateway.testing.source import turn
from tests.plugins.sources.scripted import answer, ok, run
from tests.plugins.sources.together import JSON, Followed, Together

SIZE = 2


class News:
    """`/api/news?page=`, two items a page; `odd` are the statuses that pages are answered with in place of 200."""

    name = "news"

    def __init__(self, count: int) -> None:
        self.items: list[Json] = [{"id": number, "v": 1} for number in range(count, 0, -1)]
        self.odd: dict[int, int] = {}
        self.etags = False
        self.asked: list[int] = []
        self.conditions: list[bytes] = []

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        page = int(parse_qs(urlsplit(target.decode()).query).get("page", ["1"])[0])
        self.asked.append(page)
        self.conditions += [value for name, value in headers if name == b"if-none-match"]
        text = json.dumps(self.items[SIZE * (page - 1) : SIZE * page]).encode()
        etag = (b"etag", b'"' + text.hex().encode()[:1000] + b'"')
        if self.etags and (b"if-none-match", etag[1]) in headers:
            return Answer(status=304, headers=(), body=b"")
        return Answer(status=self.odd.get(page, 200), headers=(JSON, etag) if self.etags else (JSON,), body=text)

    def put(self, number: int, version: int = 1) -> None:
        """To the top, as a list does that is ordered by the time of change."""
        self.items = [{"id": number, "v": version}, *(item for item in self.items if item["id"] != number)]  # type: ignore[index, call-overload]

    def take(self) -> list[int]:
        asked, self.asked = self.asked, []
        return asked


class Reader:
    def __init__(self, scene: Together, news: News, followed: Followed) -> None:
        self.scene, self.news, self._followed = scene, news, followed

    @property
    def ids(self) -> list[Json]:
        document = self._followed.document
        assert isinstance(document, list)
        return [item["id"] for item in document if isinstance(item, dict)]

    @property
    def document(self) -> Json:
        return self._followed.document

    async def poll(self) -> list[int]:
        """The pages that the next poll asks for."""
        await self.scene.pass_time(10)
        return self.news.take()


@asynccontextmanager
async def reading(count: int = 8, items: Items | None = None, **keys: object) -> AsyncIterator[Reader]:
    """A channel that has read the whole."""
    pages = {"page": "page", "size": SIZE, "stop_when_known": True, "full_every": "1h", **keys}
    scene, news = Together("/api/news", batch=None, interval="10s", pages=pages), News(count)
    settings = replace(scene.route.settings, items=items or Items())
    scene.route = replace(scene.route, settings=settings, upstream=news)
    reader = Reader(scene, news, scene.follow("/api/news"))
    try:
        await turn(40)
        yield reader
    finally:
        await scene.supervisor.close()


async def test_while_nothing_happens_a_poll_is_one_request() -> None:
    async with reading(8) as reader:
        assert reader.news.take() == [1, 2, 3, 4, 5]
        assert [await reader.poll() for _ in range(3)] == [[1]] * 3
        assert reader.ids == [8, 7, 6, 5, 4, 3, 2, 1]
        assert reader.scene.polls == {"changed": 1, "unchanged": 3}


async def test_pages_are_read_up_to_the_first_that_is_known() -> None:
    async with reading(8) as reader:
        reader.news.take()
        reader.news.put(9)
        assert await reader.poll() == [1, 2]
        assert reader.ids == [9, 8, 7, 6, 5, 4, 3, 2, 1]
        for number in (10, 11, 12):
            reader.news.put(number)
        assert await reader.poll() == [1, 2, 3]
        assert reader.ids == list(range(12, 0, -1))


async def test_an_edit_is_seen_behind_what_is_known() -> None:
    async with reading(8) as reader:
        reader.news.take()
        reader.news.items[1] = {"id": 7, "v": 2}
        reader.news.items[2] = {"id": 6, "v": 2}
        assert await reader.poll() == [1, 2, 3], "a page with one item that is known, and news, is no end"
        assert reader.document == reader.news.items
        reader.news.put(1, version=2)
        assert await reader.poll() == [1, 2]
        assert reader.document == reader.news.items


async def test_absence_is_no_deletion_until_the_whole_is_read() -> None:
    async with reading(8, full_every="25s") as reader:
        reader.news.take()
        del reader.news.items[5]
        reader.news.put(9)
        assert await reader.poll() == [1, 2]
        assert 3 in reader.ids
        asked = [await reader.poll() for _ in range(4)]  # when in its interval a channel polls is its own
        assert [pages for pages in asked if pages != [1]] == [[1, 2, 3, 4, 5]]
        assert reader.ids == [9, 8, 7, 6, 5, 4, 2, 1]


async def test_while_deletions_wait_the_whole_is_read() -> None:
    async with reading(4, items=Items(delete_after=2)) as reader:
        reader.news.take()
        del reader.news.items[3]
        reader.scene.channels.refresh("orders", b"/api/news", gone=True)
        assert await reader.poll() == [1, 2]
        assert reader.ids == [4, 3, 2, 1]
        assert await reader.poll() == [1, 2]
        assert reader.ids == [4, 3, 2]
        assert await reader.poll() == [1]


async def test_after_a_delete_the_whole_is_read_once_however_often() -> None:
    async with reading(4) as reader:
        for _ in range(2):
            await turn()
            reader.news.take()
            reader.scene.channels.refresh("orders", b"/api/news", gone=True)
            assert await reader.poll() == [1, 2, 3]
        assert await reader.poll() == [1]


async def test_what_lies_beyond_the_last_page_to_be_read_is_no_reason_to_read_the_whole() -> None:
    async with reading(8, max=2) as reader:
        assert reader.news.take() == [1, 2]
        assert await reader.poll() == [1]
        assert reader.ids == [8, 7, 6, 5]


async def test_after_a_page_that_came_in_part_the_whole_is_read() -> None:
    async with reading(8) as reader:
        reader.news.take()
        reader.news.odd[2] = 206
        reader.news.put(9)
        reader.news.items[4] = {"id": 5, "v": 2}
        assert await reader.poll() == [1, 2]
        reader.news.odd.clear()
        assert await reader.poll() == [1, 2, 3, 4, 5]
        assert reader.document == reader.news.items


async def test_a_poll_that_fails_midway_loses_nothing() -> None:
    async with reading(8) as reader:
        reader.news.take()
        reader.news.odd[2] = 404
        for number in (9, 10, 11):
            reader.news.put(number)
        assert (await reader.poll())[:2] == [1, 2]
        assert 11 not in reader.ids
        assert reader.scene.counts.incidents["since_refused"] == 0
        reader.news.odd.clear()
        await reader.poll()
        assert reader.document == reader.news.items


async def test_the_first_pages_validator_is_used_once_that_page_was_enough() -> None:
    async with reading(8) as reader:
        reader.news.etags = True
        assert await reader.poll()
        assert reader.news.conditions == []
        await reader.poll()
        assert (len(reader.news.conditions), reader.scene.polls["not_modified"]) == (1, 1)
        reader.news.put(9)
        assert await reader.poll() == [1, 2]
        assert reader.document == reader.news.items
        assert len(reader.news.conditions) == 2
        await reader.poll()
        assert len(reader.news.conditions) == 2, "two pages have no one validator"


async def test_a_page_without_a_list_is_a_failure() -> None:
    page = ok(b"[1]", Link='<?p=2>; rel="next"')
    this = run(page, ok(b"[2]"), page, pages={"stop_when_known": True}, tolerate=0)
    async with this.started():
        this.channel.refuses = "there is no list"
        await this.next()
    assert this.channel.results == ["changed", "error"]
    assert this.channel.told[0].reason == "the backend's answer does not fit the route: there is no list"


async def test_the_whole_is_not_asked_for_with_the_first_pages_validator() -> None:
    async with reading(8) as reader:
        reader.news.etags = True
        await reader.poll()
        del reader.news.items[5]
        reader.news.take()
        reader.scene.channels.refresh("orders", b"/api/news", gone=True)
        assert await reader.poll() == [1, 2, 3, 4]
        assert reader.document == reader.news.items


async def test_a_list_that_is_gone_for_good_ends_when_its_first_page_says_so() -> None:
    pages = {"page": "page", "size": SIZE, "stop_when_known": True, "full_every": "1h"}
    this = run(ok(b'[{"id": 1}]'), answer(404), pages=pages, terminal=[404])
    watch = this.watch()
    await watch.look()
    with pytest.raises(Refused):
        await watch.look()
