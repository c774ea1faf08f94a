"""Which resource a target is, how many of them are asked for at once, and which of them an answer holds.

Pure. Ids come from clients, so they must not be able to say more than one id each: what is no plain word is never put
among others. Of an answer only what bears a wanted id is used, each for its own channel.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from gateway.plugin import Json, Target
from gateway_plugins.sources.poll_batch_options import Batch
from gateway_plugins.sources.poll_pages import search

# Letters and digits of any script, and marks that lists, ranges, patterns and queries are not written with.
_PLAIN = re.compile(r"[\w~@:+=-](?:\.?[\w~@:+=-]){0,127}")

# Bytes of a request's target. Servers that take the least take 8 KB of a request line (nginx, Apache), or less of a
# query (IIS: 2 KB, which `max` is for).
MOST = 4096

# A target that is so long without any id leaves too little room for them.
_LONGEST = 2048


class Spot(NamedTuple):
    """One resource of a list: `base` is the list's target without ids, `written` the id as it stands in a query."""

    base: bytes
    id: str
    written: bytes


def spot(batch: Batch, target: Target) -> Spot | None:
    """Where the resource is to be found among others; None if it must be asked for alone."""
    name = batch.id or next(iter(target.params), "")
    value = target.params.get(name, "")
    path, _, query = target.target.partition(b"?")
    if not _PLAIN.fullmatch(value) or _names(query, batch.param):
        return None
    base = path.rpartition(b"/")[0] if batch.path is None else _filled(batch.path, target)
    if query:
        base += (b"&" if b"?" in base else b"?") + query
    return Spot(base, value, quote(value, safe="").encode()) if 0 < len(base) <= _LONGEST else None


def asked(batch: Batch, base: bytes, ids: Iterable[bytes]) -> bytes:
    """The target that asks for all of these."""
    param = quote(batch.param, safe="[]$").encode()
    if batch.repeat:
        given = b"&".join(param + b"=" + one for one in ids)
    else:
        given = param + b"=" + quote(batch.separator, safe=",").encode().join(ids)
    return base + (b"&" if b"?" in base else b"?") + given


def size(batch: Batch, written: bytes) -> int:
    """At most so many bytes are added to a target by one more id."""
    return len(written) + (len(batch.param) * 3 + 2 if batch.repeat else 12)


class Found:
    """The wanted `resources` that the pages of an answer hold, each once."""

    __slots__ = ("_batch", "_read", "_twice", "_wanted", "resources")

    def __init__(self, batch: Batch, wanted: Collection[str]) -> None:
        self.resources: dict[str, Json] = {}
        self._batch = batch
        self._wanted = wanted
        self._twice: set[str] = set()  # nobody knows which of them is meant
        self._read = 0

    def read(self, documents: Sequence[Json]) -> bool:
        """Take what is in those that are new; says whether all is there. Raises ValueError for no list of resources."""
        for document in documents[self._read :]:
            self._page(document)
        self._read = len(documents)
        return len(self.resources) == len(self._wanted)

    def _page(self, document: Json) -> None:
        batch, found = self._batch, self.resources
        listed = document if batch.at is None else search(batch.at, document)
        if not isinstance(listed, list):
            raise ValueError("there is no list where `batch` says")
        for item in listed:
            key = _text(item.get(batch.key)) if isinstance(item, dict) else None
            if key is None or key not in self._wanted or key in self._twice:
                continue
            if key in found:
                self._twice.add(key)
                del found[key]
            else:
                found[key] = item if batch.document is None else search(batch.document, item)


def _filled(path: str, target: Target) -> bytes:
    path, mark, query = path.partition("?")
    parts = [
        quote(target.params.get(part[1:-1], ""), safe="") if part.startswith("{") else part for part in path.split("/")
    ]
    return ("/".join(parts) + mark + query).encode()


def _names(query: bytes, param: str) -> bool:
    """Whether a client's own query has the parameter, in any spelling."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name == param for name, _ in pairs)


def _text(value: Json) -> str | None:
    """An id as it stands in a URL."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value)
