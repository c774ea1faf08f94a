"""Reads a list page after page: each is asked for once, and all of them within what may be read in one poll."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Literal, NamedTuple, TypeAlias

from gateway.plugin import Answer, Json, Publisher
from gateway_plugins.sources.poll_answer import Failed
from gateway_plugins.sources.poll_fetcher import Fetcher, Tools
from gateway_plugins.sources.poll_pages import Elsewhere, next_page
from gateway_plugins.sources.poll_pages_options import Pages

End: TypeAlias = Literal["end", "known", "limit", "gap"]
"""Where reading a list ended: at its end, where nothing more is needed, at a limit, or where a part is missing."""

Enough: TypeAlias = Callable[[Answer, list[Json]], Awaitable[bool]]
"""Whether nothing that stands on further pages is needed; the last of the documents is the answer's."""


class Listed(NamedTuple):
    """The pages of a list; `digest` is that of all their bodies, `covered` says that the first one's ETag is of all."""

    documents: list[Json]
    digest: bytes
    end: End
    covered: bool


class Listing:
    """How one list is read: `publish` counts what is odd about it."""

    def __init__(self, tools: Tools, fetcher: Fetcher, pages: Pages, publish: Publisher) -> None:
        self._tools = tools
        self._fetcher = fetcher
        self._pages = pages
        self._publish = publish

    async def gather(self, target: bytes, answer: Answer, enough: Enough) -> Listed:
        """All pages of the list at `target`, of which `answer` is the first. Raises Failed if one cannot be had."""
        pages, digest = self._pages, sha256()
        asked, documents, size = {target}, list[Json](), 0
        while True:
            reading = await self._fetcher.read(answer, None)
            digest.update(reading.digest)
            documents.append(reading.document)
            size += len(answer.body)
            end, following = await self._onward(target, answer, documents, enough)
            if following is None:
                break
            if following in asked or len(documents) >= pages.max or size >= self._tools.max_body:
                end = "limit"
                self._publish.met("pages_cut_off")
                break
            asked.add(following)
            answer = await self._fetcher.fetch(following, [])
            if answer.status not in (200, 206):
                reason = f"the backend answered {answer.status} for a page of the list"
                raise Failed(reason, answer.status, code="upstream_status")
        covered = (pages.etag_of_all or len(documents) == 1) and end in ("end", "known")
        return Listed(documents, digest.digest(), end, covered)

    async def _onward(
        self, target: bytes, answer: Answer, documents: list[Json], enough: Enough
    ) -> tuple[End, bytes | None]:
        """The page after the last of `documents`, which `answer` brought; when there is none to read, why."""
        if answer.status == 206:
            return "gap", None
        try:
            following = next_page(self._pages, target, answer, documents[-1], len(documents))
        except Elsewhere:
            self._publish.met("page_elsewhere")
            return "gap", None
        if following is not None and await enough(answer, documents):
            return "known", None
        return "end", following
