"""One session at work: it carries out what the session machine in core decides.

What it says in one turn of the loop leaves in one write. Events don't pass here: a channel writes them to the
same writer, as it does to any other client's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from msgspec import UNSET

from gateway.core.asgi import Framing, Headers, Receive, Scope, Send, Writer
from gateway.core.codes import EXPIRED, Disconnect
from gateway.core.crowd import address_of
from gateway.core.event import Json
from gateway.core.formats import Format, Misread, Unintelligible
from gateway.core.http import Request
from gateway.core.identity import Identity
from gateway.core.messages import Fault, FromServer, Hello, Id, Publish, Response, ServerMessage, Subscribe
from gateway.core.session import (
    Abandon,
    Ask,
    Begin,
    Closed,
    Event,
    Failed,
    Follow,
    Followed,
    Leave,
    Lost,
    Published,
    Session,
    Spread,
)
from gateway.core.session_request import as_http, split_target
from gateway.core.settings import Route
from gateway.errors import ClientError, UpstreamError
from gateway.live.asked import Asked
from gateway.live.channel import Channel
from gateway.live.channels import Channels, LiveRoute
from gateway.live.flow import Flow
from gateway.live.follower import Follower, fault_of
from gateway.live.messages import Messages
from gateway.live.negotiate import interval_of, mode_of, position_of, read_interval, read_position, split_query
from gateway.live.supervisor import Supervisor
from gateway.plugin import Clock, Encoding

_log = logging.getLogger("tidegate.live")


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
    """What all sessions share. `find` gives the live route of a path and Host; `rest` answers REST requests."""

    channels: Channels
    messages: Messages
    find: Callable[[bytes, bytes | None], Found]
    rest: Callable[[Scope, Receive, Send, Route], Awaitable[None]]
    encoding: Callable[[Format, str, Channel], Encoding]
    supervisor: Supervisor
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What is kept of the handshake: the scope of the requests that follow, and the headers that go with them.

    `identity` is who the client is, where the session's `route` asks.
    """

    route: Route
    identity: Identity | None
    scope: Scope
    host: bytes | None
    headers: Headers


class Conversation:
    """One session. `said` are the messages and bytes of its answers, `told` those of events that have ended.

    `ending` is set when it is over.
    """

    __slots__ = (
        "_alone", "_asked", "_caller", "_expiring", "_followers", "_form", "_frame", "_ghosts", "_house", "_notes",
        "_saying", "began", "ending", "flow", "id", "received", "said", "session", "told", "writer",
    )  # fmt: skip

    def __init__(self, name: str, session: Session, house: House, caller: Caller, form: Format, writer: Writer) -> None:
        self.id = name
        self.session = session
        self.writer = writer
        self.flow = Flow(writer)
        self.began = house.clock.monotonic()
        self.ending: Disconnect | None = None
        self.received = 0
        self.said = self.told = (0, 0)
        self._house = house
        self._caller = caller
        self._form = form
        self._frame: Framing = writer.framing("binary" if form.binary else "text")
        self._followers: dict[str, Follower] = {}
        self._expiring: tuple[Follower, ...] = ()  # whose credentials are not those of the session itself
        self._asked: dict[Id, tuple[Asked, float]] = {}
        self._alone = False
        self._ghosts = 0  # requests that were given up, and whose upstreams have not answered yet
        self._notes: dict[object, bytes] = {}  # what follows from the handshake's headers alone
        self._saying: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Conversation {self.id} followers={len(self._followers)} asked={len(self._asked)}>"

    def hear(self, data: str | bytes) -> None:
        """Take a message from the client."""
        if self.ending is not None:
            return
        self.received += 1
        try:
            event: Event = self._form.decode(data)
        except (Misread, Unintelligible) as error:
            event = error
        self.take(event)

    def take(self, event: Event) -> None:
        """Take what happened, and do what follows."""
        for command in self.session.handle(event):
            if isinstance(command, FromServer):
                self._say(command)
            else:
                _ACTS[type(command)](self, command)

    def hello(self, heartbeat: float) -> Hello:
        """The first message."""
        identity = self._caller.identity
        expires = identity.expires if identity is not None else None
        return Hello(
            session=self.id,
            subject=identity.subject if identity is not None else None,
            expires=datetime.fromtimestamp(expires, UTC).isoformat() if expires is not None else None,
            heartbeat=heartbeat,
        )

    def sweep(self, now: float, today: float) -> None:
        """Upkeep, each second: `now` is monotonic, `today` in seconds since 1970."""
        identity = self._caller.identity
        if identity is not None and identity.expires is not None and identity.expires <= today:
            self.disconnect(EXPIRED)
            return
        self.flow.look()
        for follower in self._expiring:
            if follower.expires is not None and follower.expires <= today:
                follower.end(EXPIRED)
        for answer_to, (_, due) in tuple(self._asked.items()):
            if due < now:
                self._give_up(answer_to)
                self.take(Failed(answer_to, Fault("timeout", 504, "the answer did not come to its end in time")))

    def disconnect(self, disconnect: Disconnect) -> None:
        """End the session for this reason; the first one counts."""
        if self.ending is None:
            self.ending = disconnect
            self._flush()
            self.writer.close(disconnect.code, disconnect.reason)
            self.take(Closed())
            self.flow.look()

    def _say(self, message: ServerMessage | FromServer) -> None:
        if not self._saying and not self._alone:
            asyncio.get_running_loop().call_soon(self._flush)
        self._saying.append(self._frame(self._form.encode(message)))  # type: ignore[arg-type]  # all of them are

    def _flush(self) -> None:
        saying = self._saying
        if saying:
            self._saying = []
            data = saying[0] if len(saying) == 1 else b"".join(saying)
            self.said = self.said[0] + len(saying), self.said[1] + len(data)
            self.writer.write(data)

    # Channels.

    def _follow(self, command: Follow) -> None:
        subscribe = command.subscribe
        try:
            follower, entering = self._live(subscribe) if subscribe.channel[0] == "/" else self._messages(subscribe)
        except ClientError as error:
            self.take(Lost(subscribe.channel, fault_of(error)))
            return
        self._followers[subscribe.channel] = follower
        if follower.ready:
            self._ready(follower)
        else:
            work = self._wait(follower, entering)
            follower.waiting = self._house.supervisor.start(work, "a session's subscription")

    def _messages(self, subscribe: Subscribe) -> tuple[Follower, Entering | None]:
        if subscribe.mode is not None:
            raise ClientError(400, "bad_mode", "a channel of messages has no modes")
        since, interval = read_position(subscribe.since), read_interval(subscribe.interval)
        follower = Follower(subscribe.channel, "items", since, self.take, interval)
        messages = self._house.messages
        follower.join(messages.get(subscribe.channel), messages.release)
        return follower, None

    def _live(self, subscribe: Subscribe) -> tuple[Follower, Entering | None]:
        """The follower, and how it is let in if somebody must be asked."""
        request, found = self._wanted(subscribe)
        mode, since, interval = mode_of(request, found.live.settings), position_of(request), interval_of(request)
        follower = Follower(subscribe.channel, mode, since, self.take, interval)
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
        if identity is not None and identity is not self._caller.identity and identity.expires is not None:
            follower.expires = identity.expires
            self._expiring += (follower,)

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
                self._join(follower, entering.live, entering.request, identity)
            await follower.channel.ready.wait()
        except ClientError as error:
            follower.waiting = None
            self.take(Lost(follower.name, fault_of(error)))
            return
        follower.waiting = None
        self._ready(follower)

    def _ready(self, follower: Follower) -> None:
        fault = follower.refused
        self.take(Followed(follower.name, follower.position) if fault is None else Lost(follower.name, fault))

    def _begin(self, command: Begin) -> None:
        self._flush()
        follower = self._followers[command.channel]
        encoding = self._house.encoding(self._form, command.channel, follower.channel)
        follower.start(encoding, self.flow)

    def _leave(self, command: Leave) -> None:
        follower = self._followers.pop(command.channel, None)
        if follower is not None:
            self._expiring = tuple(one for one in self._expiring if one is not follower)
            messages, size = follower.stop(self.flow)
            self.told = self.told[0] + messages, self.told[1] + size

    # Publications.

    def _spread(self, command: Spread) -> None:
        publish = command.publish
        try:
            data = self._form.data(publish.data)
        except ValueError as error:
            self.take(Failed(publish.id, Fault("bad_data", 400, f"data: {error}")))
        else:
            self._house.supervisor.start(self._publish(publish, data), "a session's publication")

    async def _publish(self, publish: Publish, data: Json) -> None:
        event: Event
        try:
            event = Published(publish.id, str(await self._house.messages.publish(publish.channel, data)))
        except Exception as error:
            event = Failed(publish.id, _fault(error))
        self.take(event)

    # Requests.

    def _ask(self, command: Ask) -> None:
        request, caller, limits = command.request, self._caller, self.session.rules.limits
        try:
            path, query = split_target(request.path)
            headers, body = as_http(request, caller.headers, self._form)
        except ClientError as error:
            self.take(Failed(request.id, fault_of(error)))
            return
        then = partial(self._answered, request.id)
        asked = Asked(headers, body, limits.response, self.flow, self._house.supervisor.start, then)
        if headers is caller.headers:
            asked.notes = self._notes
        if self._ghosts >= limits.requests:
            asked.whole = False
        self._asked[request.id] = asked, self._house.clock.monotonic() + self.session.rules.timeout
        scope = {
            **caller.scope,
            "method": request.method,
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "extensions": {"tidegate.wire": asked},
        }
        asked.start(lambda: self._house.rest(scope, asked.receive, asked.send, caller.route))

    def _abandon(self, command: Abandon) -> None:
        self._give_up(command.id)

    def _give_up(self, answer_to: Id) -> None:
        asked, _ = self._asked.pop(answer_to, (None, 0.0))
        if asked is not None and not asked.give_up(self._gone):
            self._ghosts += 1

    def _gone(self, asked: Asked, error: Exception | None) -> None:
        """What nobody waits for has come."""
        self._ghosts -= 1

    def _answered(self, answer_to: Id, asked: Asked, error: Exception | None) -> None:
        del self._asked[answer_to]
        self._alone = not self._asked  # nothing is on its way that could share the write
        self.take(self._response(answer_to, asked) if error is None else Failed(answer_to, _fault(error)))
        if self._alone:
            self._alone = False
            self._flush()

    def _response(self, answer_to: Id, asked: Asked) -> Response:
        fields, kind = asked.fields
        data = asked.body
        return Response(answer_to, asked.status, fields, self._form.answer(data, kind) if data else UNSET)


def _fault(error: Exception) -> Fault:
    """What the client is told; of a bug nothing but that it is one."""
    if isinstance(error, ClientError):
        return fault_of(error)
    if isinstance(error, UpstreamError):
        return Fault(error.code, error.status, str(error))
    _log.error("a session's request failed", exc_info=error)
    return Fault("internal", 500, "the request could not be answered")


_ACTS: dict[type, Callable[..., None]] = {
    Ask: Conversation._ask,
    Abandon: Conversation._abandon,
    Follow: Conversation._follow,
    Begin: Conversation._begin,
    Leave: Conversation._leave,
    Spread: Conversation._spread,
    Disconnect: Conversation.disconnect,
}
