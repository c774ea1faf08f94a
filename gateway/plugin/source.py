"""Sources fill channels: by following them (`Source`), or by looking now and then (`WatchingSource`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from gateway.core.asgi import Headers
from gateway.core.event import Json
from gateway.core.http import Request
from gateway.core.voices import Voices
from gateway.plugin.upstream import Upstream

PollResult = Literal["changed", "unchanged", "not_modified", "error", "refused"]
Incident = Literal[
    "validator_distrusted",
    "page_elsewhere",
    "pages_cut_off",
    "unshared",
    "since_missing",
    "since_refused",
    "batch_refused",
    "batch_lacking",
    "budget_spent",
]


class Refused(Exception):
    """Raised by `follow` or `look`: the backend says that these subscribers may not have this resource.

    `status` is the backend's own (401, 403, 404, 410): clients still in their handshake are answered
    with it and with `headers` (a `WWW-Authenticate`, say), the others are closed with the matching code.
    """

    def __init__(self, status: int, headers: Headers | None = None) -> None:
        super().__init__(f"the backend answered {status}")
        self.status = status
        self.headers = headers or []


class Unshared(Exception):
    """Raised by `look`: an answer shows that these subscribers must not share a channel after all.

    Nothing of it was published. The channel ends, and its subscribers come back, each to the channel that `share`
    then gives it. `remedy` is for the operator.
    """

    def __init__(self, remedy: str) -> None:
        super().__init__(remedy)
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Who may share one channel: subscribers with equal `key` see the same data.

    `key` must hold, hashed, everything about a client that can change the answer; `headers` go upstream
    in its name. Neither is ever logged. `who` is whose channels are counted together, so that nobody follows too
    many; empty for clients that cannot be told apart. With `alone`, the credentials in `headers` are not in `key`: they
    are lent to others who share it, and only as long as their owner follows the channel; who does not lend them has
    `alone` as the key, which holds them.
    """

    key: bytes
    headers: Headers
    who: bytes = b""
    alone: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One channel to follow: `target` (encoded path and query) on `upstream`, in the name of `headers`.

    `phase`, above 0 and at most 1, is the channel's own: what is done at an interval begins that part of it later,
    so that channels that start together do not go on in step. Where credentials are lent, `voices` has those of
    the subscribers there are, and `headers` none. `params` are those of the route's path, decoded, and `key` is that
    of the `Share`: where it and `headers` are equal, targets are asked for in the same name. `wished` gives the
    shortest interval that a subscriber who is there asked for, in seconds; inf when none did. `fallback` gives the
    longest that the operator wants while the webhooks are silent that should tell of the route; inf while they are not.
    """

    target: bytes
    headers: Headers
    upstream: Upstream
    phase: float = 1.0
    voices: Voices | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    key: bytes = b""
    wished: Callable[[], float] = field(default=lambda: inf, compare=False)
    fallback: Callable[[], float] = field(default=lambda: inf, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Freshness of a source. `stale`: it fails and the last state stands; `error`: it fails and there is none.

    `suspect` is the runtime's own: an answer was not believed, and the last state stands. `code` is a word for
    machines, `reason` a sentence for people, both fit for clients; `retry_in` seconds until the next attempt.
    """

    state: Literal["ok", "stale", "error", "suspect"]
    code: str = ""
    reason: str = ""
    upstream_status: int | None = None
    retry_in: float | None = None


class Publisher(Protocol):
    """A source's way into one channel. Calls come from one coroutine, in order."""

    @property
    def has_state(self) -> bool:
        """Whether the channel has a document (it may be kept from an earlier run of this source)."""

    def items(self, document: Json) -> list[Json]:
        """The items of an answer, from where the route's `items` say; raises ValueError as `state` does."""

    async def state(self, document: Json, *, more: Sequence[Json] = (), complete: bool = True) -> bool:
        """The resource's state now. The runtime selects, compares, and publishes what changed; says if any did.

        `more` are the further pages of a list that begins in `document`.
        What is absent from a list that is not `complete` (a page is missing, say) counts as not looked at.
        Raises ValueError when the document is not what the route's `items` promise; nothing is published. The
        reason is fit for clients: it holds nothing of the document.
        """

    @property
    def tombstones(self) -> bool:
        """Whether items say themselves that they are gone (`items.deleted`)."""

    @property
    def unsettled(self) -> bool:
        """Whether items were absent whose deletion waits for further complete answers."""

    async def known(self, document: Json) -> bool:
        """Whether a page of a list has items, and none that is new, other than in the state, or in another order.

        Raises ValueError as `state` does.
        """

    async def changes(self, document: Json, *, more: Sequence[Json] = ()) -> bool:
        """What has changed of the list since the last `state`, some of which may be known: says if any was news.

        Items there are new or other than they were, those that `items.deleted` is true of are gone, and the rest is
        as it was. `more` and ValueError are those of `state`, which must have been published before.
        """

    async def confirm(self) -> bool:
        """The backend says again what the last `state` said: not modified, or the same bytes.

        Deletions may have waited for that; says if anything was published.
        """

    def status(self, status: Status) -> None:
        """Tell subscribers when the state of freshness changes; the same state again is not repeated.

        A new channel is `ok`.
        """

    def polled(self, result: PollResult, seconds: float | None) -> None:
        """Count one look at the backend; one that told of other channels, too, is without `seconds` for all but one."""

    def batched(self, count: int) -> None:
        """One request asked for so many resources."""

    def met(self, incident: Incident, why: str = "") -> None:
        """Count something that an operator should know of the backend; the first of a route is logged, if told why."""


class Again(NamedTuple):
    """When to look next: `pause` seconds from now.

    `hold` is for how long the backend wants to be left alone by all that look at it, whatever the route; `least` by
    this channel alone, even if a look is asked for. With `asked` the next look is when it is asked for, and where that
    is all the time `pause` tells how often it may be. `failed` says that the look was of no use, and the pause may be a
    backoff.
    """

    pause: float
    hold: float = 0.0
    least: float = 0.0
    asked: bool = False
    failed: bool = False


class Watch(Protocol):
    """One channel that is looked at from time to time."""

    async def look(self) -> Again:
        """Look at the backend once, publish what there is, and say when to look next.

        The first look is at once, and a look may be asked for early. Two never overlap: one that takes long delays
        the next. Cancelled when the channel ends. If it raises Refused the channel ends; any other exception is
        a bug that is logged, and there is another look after a pause.
        """


@runtime_checkable
class WishedWatch(Protocol):
    """A `Watch` that heeds the interval that its subscribers wish for, and `Target.fallback`."""

    @property
    def interval(self) -> float:
        """At most so long after the last look the next is to be, as wishes are now; inf to leave that as it is."""


@runtime_checkable
class RereadingWatch(Protocol):
    """A `Watch` whose looks may be at what has changed alone, which a deletion is not always among."""

    def reread(self) -> None:
        """Something has been deleted: a look that begins from now on has to see that. Called before it is asked for."""


class Source(Protocol):
    """Fills the channels of one route. Made once for a route; holds no state of a single channel."""

    def share(self, request: Request) -> Share:
        """Who a subscriber may share a channel with, decided before anything is asked of the backend."""

    async def follow(self, target: Target, publish: Publisher) -> None:
        """Fill one channel until cancelled: started with the first subscriber, cancelled after the last has gone.

        Should not return. If it raises Refused the channel ends; any other exception is a bug that is
        logged, and `follow` is started again after a pause.
        """


@runtime_checkable
class WatchingSource(Protocol):
    """A source of looks: cheap while nothing is looked at, and the runtime can ask for a look at any time."""

    def share(self, request: Request) -> Share:
        """As of `Source`."""

    def watch(self, target: Target, publish: Publisher) -> Watch:
        """One channel's watch, made for its first subscriber and dropped after the last has gone."""


@runtime_checkable
class EagerSource(Protocol):
    """A source that may want a channel before anybody follows it."""

    @property
    def always(self) -> Sequence[str]:
        """With which queries the route's own path is filled from start-up to the end: an empty one is without any.

        The channels are those that clients with these queries, and without credentials, would have: `share` is asked
        about such clients. Where the backend refuses the resource it is asked again after growing pauses.
        """


@runtime_checkable
class CookieSource(Protocol):
    """A source to which not every cookie is the same: so that who shares can be told before anybody shows one."""

    @property
    def cookies(self) -> Collection[str]:
        """The names of those that are forwarded, and decide; empty where all of them are alike."""


AnySource: TypeAlias = Source | WatchingSource
