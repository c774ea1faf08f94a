"""What clients of HTTP/2 may do that asks for nothing: a token bucket for each address, and a pause for who empties it.

Requests that are reset (CVE-2023-44487), pings, settings, priorities, window updates and empty frames cost a server
more than whoever sends them, and so do handshakes of TLS that fail. The bucket is the address's and not the
connection's, so that to reconnect refills nothing; who floods is not let in again for a while, and longer each time,
which bounds what there is to gain. Counted in points: one is a frame that h2 reads in about 15 microseconds. Times are
in seconds.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.core.crowd import client_of
from gateway.core.rate import Rate
from gateway.core.trust import Trusted

# A request that is begun and reset is read, kept and thrown away.
RESET = 5
# Once 200 resets: a page of 100 requests (RFC 9113 allows that many at once) that is left, and the next as well; or
# 1000 pings. In the long run 100 resets a second: nobody clicks like that, and programs that do cancel requests get
# most of them answered, which earns them as many more. nghttp2 allows 330 frames a second and 10,000 at once, in C.
POINTS = Rate(500, 1000)
# A response earns its client a reset: a program that cancels every other request is no flood. Envoy, too, cuts off
# clients that reset more than half.
ANSWERED = RESET
# A frame of a body that we send earns window updates, or pings that measure the way (gRPC). Clients send two of them
# for each 4 KB that they read (Go), that is eight for a frame of 16 KB; Envoy allows ten.
SENT = 10
# A connection begins with settings, their acknowledgement and, of older browsers, six priorities: of an office behind
# one address hundreds may begin at once.
GREETING = 10
# A connection on which nothing was asked for is a millisecond for nothing. Browsers make some, in case.
WASTED = 20
# One that ends with what is not HTTP/2 is that, too, and no client's habit.
GARBLED = 100
# A handshake that fails takes more than this, and yet there are networks in which nobody trusts a certificate.
FAILED = 20
# What is earned is kept to this: 60 ms of work.
MOST = 4000

# Seconds without HTTP/2 for an address that floods. It cuts off neighbours behind the same address, too, hence short.
PAUSE = 2.0
# Each that follows is twice as long, up to this. A flood takes some 20 ms until it is found out: 1 % of the time at
# first, and a thirtieth of that in the end.
LONGEST = 60.0
# Who has kept quiet for so long begins anew.
FORGIVEN = 300.0
# Of those that come back in a pause, so many are told why they may not stay. Who goes on is a script, and hung up on
# before it has said what it wants: neighbours that speak HTTP/1.1 are served as long as nobody does that.
TOLD = 10
# Addresses that are remembered, some 200 bytes each. Who has more of them floods once from each.
KNOWN = 10_000


class Allowance:
    """The points of one client."""

    __slots__ = ("_at", "_left", "_pause", "_told", "until")

    def __init__(self, now: float) -> None:
        self._at = now
        self._left = POINTS.burst
        self._pause = 0.0
        self._told = 0
        self.until = now  # the end of the last pause

    def greet(self) -> None:
        """A connection begins."""
        self.earn(GREETING)

    def earn(self, points: int) -> None:
        self._left = min(self._left + points, MOST)

    def spend(self, points: int, now: float) -> bool:
        """Whether there are that many left. If not it is a flood, and the pause begins."""
        seconds, self._at = now - self._at, now
        self._left = max(self._left, POINTS.refilled(self._left, seconds)) - points
        if self._left >= 0:
            return True
        self.pause(now)
        return False

    def pause(self, now: float) -> None:
        """This was a flood; or more of the one that the pause is for."""
        self._left = 0
        if now < self.until:
            self._told += 1
            return
        again = self._pause and now < self.until + FORGIVEN
        self._pause = min(2 * self._pause, LONGEST) if again else PAUSE
        self._told = 0
        self.until = now + self._pause

    def early(self, now: float) -> bool:
        """Whether it is too soon for another connection; if so, its client will be told."""
        early = now < self.until
        self._told += early
        return early

    def deaf(self, now: float) -> bool:
        """Whether the client was told often enough, and comes nevertheless."""
        return self._told >= TOLD and now < self.until


class Floods:
    """The allowances of a listener's clients. Who is `exempt`, as proxies are, has one for each connection."""

    __slots__ = ("_exempt", "_known")

    def __init__(self, exempt: Trusted) -> None:
        self._exempt = exempt
        self._known: OrderedDict[str, Allowance] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def early(self, address: str | None, now: float) -> bool:
        """Whether it is too soon for another connection of HTTP/2 from this address; None is nobody's."""
        allowance = self._find(address)
        return allowance is not None and allowance.early(now)

    def deaf(self, address: str | None, now: float) -> bool:
        """Whether it is too soon for another connection of any kind."""
        allowance = self._find(address)
        return allowance is not None and allowance.deaf(now)

    def until(self, address: str, now: float) -> float:
        """When the last pause of an address ends; `now` for one that is not known."""
        allowance = self._find(address)
        return now if allowance is None else allowance.until

    def _find(self, address: str | None) -> Allowance | None:
        return self._known.get(client_of(address)) if self._known and address is not None else None

    def of(self, address: str | None, now: float) -> Allowance:
        """The allowance for a new connection."""
        if address is None or address in self._exempt:
            return Allowance(now)
        key = client_of(address)
        allowance = self._known.get(key)
        if allowance is None:
            allowance = self._known[key] = Allowance(now)
            if len(self._known) > KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return allowance
