"""How polls ask the backend: in whose name, with which tokens, and whether an answer may be shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple

from gateway.plugin import Again, Answer, Clock, Headers, Status, Target, Unshared, UpstreamError
from gateway_plugins.sources.poll_answer import Failed, Reading, is_heavy, read
from gateway_plugins.sources.poll_formats import Format
from gateway_plugins.sources.poll_hints import USUAL, Rates, unshared
from gateway_plugins.sources.poll_oauth2 import Tokens
from gateway_plugins.sources.poll_options import Conditional, Since
from gateway_plugins.sources.poll_pages_options import Pages
from gateway_plugins.sources.poll_tempo import Tempo

# Parsing this much takes about 2 ms, as long as an event loop should be kept from its clients.
OFF_LOOP = 256 * 1024

_PLAIN = (b"accept-encoding", b"identity")

# What clients are told; the error itself may name addresses.
_UNREACHED = {
    "upstream_unavailable": "the backend cannot be reached",
    "upstream_timeout": "the backend did not answer in time",
    "upstream_protocol": "the backend's answer is not usable: it is broken off, too big, or no HTTP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What all channels of a source poll with.

    `deadline` makes what bounds one poll in time; `own` says that the credentials are the gateway's, so that what
    the backend says of its limits holds for all channels; `tokens` are where they come from if they change; `terminal`
    are statuses that end a channel even if it has a state.
    """

    clock: Clock
    format: Format
    pages: Pages | None
    since: Since | None
    shared: Shared | None
    max_body: int
    conditional: Conditional
    deadline: Callable[[], AbstractAsyncContextManager[object]]
    own: bool
    method: str = "GET"
    body: bytes = b""
    tokens: Tokens | None = None
    terminal: frozenset[int] = frozenset()
    rates: Rates = USUAL


class Shared(NamedTuple):
    """Clients with different credentials share, by claims: `part` ends that for the route.

    `differing` are the headers in which they may differ.
    """

    by: list[str]
    differing: frozenset[bytes]
    part: Callable[[], None]


class Fetcher:
    """Asks in the name of one target, or of whoever lends it credentials."""

    def __init__(self, tools: Tools, target: Target) -> None:
        self._tools = tools
        self._target = target
        self._headers = [*target.headers, _PLAIN]

    def speak(self, credentials: Headers) -> None:
        """From now on these are used."""
        self._headers = [*self._target.headers, *credentials, _PLAIN]

    async def fetch(self, target: bytes, conditions: Headers) -> Answer:
        headers, tokens = self._headers + conditions, self._tools.tokens
        if tokens is None:
            answer = await self._request(target, headers)
        else:
            line = await tokens.line()
            answer = await self._request(target, [*headers, line])
            if answer.status == 401:  # it may have been taken back before its time
                tokens.refused(line)
                answer = await self._request(target, [*headers, await tokens.line()])
        if self._target.voices is not None and self._tools.shared is not None:
            self._check(answer, self._tools.shared)
        return answer

    async def _request(self, target: bytes, headers: Headers) -> Answer:
        tools = self._tools
        try:
            return await self._target.upstream.fetch(
                tools.method, target, headers, max_body=tools.max_body, body=tools.body
            )
        except UpstreamError as error:
            raise Failed(_UNREACHED.get(error.code, "the backend failed"), code=error.code) from None

    def _check(self, answer: Answer, shared: Shared) -> None:
        """Raise Unshared for a good answer that says it is not for everyone who shares it."""
        why = unshared(answer.headers, shared.differing) if answer.status in (200, 206, 304) else ""
        if why:
            shared.part()
            raise Unshared(
                f"the backend marks an answer with {why!r}, so answers are no longer shared by {', '.join(shared.by)}; "
                "set share_private if they are the same for all of them, else remove share_by"
            )

    async def read(self, answer: Answer, known: bytes | None) -> Reading:
        tools = self._tools
        if is_heavy(answer, OFF_LOOP):
            return await asyncio.to_thread(read, answer, known, tools.max_body, tools.format)
        return read(answer, known, tools.max_body, tools.format)


def late() -> Failed:
    """The whole of it took longer than it may."""
    return Failed(_UNREACHED["upstream_timeout"], code="upstream_timeout")


def spent(pause: float) -> str:
    """What an operator is told of a budget that is used up."""
    return f"what polls may use of the backend's rate limit is used up: they wait {pause:.0f} s"


def waiting(pause: float) -> Status:
    """What clients are told of it, where the pause is long."""
    reason = "the backend may not be asked for now: its rate limit is used up"
    return Status(state="stale", code="budget_spent", reason=reason, retry_in=pause)


def again(tools: Tools, tempo: Tempo, pause: float, wanted: float | None, *, budget: bool) -> Again:
    """What the backend wants is for all its polls, but where it is about one client's credentials."""
    least = tempo.obeyed(wanted, budget=budget)
    return Again(pause, hold=least if tools.own else 0.0, least=least, failed=tempo.failures > 0)
