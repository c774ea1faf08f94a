"""What a client's write may have changed: the resources that are to be looked at when it has succeeded.

    PATCH /api/shirts/2 ─► 200 ─► look at /api/shirts/2 and at /api/shirts

A route may name them; without that they are the path that was written to and the collection above it, which is how
most REST APIs are laid out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

# RFC 9110 section 9.2.1: these ask for no change.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

SELF = "self"

# What form posts are answered with when they were done; other redirects ask the client to try elsewhere.
_DONE_SEE_OTHER = frozenset({302, 303})


def succeeded(status: int) -> bool:
    """Whether a write with this answer has been done."""
    return 200 <= status < 300 or status in _DONE_SEE_OTHER


def touched(rules: Sequence[str] | None, path: bytes, params: Mapping[str, str]) -> Iterator[bytes]:
    """The encoded paths that a write to `path` may have changed; `params` are those of its route, decoded.

    `rules` are SELF and path templates; None: the path and the one above it.
    """
    if rules is None:
        yield path
        above = parent(path)
        if above is not None:
            yield above
        return
    for rule in rules:
        yield path if rule == SELF else b"/".join(_filled(part, params) for part in rule.split("/"))


def parent(path: bytes) -> bytes | None:
    """The path of the collection that a path is in, with a slash at its end if that has one; None at the top."""
    slash = path.endswith(b"/")
    above, _, name = path.removesuffix(b"/").rpartition(b"/")
    if not name or not above:
        return None
    return above + b"/" if slash else above


def _filled(part: str, params: Mapping[str, str]) -> bytes:
    named = part.startswith("{") and part.endswith("}")
    return quote(params[part[1:-1]] if named else part, safe="").encode()
