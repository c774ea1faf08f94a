"""Where the next page of a list is: in a header, in the answer, or at the next number.

Pure. A page is always asked of the same path on the same upstream: of what the backend names as the next page, only
the query is used, so that no answer leads to another origin or another resource, and no credentials with it.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import jmespath
from jmespath.exceptions import JMESPathError

from gateway.plugin import Answer, Json
from gateway_plugins.sources.poll_pages_options import Pages

# A next link is a query of ours and a cursor; nobody's cursor is longer.
_LONGEST = 8192

# Link: <...>; rel="next" (RFC 8288): links are divided by commas outside of <>.
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL_NEXT = re.compile(r";\s*rel\s*=\s*(?:\"[^\"]*\bnext\b[^\"]*\"|next\b)", re.IGNORECASE)


class Elsewhere(Exception):
    """The next page is said to be at another path."""


def next_page(pages: Pages, target: bytes, answer: Answer, document: Json, number: int) -> bytes | None:
    """The target of the page after the one that `answer` brought, page `number` of the list (from 1).

    `target` is that of the first page. None when there are no more. Raises Elsewhere.
    """
    if pages.page is not None or pages.offset is not None:
        count = _count(pages, document)
        if count == 0 or (pages.size is not None and count < pages.size):
            return None
        if pages.page is not None:
            return with_parameter(target, pages.page, str(pages.first + number))
        return with_parameter(target, pages.offset or "", str((pages.size or count) * number))
    found = _named(pages, answer, document)
    if found is None:
        return None
    if pages.cursor is not None:
        return with_parameter(target, pages.cursor, found)
    return _at(target, found)


def _named(pages: Pages, answer: Answer, document: Json) -> str | None:
    """What the backend says the next page is: a URL, or a cursor."""
    if pages.field is not None:
        return _text(search(pages.field, document))
    wanted = (pages.header or "link").encode()
    values = [value.decode("latin-1") for name, value in answer.headers if name.lower() == wanted]
    if pages.header is not None:
        return _text(values[0].strip()) if values else None
    for value in values:
        for uri, parameters in _LINK.findall(value[: 4 * _LONGEST]):
            if _REL_NEXT.search(parameters):
                return _text(uri)
    return None


def _at(target: bytes, url: str) -> bytes | None:
    """Our path with the query of `url`, whose path must be ours, perhaps below a prefix that we don't see."""
    path, _, own = target.partition(b"?")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Elsewhere from None
    if parts.path and not parts.path.encode("utf-8", "replace").endswith(path):
        raise Elsewhere
    query = urlencode(parse_qsl(parts.query, keep_blank_values=True)).encode() if parts.query else b""
    return None if query == own or not query else path + b"?" + query


def with_parameter(target: bytes, parameter: str, value: str) -> bytes:
    """The target with one parameter set."""
    path, _, query = target.partition(b"?")
    kept = [part for part in query.split(b"&") if part and part.partition(b"=")[0] != parameter.encode()]
    return path + b"?" + b"&".join([*kept, urlencode({parameter: value}).encode()])


def _count(pages: Pages, document: Json) -> int:
    items = search(pages.at, document) if pages.at is not None else document
    return len(items) if isinstance(items, list) else 0


def search(expression: str, document: Json) -> Json:
    try:
        found: Json = jmespath.search(expression, document)
    except (JMESPathError, RecursionError, TypeError, ValueError, OverflowError):
        return None
    return found


def _text(value: Json) -> str | None:
    """A cursor or a URL; a number is a cursor too, and what is empty is the end."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    text = str(value)
    return text if 0 < len(text) <= _LONGEST else None
