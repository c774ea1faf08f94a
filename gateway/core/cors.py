"""Which pages of other origins may read a live route's streams: CORS, as https://fetch.spec.whatwg.org defines it.

Speaks only for what the gateway itself answers: streams, polls, refusals, and preflights for reading them, or for
publishing to a channel of messages. What the backend says of its REST answers is its own affair.
"""

from __future__ import annotations

import re

from gateway.core.asgi import Header, Headers, Scope
from gateway.core.http import header

# Where a scope keeps what `sharing` says, for whoever answers.
SHARING = "tidegate.sharing"

_ASKED = {b"GET": "GET", b"POST": "POST"}
_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]{1,1000}", re.ASCII)

# What a page needs beyond the headers that it may always read.
_EXPOSED = b"preference-applied, retry-after, www-authenticate"

# A change of `origins` reaches every page in ten minutes; the default, five seconds, would be one more request a poll.
_MAX_AGE = b"600"


def sharing(headers: list[Header] | tuple[Header, ...], origins: tuple[str, ...]) -> Headers:
    """The headers of an answer that pages of `origins` may read; `*` lets all read what needs no cookies."""
    allowed = _allowed(headers, origins)
    if not allowed:
        return [(b"vary", b"origin")] if origins else []
    return [*allowed, (b"access-control-expose-headers", _EXPOSED), (b"vary", b"origin")]


def asks_for(scope: Scope) -> str | None:
    """What a request is the preflight of: a GET or a POST; None where it is neither, or no preflight."""
    if scope.get("method") != "OPTIONS" or header(scope["headers"], b"origin") is None:
        return None
    return _ASKED.get(header(scope["headers"], b"access-control-request-method") or b"")


def preflight(
    headers: list[Header] | tuple[Header, ...], origins: tuple[str, ...], methods: bytes = b"GET"
) -> Headers | None:
    """The answer to the preflight of one of these methods; None where the origin is not one of ours to speak for.

    Whatever header the page wants to send is fine: its origin is trusted to do all that these methods do here.
    """
    allowed = _allowed(headers, origins)
    if not allowed:
        return None
    wanted = header(headers, b"access-control-request-headers")
    if wanted is not None and _NAMES.fullmatch(wanted):
        allowed.append((b"access-control-allow-headers", wanted))
    return [
        *allowed,
        (b"access-control-allow-methods", methods),
        (b"access-control-max-age", _MAX_AGE),
        (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
    ]


def _allowed(headers: list[Header] | tuple[Header, ...], origins: tuple[str, ...]) -> Headers:
    origin = header(headers, b"origin")
    if origin is None:
        return []
    if origin.decode("latin-1") in origins:
        return [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
    return [(b"access-control-allow-origin", b"*")] if "*" in origins else []
