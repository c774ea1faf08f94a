"""What the hot path counts: plain integers, read by `gateway.admin.metrics` when Prometheus asks.

No label lookups, no locks, no clock: `stats.messages += 1` is all that a delivery may cost. One thread
writes; another may read at any time, and copies a mapping before it walks it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

# Prometheus' own default buckets up to 10 s, in seconds: REST answers and polls fall well inside.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# Pauses between polls, from the quickest interval to hourly ones, in seconds.
PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

# Resources that one request asks for together, up to the most that an operator may allow.
BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

# The methods of RFC 9110 and RFC 5789; anything else is counted as OTHER.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
OTHER = "other"

# What an authenticator says: it knows the client, refuses it, sees no credentials of its kind, or can't tell.
AUTH_RESULTS = ("accepted", "refused", "absent", "error")


# Why a TLS handshake failed.
TLS_FAILURES = frozenset(
    {
        "client_alert",
        "client_certificate",
        "disconnected",
        "no_client_certificate",
        "no_shared_cipher",
        "not_tls",
        "old_protocol",
        "other",
        "plain_http",
        "timeout",
    }
)


class Histogram:
    """Counts of observations by upper bound, and their sum; buckets are not cumulative here."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Requests(dict[tuple[str, int], int]):
    """Counts by (method, status); a missing key counts from 0.

    Methods are the client's to invent, so keys with foreign ones are folded into OTHER before many of them
    gather. Only a key that is new pays for this.
    """

    # A client that invents methods costs a few kilobytes, and one walk over the table each time.
    FRESH = 256

    __slots__ = ("_fresh",)

    def __init__(self) -> None:
        super().__init__()
        self._fresh = 0

    def __missing__(self, key: tuple[str, int]) -> int:
        if self._fresh >= self.FRESH:
            self._fresh = 0
            self._fold()
        self._fresh += 1
        return 0

    def _fold(self) -> None:
        for method, status in [key for key in self if key[0] not in METHODS and key[0] != OTHER]:
            count = self.pop((method, status))
            self[OTHER, status] = self.get((OTHER, status), 0) + count


Counts = defaultdict[str, int]


def _counts() -> Counts:
    return defaultdict(int)


@dataclass(slots=True)
class StreamStats:
    """Streams of one transport on one route.

    `behind` counts those that wait for their client to read, `skipped` the times that a slow stream fell out of
    the log, `resets` the snapshots sent because a position could not be continued.
    """

    open: int = 0
    behind: int = 0
    opened: int = 0
    closed: Counts = field(default_factory=_counts)  # by Disconnect.label
    messages: int = 0
    bytes: int = 0
    received: int = 0
    skipped: int = 0
    resets: int = 0
    seconds: Histogram = field(default_factory=lambda: Histogram((1, 10, 60, 300, 900, 3600, 14400, 86400)))


@dataclass(slots=True)
class SessionStats:
    """What the sessions of one route do. `operations` is keyed by (op, "ok" or the error's code)."""

    subscriptions: int = 0  # now
    operations: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def count(self, op: str, result: str) -> None:
        self.operations[op, result] += 1


@dataclass(slots=True)
class WebhookStats:
    """What senders deliver to one route.

    `deliveries` by what has become of them, `secrets` the genuine ones by the place of their secret, from 1, and
    `faults` what could not be made out of them.
    """

    deliveries: Counts = field(default_factory=_counts)
    secrets: Counts = field(default_factory=_counts)
    faults: Counts = field(default_factory=_counts)


@dataclass(slots=True)
class RouteStats:
    """One route. `requests` is keyed by (method, status); streams are not among them."""

    requests: Requests = field(default_factory=Requests)
    seconds: Histogram = field(default_factory=Histogram)
    in_flight: int = 0
    streams: defaultdict[str, StreamStats] = field(default_factory=lambda: defaultdict(StreamStats))
    polls: Counts = field(default_factory=_counts)  # changed, unchanged, not_modified, error, refused
    poll_seconds: Histogram = field(default_factory=Histogram)
    refreshes: Counts = field(default_factory=_counts)  # looks after writes: asked, unfollowed
    pause_seconds: Histogram = field(default_factory=lambda: Histogram(PAUSES))
    backoff_seconds: Histogram = field(default_factory=lambda: Histogram(PAUSES))  # pauses after failures
    incidents: Counts = field(default_factory=_counts)  # of the backend, by what it was
    batches: Histogram = field(default_factory=lambda: Histogram(BATCHES))  # resources of one request
    staleness: float = 0.0  # seconds since the backend last confirmed a state, of the channel where that is longest
    doubted: int = 0  # answers that were not believed
    reconciled: int = 0  # changes that no webhook announced, where one should have
    hints_overdue: int = 0  # 1 while webhooks are silent for too long
    irregular: int = 0  # items without a key of their own, in every state that was compared
    events: Counts = field(default_factory=_counts)  # by event type
    conflated: int = 0  # events that were not sent because later ones took their place
    channels: int = 0
    failing: int = 0  # of these, channels whose source fails
    session: SessionStats = field(default_factory=SessionStats)
    webhook: WebhookStats = field(default_factory=WebhookStats)


@dataclass(slots=True)
class UpstreamStats:
    """One upstream. `answers` is keyed by status, `failures` by UpstreamError.code.

    `connections` counts all that are open, `idle` those of them that nothing uses.
    """

    answers: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    failures: Counts = field(default_factory=_counts)
    retries: int = 0
    seconds: Histogram = field(default_factory=Histogram)
    connections: int = 0
    idle: int = 0


@dataclass(slots=True)
class TlsStats:
    """One listener with TLS. `failures` are by TLS_FAILURES, `reloads` by result ("ok", "failed").

    `not_after` says by certificate file until when it is valid, in seconds since 1970.
    """

    handshakes: int = 0
    failures: Counts = field(default_factory=_counts)
    reloads: Counts = field(default_factory=_counts)
    not_after: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class ConfigStats:
    """The configuration in force, by its hash, since when it is, and what became of those that came after the first.

    `reloads` are by result ("ok", "failed"); `successful` tells of the last.
    """

    hash: str = ""
    since: float = 0.0  # seconds since 1970
    successful: bool = True
    reloads: Counts = field(default_factory=lambda: defaultdict(int, ok=0, failed=0))

    def took(self, config_hash: str, now: float) -> None:
        """A configuration is in force."""
        self.hash, self.since, self.successful = config_hash, now, True


@dataclass(slots=True)
class Stats:
    """Everything one process counts."""

    config: ConfigStats = field(default_factory=ConfigStats)

    routes: defaultdict[str, RouteStats] = field(default_factory=lambda: defaultdict(RouteStats))
    upstreams: defaultdict[str, UpstreamStats] = field(default_factory=lambda: defaultdict(UpstreamStats))
    tls: defaultdict[str, TlsStats] = field(default_factory=lambda: defaultdict(TlsStats))  # by listen address
    refused: Counts = field(default_factory=_counts)  # handshakes and requests refused, by reason
    auth: defaultdict[str, Counts] = field(default_factory=lambda: defaultdict(_counts))  # results, by its name
    connections: int = 0  # open client sockets
    accepted: int = 0

    def forget(self, route: str) -> bool:
        """Count for this route no more, unless something of it still goes on; whether that is so."""
        counted = self.routes.get(route)
        if counted is not None and (
            counted.in_flight or counted.channels or any(stream.open for stream in counted.streams.values())
        ):
            return False
        self.routes.pop(route, None)
        return True
