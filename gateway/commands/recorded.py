"""`tidegate test`: a configuration's own tests, recorded answers in, expected events out.

Nothing is connected to, and the clock stands still.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.commands.rehearsal import Rehearsal, ask, source_of
from gateway.core.asgi import Headers
from gateway.core.http import Answer
from gateway.core.identity import Identity
from gateway.core.recorded import Recorded, Step, differences
from gateway.core.settings import Gateway
from gateway.errors import ClientError, UpstreamUnavailable


class StillClock:
    """A clock that shows one time; a sleep ends at once."""

    def time(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        """Nobody waits in a test."""


class PlayedUpstream:
    """Answers each look with what was recorded for it, however often it asks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Answer | None = None

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        if self.answer is None:
            raise UpstreamUnavailable("the recorded backend cannot be reached")
        return self.answer


class TokenServer:
    """Stands for whoever gives the gateway tokens of its own: what is recorded are the backend's answers."""

    def __init__(self, url: str) -> None:
        self.name = url

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        return Answer(status=200, headers=(), body=b'{"access_token": "recorded", "token_type": "Bearer"}')


async def run_test(settings: Gateway, test: Recorded) -> list[str]:
    """What went otherwise than expected, line by line."""
    headers = tuple((name.lower().encode(), value.encode()) for name, value in test.headers.items())
    identity = Identity(subject=str(test.claims.get("sub", "")), claims=test.claims) if test.claims else None
    try:
        asked = ask(settings, test.url, headers, identity)
        upstream = PlayedUpstream(asked.route.upstream)
        clock = StillClock()
        source = source_of(asked, {upstream.name: upstream}, clock, TokenServer)
        rehearsal = Rehearsal(asked, source, upstream, clock)
    except ClientError as error:
        return [error.detail]
    except ValueError as error:
        return [str(error)]
    lines: list[str] = []
    for number, step in enumerate(test.steps, 1):
        lines += [f"step {number}, {line}" for line in await _play(rehearsal, upstream, step)]
    return lines


async def _play(rehearsal: Rehearsal, upstream: PlayedUpstream, step: Step) -> list[str]:
    upstream.answer = step.answer
    return list(differences(step.events, await rehearsal.look()))


async def run_tests(settings: Gateway, say: Callable[[str], None]) -> int:
    """Run all, say how each went, and return how many failed."""
    failed = 0
    for test in settings.tests:
        lines = await run_test(settings, test)
        failed += bool(lines)
        say(f"{'FAILED' if lines else 'ok    '}  {test.name}")
        for line in lines:
            say(f"        {line}")
    return failed
