"""The subscriptions of one session: let in, joined, begun and left as the session machine in core decides.

What becomes of them is reported to it. Events don't pass here: a channel writes them to the session's writer itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gateway.core.asgi import Headers, Receive, Scope, Send
from gateway.core.codes import EXPIRED, RECONFIGURED
from gateway.core.crowd import address_of
from gateway.core.formats import Format
from gateway.core.http import Handshake, Request
from gateway.core.identity import Identity
from gateway.core.messages import Subscribe
from gateway.core.session_events import Followed, Lost
from gateway.core.session_request import split_target
from gateway.core.session_rules import Rules
from gateway.core.settings import Route
from gateway.core.shares import Owner
from gateway.errors import ClientError
from gateway.live.channel import Channel
from gateway.live.channels import Channels, LiveRoute
from gateway.live.flow import Flow
from gateway.live.follower import Follower, fault_of
from gateway.live.messages import NO_MODES, Messages
from gateway.live.negotiate import interval_of, mode_of, position_of, read_interval, read_position, split_query
from gateway.live.refusal import ended
from gateway.live.supervisor import Supervisor
from gateway.plugin import Clock, Encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The live route of a channel, its path's parameters, and who lets clients in where not everybody is."""

    live: LiveRoute
    params: Mapping[str, str]
    admit: Callable[[Request], Awaitable[Identity]] | None


@dataclass(frozen=True, slots=True)
class Entering:
    """A subscription that has to be let in first."""

    request: Request
    live: LiveRoute
    admit: Callable[[Request], Awaitable[Identity]]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all sessions share.

    `find` gives the live route of a path and Host; `rest` answers REST requests; `known` says whom a session route lets
    in, and by which authenticator; `rules` what its clients may do then. `current` tells whether a route is as the
    configuration has it now.
    """

    channels: Channels
    messages: Messages
    find: Callable[[bytes, bytes | None], Found]
    rest: Callable[[Scope, Receive, Send, Route], Awaitable[None]]
    known: Callable[[Route, Request], Awaitable[tuple[str, Identity]]]
    rules: Callable[[Route, Identity | None], Rules]
    encoding: Callable[[Format, str, Channel], Encoding]
    supervisor: Supervisor
    clock: Clock
    current: Callable[[Route], bool] = field(default=lambda route: True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What is kept of the handshake: the scope of the requests that follow, and the headers that go with them.

    `scope` has places for what each request is by itself, so that a copy of it need not grow.
    `identity` is who the client is, where the session's `route` asks; `handshake` what showed it, if that was a token,
    which can be renewed. What it names is on the account of `owner`.
    """

    route: Route
    identity: Identity | None
    owner: Owner
    scope: dict[str, Any]
    host: bytes | None
    headers: Headers
    handshake: Handshake | None = None


class Following:
    """Those of one session. `told` are the messages and bytes of events that have ended.

    `report` is told of what becomes of each.
    """

    __slots__ = ("_caller", "_expiring", "_flow", "_followers", "_form", "_house", "_renewed", "_report", "told")

    def __init__(
        self, house: House, caller: Caller, form: Format, flow: Flow, report: Callable[[Followed | Lost], None]
    ) -> None:
        self.told = (0, 0)
        self._house = house
        self._caller = caller
        self._form = form
        self._flow = flow
        self._report = report
        self._renewed: Identity | None = None  # as it was before
        self._followers: dict[str, Follower] = {}
        self._expiring: tuple[Follower, ...] = ()  # whose credentials are not those of the session itself

    def __len__(self) -> int:
        return len(self._followers)

    def follow(self, subscribe: Subscribe) -> None:
        """Join the channel, then report Followed or Lost."""
        self._follow(subscribe, None)

    def renew(self, caller: Caller) -> None:
        """The client has new credentials: what is followed from now on is followed with them."""
        self._renewed, self._caller = self._caller.identity, caller

    def again(self, channel: str) -> None:
        """Follow it with the new credentials; what was begun with the old goes on until there is something to show."""
        last = self._followers.pop(channel, None)
        if last is None:
            return
        before = last if last.begun else last.before
        if before is not last:
            last.before = None
            self._drop(last)
        elif self._renewed is not None and last.expires is None:
            self._expire(last, self._renewed.expires)
        if before is not None:
            self._followers[channel] = before
        self._follow(last.wanted, before)

    def _follow(self, subscribe: Subscribe, before: Follower | None) -> None:
        try:
            follower, entering = self._live(subscribe) if subscribe.channel[0] == "/" else self._messages(subscribe)
        except ClientError as error:
            self._report(Lost(subscribe.channel, fault_of(error)))
            return
        self._followers[subscribe.channel] = follower
        if before is not None:
            follower.before, before.replaced = before, True
        if follower.ready:
            self._ready(follower)
        else:
            work = self._wait(follower, entering)
            follower.waiting = self._house.supervisor.start(work, "a session's subscription")

    def begin(self, channel: str) -> None:
        """Let its events flow."""
        follower = self._followers[channel]
        follower.start(self._house.encoding(self._form, channel, follower.channel), self._flow)

    def leave(self, channel: str) -> None:
        """Drop it, joined or not."""
        follower = self._followers.pop(channel, None)
        if follower is not None:
            self._drop(follower)

    def _drop(self, follower: Follower) -> None:
        if follower.before is not None:
            self._drop(follower.before)
        self._expiring = tuple(one for one in self._expiring if one is not follower)
        messages, size = follower.stop(self._flow)
        self.told = self.told[0] + messages, self.told[1] + size

    def _expire(self, follower: Follower, at: float | None) -> None:
        """Note when it ends with its credentials, sooner or later than the session."""
        if at is not None:
            follower.expires = at
            self._expiring += (follower,)

    def sweep(self, today: float) -> None:
        """Upkeep, each second: end those whose credentials have ended."""
        for follower in self._expiring:
            if follower.expires is not None and follower.expires <= today:
                follower.end(EXPIRED)

    def _messages(self, subscribe: Subscribe) -> tuple[Follower, Entering | None]:
        if subscribe.mode is not None:
            raise ClientError(400, "bad_mode", NO_MODES)
        since, interval = read_position(subscribe.since), read_interval(subscribe.interval)
        follower = Follower(subscribe, "items", since, self._report, interval)
        messages = self._house.messages
        follower.join(messages.get(subscribe.channel, self._caller.owner), messages.release)
        return follower, None

    def _live(self, subscribe: Subscribe) -> tuple[Follower, Entering | None]:
        """The follower, and how it is let in if somebody must be asked."""
        request, found = self._wanted(subscribe)
        mode, since, interval = mode_of(request, found.live.settings), position_of(request), interval_of(request)
        follower = Follower(subscribe, mode, since, self._report, interval)
        admit = found.admit
        if admit is not None and not self._known(found):
            return follower, Entering(request, found.live, admit)
        self._join(follower, found.live, request, self._identity(found))
        return follower, None

    def _join(self, follower: Follower, live: LiveRoute, request: Request, identity: Identity | None) -> None:
        channels, request = self._house.channels, replace(request, identity=identity)
        channel = channels.get(live, request, lending=True, address=address_of(self._caller.scope))
        voice = channels.lend(live, request, channel, follower.end)
        follower.join(channel, partial(channels.release, voice=voice))
        if identity is not None and identity is not self._caller.identity:
            self._expire(follower, identity.expires)

    def _wanted(self, subscribe: Subscribe) -> tuple[Request, Found]:
        path, query = split_target(subscribe.channel)
        if split_query(query)[1]:
            raise ClientError(400, "bad_channel", "a channel's name has no live. parameters: use since, mode, interval")
        found = self._house.find(path, self._caller.host)
        options = ("since", subscribe.since), ("mode", subscribe.mode), ("interval", subscribe.interval)
        request = Request(
            kind="websocket",
            method="GET",
            target=path + b"?" + query if query else path,
            headers=tuple(self._caller.headers),
            params=found.params,
            options={f"live.{key}": value for key, value in options if value is not None},
        )
        return request, found

    def _known(self, found: Found) -> bool:
        """Whether the channel's authenticators are the session's, which have been asked, and nothing else is."""
        route = found.live.route
        return self._caller.identity is not None and route.auth == self._caller.route.auth and route.access is None

    def _identity(self, found: Found) -> Identity | None:
        """As a stream of this URL would have it: none where nobody is asked."""
        return self._caller.identity if found.admit is not None else None

    async def _wait(self, follower: Follower, entering: Entering | None) -> None:
        """Be let in, and wait for the channel's first word."""
        try:
            if entering is not None:
                identity = await entering.admit(entering.request)
                if not self._house.current(entering.live.route):
                    raise ended(RECONFIGURED)
                self._join(follower, entering.live, entering.request, identity)
            await follower.channel.ready.wait()
        except ClientError as error:
            follower.waiting = None
            self._report(Lost(follower.name, fault_of(error)))
            return
        follower.waiting = None
        self._ready(follower)

    def _ready(self, follower: Follower) -> None:
        fault, before = follower.refused, follower.before
        if fault is not None:
            self._report(Lost(follower.name, fault))
        elif before is None:
            self._report(Followed(follower.name, follower.position))
        else:
            follower.before = None
            goes_on = follower.succeed(before)
            self._drop(before)
            if not goes_on:
                self.begin(follower.name)
