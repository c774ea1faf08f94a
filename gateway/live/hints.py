"""When webhooks last told of each live route, and of which they have been silent for longer than is believable.

Silence counts from when the gateway began. It ends with the first hint, whatever URL of the route that is about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf

from gateway.core.settings import HintSettings
from gateway.core.stats import Stats
from gateway.plugin import Clock

_log = logging.getLogger("tidegate.webhook")


class Hints:
    """What is heard of live routes, by their names."""

    def __init__(self, clock: Clock, stats: Stats) -> None:
        self._clock = clock
        self._stats = stats
        self._began = clock.monotonic()
        self._heard: dict[str, float] = {}
        self._expected: dict[str, HintSettings] = {}
        self._overdue: dict[str, float] = {}  # with the interval that is kept meanwhile

    def __repr__(self) -> str:
        return f"<Hints of {len(self._heard)} routes, {len(self._overdue)} overdue>"

    def expect(self, route: str, settings: HintSettings | None) -> Callable[[], float]:
        """From now on; gives what the interval is at most while they are overdue, and inf while they are not."""
        if settings is None:
            return _never
        self._expected[route] = settings
        return lambda: self._overdue.get(route, inf)

    def forget(self, route: str) -> None:
        """Nothing is expected of it any more; whatever may be again is not late from the start."""
        if self._expected.pop(route, None) is not None:
            self._heard[route] = self._clock.monotonic()
        if self._overdue.pop(route, None) is not None:
            self._stats.routes[route].hints_overdue = 0

    def heard(self, route: str) -> None:
        """A webhook has told of one of its URLs."""
        self._heard[route] = self._clock.monotonic()
        if self._overdue.pop(route, None) is not None:
            self._stats.routes[route].hints_overdue = 0
            _log.info("route %s: a webhook tells of it again", route)

    def check(self) -> list[str]:
        """The routes whose hints have become overdue since the last call."""
        now = self._clock.monotonic()
        late = [
            (route, expected)
            for route, expected in self._expected.items()
            if route not in self._overdue and now - self._heard.get(route, self._began) > expected.every
        ]
        for route, expected in late:
            self._overdue[route] = expected.interval
            self._stats.routes[route].hints_overdue = 1
            text = "route %s: no webhook has told of it for %g seconds; until one does it is looked at every %g seconds"
            _log.warning(text, route, expected.every, expected.interval)
        return [route for route, _ in late]


def _never() -> float:
    return inf
