"""`tidegate poll --once`: one look at the backend, with everything that was sent, answered and concluded.

Credentials are never printed: of the headers sent only those that the gateway makes itself have their values shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from time import monotonic

from gateway.commands.explain import asked_url
from gateway.commands.rehearsal import Asked, Nowhere, Rehearsal, source_of
from gateway.core.asgi import Header, Headers
from gateway.core.event import Json
from gateway.core.http import Answer
from gateway.core.redact import is_secret
from gateway.core.settings import UpstreamSettings
from gateway.plugin import Clock, Upstream, UpstreamError

HIDDEN = "***"
_OURS = frozenset({b"accept", b"accept-encoding", b"if-none-match", b"if-modified-since", b"content-type"})
_COOKIES = frozenset({b"set-cookie", b"cookie", b"authorization", b"www-authenticate"})


class ShownUpstream:
    """An upstream that says what it is asked and what it answers."""

    def __init__(self, upstream: Upstream, settings: UpstreamSettings, say: Callable[[str], None]) -> None:
        self._upstream = upstream
        self._settings = settings
        self._say = say

    @property
    def name(self) -> str:
        return self._upstream.name

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        self._say(f"> {method} {asked_url(self._settings, target)}")
        for name, value in headers:
            self._say(f"> {_header(name, value if name.lower() in _OURS else HIDDEN.encode())}")
        began = monotonic()
        try:
            answer = await self._upstream.fetch(method, target, headers, max_body=max_body, body=body)
        except UpstreamError as error:
            self._say(f"< {error}")
            raise
        self._say(f"< {answer.status}, {len(answer.body)} bytes in {(monotonic() - began) * 1000:.0f} ms")
        for name, value in answer.headers:
            secret = name.lower() in _COOKIES or is_secret(name.decode("latin-1"))
            self._say(f"< {_header(name, HIDDEN.encode() if secret else value)}")
        self._say(f"# {_validators(answer.headers)}")
        return answer


async def poll_once(
    asked: Asked,
    upstream: ShownUpstream,
    clock: Clock,
    say: Callable[[str], None],
    previous: tuple[Json] | None = None,
    at: Callable[[str], Upstream] = Nowhere,
) -> Json:
    """One look, told line by line; returns the document that was selected (None when there is none)."""
    source = source_of(asked, {upstream.name: upstream}, clock, at)
    rehearsal = Rehearsal(asked, source, upstream, clock)
    if previous is not None:
        await rehearsal.begin_with(previous[0])
    events = await rehearsal.look()
    log = rehearsal.channel.log
    say(f"# {_summary(log.document) if log.has_state else 'no document'}; what a client is told:")
    for event in events or [{"type": "nothing", "data": None}]:
        say(json.dumps(event, ensure_ascii=False))
    document = log.document
    alone = await rehearsal.look_alone()
    if alone is not None:
        say(f"# by its own URL it is {_otherwise(alone)}")
        for event in alone:
            say(json.dumps(event, ensure_ascii=False))
    return document


def _otherwise(alone: list[dict[str, Json]]) -> str:
    """How what a resource's own URL answers compares with what a list holds of it."""
    if not alone:
        return "the same document"
    return "not the same: after a write a client would be told this; see batch.document"


def _summary(document: Json) -> str:
    size = len(json.dumps(document))
    what = f"a list of {len(document)}" if isinstance(document, list) else "one document"
    return f"{what}, {size} bytes as JSON"


def _header(name: bytes, value: bytes) -> str:
    text = f"{name.decode('latin-1')}: {value.decode('latin-1')}"
    return "".join(char if char.isprintable() else "?" for char in text)  # a terminal obeys more than it shows


def _validators(headers: Sequence[Header]) -> str:
    names = [name for name in (b"etag", b"last-modified") if any(name == key.lower() for key, _ in headers)]
    if not names:
        return "no validators: every poll brings the whole answer"
    return f"the next poll is conditional, by {' and '.join(name.decode() for name in names)}"
