"""One session at work: it carries out what the session machine in core decides.

What it says in one turn of the loop leaves in one write. Events don't pass here: a channel writes them to the
same writer, as it does to any other client's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from typing import Any, get_args

from msgspec import UNSET

from gateway.core.asgi import Framing, Writer
from gateway.core.codes import EXPIRED, Disconnect
from gateway.core.event import Json
from gateway.core.expiry import word_at
from gateway.core.formats import Format, Misread, Unintelligible
from gateway.core.messages import (
    Auth,
    Fault,
    Hello,
    Id,
    Ok,
    Publish,
    Request,
    Response,
    ServerMessage,
    Subscribe,
)
from gateway.core.session import Session
from gateway.core.session_commands import Abandon, Begin, Leave, Rejoin
from gateway.core.session_events import Closed, Event, Failed, Published, Renewed, Waning
from gateway.core.session_request import as_http, split_target
from gateway.errors import ClientError, UpstreamError
from gateway.live.asked import Asked, Asker
from gateway.live.flow import Flow
from gateway.live.follower import fault_of
from gateway.live.following import Caller, Following, House
from gateway.live.renewal import renewed

_log = logging.getLogger("tidegate.live")


class Conversation:
    """One session; `ending` is set when it is over. One that is `deaf` will be in a moment, and begins nothing more."""

    __slots__ = (
        "_alone", "_asked", "_asker", "_caller", "_ends", "_following", "_form", "_frame", "_ghosts", "_house",
        "_notes", "_said", "_saying", "_size", "_word", "began", "deaf", "ending", "flow", "id", "received", "session",
        "writer",
    )  # fmt: skip

    def __init__(self, name: str, session: Session, house: House, caller: Caller, form: Format, writer: Writer) -> None:
        self.id = name
        self.session = session
        self.writer = writer
        self.flow = Flow(writer)
        self.began = house.clock.monotonic()
        self.ending: Disconnect | None = None
        self.deaf = False
        self.received = 0
        self._said = self._size = 0
        self._house = house
        self._caller = caller
        self._ends = self._word = inf
        self._note_end()
        self._form = form
        self._frame: Framing = writer.framing("binary" if form.binary else "text")
        self._following = Following(house, caller, form, self.flow, self.take)
        self._asker = Asker(form=form, flow=self.flow, spawn=house.supervisor.start, then=self._answered)
        self._asked: dict[Id, Asked] = {}
        self._alone = False
        self._ghosts = 0  # requests that were given up, and whose upstreams have not answered yet
        self._notes: dict[object, Any] = {}  # what follows from the handshake's headers alone
        self._saying: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Conversation {self.id} followers={len(self._following)} asked={len(self._asked)}>"

    @property
    def said(self) -> tuple[int, int]:
        """Messages and bytes of its answers."""
        return self._said, self._size

    @property
    def told(self) -> tuple[int, int]:
        """Messages and bytes of events, of subscriptions that have ended."""
        return self._following.told

    def hear(self, data: str | bytes) -> None:
        """Take a message from the client."""
        if self.deaf or self.ending is not None:
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
            _ACTS[type(command)](self, command)

    def hello(self, heartbeat: float) -> Hello:
        """The first message."""
        identity = self._caller.identity
        return Hello(
            session=self.id,
            subject=identity.subject if identity is not None else None,
            expires=self._expires,
            heartbeat=heartbeat,
            auth=self.session.renewable,
        )

    def introduced(self, auth: Auth) -> None:
        """It has shown its credentials with this message, and is answered."""
        self.session.stats.count("auth", "ok")
        self._say(Ok(auth.id, expires=self._expires))

    def sweep(self, now: float, today: float) -> None:
        """Upkeep, each second: `now` is monotonic, `today` in seconds since 1970."""
        if self._ends <= today:
            self.disconnect(EXPIRED)
            return
        if self._word <= today and self._expires is not None:
            self._word = inf
            self.take(Waning(self._expires))
        self.flow.look()
        self._following.sweep(today)
        for asked in tuple(self._asked.values()):
            if asked.due < now:
                self._give_up(asked.id)
                self.take(Failed(asked.id, Fault("timeout", 504, "the answer did not come to its end in time")))

    def disconnect(self, disconnect: Disconnect) -> None:
        """End the session for this reason; the first one counts."""
        if self.ending is None:
            self.ending = disconnect
            self._flush()
            self.writer.close(disconnect.code, disconnect.reason)
            self.take(Closed())
            self.flow.look()

    def _say(self, message: ServerMessage) -> None:
        data = self._frame(self._form.encode(message))
        self._said += 1
        self._size += len(data)
        if self._saying:
            self._saying.append(data)
        elif self._alone:
            self.writer.write(data)
        else:
            self._saying.append(data)
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        saying = self._saying
        if saying:
            self._saying = []
            self.writer.write(saying[0] if len(saying) == 1 else b"".join(saying))

    # Channels.

    def _follow(self, subscribe: Subscribe) -> None:
        self._following.follow(subscribe)

    def _begin(self, command: Begin) -> None:
        self._flush()
        self._following.begin(command.channel)

    def _leave(self, command: Leave) -> None:
        self._following.leave(command.channel)

    def _rejoin(self, command: Rejoin) -> None:
        self._flush()
        self._following.again(command.channel)

    # Credentials.

    @property
    def _expires(self) -> str | None:
        """When they end (RFC 3339); None where nobody says so."""
        return None if self._ends == inf else datetime.fromtimestamp(self._ends, UTC).isoformat()

    def _note_end(self) -> None:
        """Note when the credentials end, and when there is word of it."""
        identity = self._caller.identity
        self._ends = self._word = inf
        if identity is not None and identity.expires is not None:
            self._ends = identity.expires
            self._word = word_at(self._house.clock.time(), self._ends)

    def _verify(self, auth: Auth) -> None:
        self._house.supervisor.start(self._renew(auth), "a session's new credentials")

    async def _renew(self, auth: Auth) -> None:
        try:
            caller = await renewed(self._caller, auth.token, self._house.known)
        except Exception as error:
            self.take(Failed(auth.id, _fault(error)))
            return
        self._caller = caller
        self._notes = {}
        self._note_end()
        self._following.renew(caller)
        self.take(Renewed(auth.id, self._expires, self._house.rules(caller.route, caller.identity)))

    # Publications.

    def _spread(self, publish: Publish) -> None:
        try:
            data = self._form.data(publish.data)
        except ValueError as error:
            self.take(Failed(publish.id, Fault("bad_data", 400, f"data: {error}")))
        else:
            self._house.supervisor.start(self._publish(publish, data), "a session's publication")

    async def _publish(self, publish: Publish, data: Json) -> None:
        event: Event
        try:
            event = Published(
                publish.id, str(await self._house.messages.publish(publish.channel, data, self._caller.owner))
            )
        except Exception as error:
            event = Failed(publish.id, _fault(error))
        self.take(event)

    # Requests.

    def _ask(self, request: Request) -> None:
        caller, rules = self._caller, self.session.rules
        try:
            path, query = split_target(request.path)
            headers, body = as_http(request, caller.headers, self._form)
        except ClientError as error:
            self.take(Failed(request.id, fault_of(error)))
            return
        due = self._house.clock.monotonic() + rules.timeout
        asked = self._asked[request.id] = Asked(self._asker, request.id, headers, body, rules.limits.response, due)
        if headers is caller.headers:
            asked.notes = self._notes
        if self._ghosts >= rules.limits.requests:
            asked.whole = False
        scope = caller.scope.copy()
        scope["method"], scope["headers"] = request.method, headers
        scope["raw_path"], scope["query_string"] = path, query
        scope["extensions"] = {"tidegate.wire": asked}
        asked.start(self._house.rest, scope, caller.route)

    def _abandon(self, command: Abandon) -> None:
        self._give_up(command.id)

    def _give_up(self, answer_to: Id) -> None:
        asked = self._asked.pop(answer_to, None)
        if asked is not None and not asked.give_up(self._gone):
            self._ghosts += 1

    def _gone(self, asked: Asked, error: Exception | None) -> None:
        """What nobody waits for has come."""
        self._ghosts -= 1

    def _answered(self, asked: Asked, error: Exception | None) -> None:
        del self._asked[asked.id]
        self._alone = not self._asked  # nothing is on its way that could share the write
        self.take(self._response(asked) if error is None else Failed(asked.id, _fault(error)))
        self._alone = False

    def _response(self, asked: Asked) -> Response:
        fields, called_json = asked.fields
        data = asked.body
        return Response(asked.id, asked.status, fields, self._form.answer(data, called_json) if data else UNSET)


def _fault(error: Exception) -> Fault:
    """What the client is told; of a bug nothing but that it is one."""
    if isinstance(error, ClientError):
        return fault_of(error)
    if isinstance(error, UpstreamError):
        return Fault(error.code, error.status, str(error))
    _log.error("a session's request failed", exc_info=error)
    return Fault("internal", 500, "the request could not be answered")


_ACTS: dict[type, Callable[..., None]] = {
    Request: Conversation._ask,
    Abandon: Conversation._abandon,
    Subscribe: Conversation._follow,
    Begin: Conversation._begin,
    Leave: Conversation._leave,
    Rejoin: Conversation._rejoin,
    Auth: Conversation._verify,
    Publish: Conversation._spread,
    Disconnect: Conversation.disconnect,
    **dict.fromkeys(get_args(ServerMessage), Conversation._say),
}
