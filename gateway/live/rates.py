"""How much may be sent from one address in a second; who sends more is asked to come again."""

from __future__ import annotations

from gateway.core.rate import Rate
from gateway.core.recent import Recent
from gateway.errors import ClientError
from gateway.plugin import Clock

# Addresses whose rate is known; they are forgotten after a second.
ADDRESSES = 10_000


class Rates:
    """`per_second` from each address, and as many at once; `what` they are, in the plural."""

    def __init__(self, per_second: int, what: str, clock: Clock) -> None:
        self._rate = Rate(float(per_second), float(per_second))
        self._what = what
        self._clock = clock
        self._left: Recent[str, tuple[float, float]] = Recent(ADDRESSES)

    def __repr__(self) -> str:
        return f"<Rates of {self._what}: {len(self._left)} addresses>"

    def check(self, address: str) -> None:
        """One more has come; raises ClientError 429."""
        if not address:
            return  # nobody can tell who sends through a Unix socket
        now = self._clock.monotonic()
        left, at = self._left.get(address, now) or (self._rate.burst, now)
        left = self._rate.refilled(left, now - at) - 1
        self._left.put(address, (max(left, -1.0), now), now + 1)
        if left < 0:
            error = ClientError(429, "rate", f"too many {self._what} in a second from your address; try again later")
            raise error.with_headers((b"retry-after", b"1"))
