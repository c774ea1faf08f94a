"""The conversation of one session: what its client may do, what is under way, and what is answered.

It decides and does nothing: `handle` takes what happened, a client's message or the outcome of a command, and
returns what is to be done, in order. It knows nothing of sockets, clocks, channels' contents or backends, and no
published event passes through it: a channel writes to its followers by itself once `Begin` has said so.

Rules:
* Every message with an id is answered once: a request with its response, the others with `ok`, or with `error`.
* One subscription a channel; `ok` comes before its first event, and nothing comes after the answer to `unsubscribe`.
* A channel that ends takes its subscription with it, and nothing else: `error` with `channel`.
* New credentials come one after the other, and apply to all that is followed: what their rules no longer allow ends.
* Outcomes of what the client has given up meanwhile are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.core.codes import BAD_MESSAGE, Disconnect
from gateway.core.formats import Misread, Unintelligible
from gateway.core.messages import (
    Auth,
    Cancel,
    Error,
    Expiring,
    Fault,
    Id,
    Ok,
    Ping,
    Pong,
    Publish,
    Request,
    Response,
    Subscribe,
    Unsubscribe,
)
from gateway.core.session_commands import Abandon, Begin, Command, Leave, Rejoin
from gateway.core.session_events import (
    Closed,
    Event,
    Failed,
    Followed,
    Lost,
    Opened,
    Published,
    Renewed,
    Waning,
)
from gateway.core.session_rules import (
    CANCELLED,
    DUPLICATE,
    FOLLOWED_ALREADY,
    NO_FOLLOWING,
    NO_PUBLISHING,
    NO_REQUESTS,
    NOT_FOLLOWED,
    NOT_RENEWABLE,
    Rules,
    crowded,
)
from gateway.core.stats import SessionStats


@dataclass(slots=True)
class Session:
    """One client's conversation.

    `channels` are its subscriptions: None once events may flow, till then the id that waits for its answer;
    `asked` are the requests and publications under way, by id, and new credentials that are looked at. `renewable`:
    its own can be renewed.
    """

    rules: Rules
    stats: SessionStats
    renewable: bool = False
    channels: dict[str, Id | None] = field(default_factory=dict)
    asked: dict[Id, str] = field(default_factory=dict)

    def handle(self, event: Event) -> list[Command]:
        """Take what happened; returns what is to be done, in order."""
        return _HANDLERS[type(event)](self, event)

    # A client's messages, the frequent ones first.

    def _request(self, request: Request) -> list[Command]:
        if not self.rules.requests:
            return self._refuse("request", request.id, NO_REQUESTS)
        return self._begin("request", request.id) or [request]

    def _publish(self, publish: Publish) -> list[Command]:
        if not self.rules.publish(publish.channel):
            return self._refuse("publish", publish.id, NO_PUBLISHING)
        return self._begin("publish", publish.id) or [publish]

    def _response(self, response: Response) -> list[Command]:
        return [response] if self._end(response.id, "ok") else []

    def _subscribe(self, subscribe: Subscribe) -> list[Command]:
        answer_to, channel = subscribe.id, subscribe.channel
        if channel in self.channels:
            return self._refuse("subscribe", answer_to, FOLLOWED_ALREADY)
        limit = self.rules.limits.subscriptions
        if len(self.channels) >= limit:
            return self._refuse("subscribe", answer_to, crowded(limit, "subscriptions"))
        if not self.rules.subscribe(channel):
            return self._refuse("subscribe", answer_to, NO_FOLLOWING)
        self.channels[channel] = answer_to
        self.stats.subscriptions += 1
        return [subscribe]

    def _unsubscribe(self, unsubscribe: Unsubscribe) -> list[Command]:
        answer_to, channel = unsubscribe.id, unsubscribe.channel
        if channel not in self.channels:
            return self._refuse("unsubscribe", answer_to, NOT_FOLLOWED)
        pending = self._drop(channel)
        self.stats.count("unsubscribe", "ok")
        given_up: list[Command] = []
        if pending is not None:
            self.stats.count("subscribe", CANCELLED.code)
            given_up = [Error(CANCELLED, id=pending)]
        return [Leave(channel), *given_up, Ok(answer_to)]

    def _cancel(self, cancel: Cancel) -> list[Command]:
        if self.asked.get(cancel.id) != "request":
            return []  # its answer is on the way
        self._end(cancel.id, CANCELLED.code)
        return [Abandon(cancel.id), Error(CANCELLED, id=cancel.id)]

    def _auth(self, auth: Auth) -> list[Command]:
        if not self.renewable:
            return self._refuse("auth", auth.id, NOT_RENEWABLE)
        if "auth" in self.asked.values():
            return self._refuse("auth", auth.id, crowded(1, "token under way"))
        if auth.id in self.asked:
            return self._refuse("auth", auth.id, DUPLICATE)
        self.asked[auth.id] = "auth"  # beside the limit: a busy session can be renewed, too
        return [auth]

    def _ping(self, ping: Ping) -> list[Command]:
        return [Pong(ping.id)]

    def _misread(self, misread: Misread) -> list[Command]:
        return self._refuse("unknown", misread.id, Fault(misread.code, 400, str(misread)))

    def _unintelligible(self, what: Unintelligible) -> list[Command]:
        return [Disconnect(BAD_MESSAGE.code, str(what), BAD_MESSAGE.label, reconnect=False)]

    # Outcomes.

    def _opened(self, opened: Opened) -> list[Command]:
        return [opened.hello]

    def _followed(self, followed: Followed) -> list[Command]:
        channel = followed.channel
        answer_to = self.channels.get(channel)
        if answer_to is None:
            return []
        self.channels[channel] = None
        self.stats.count("subscribe", "ok")
        return [Ok(answer_to, position=followed.position), Begin(channel)]

    def _lost(self, lost: Lost) -> list[Command]:
        if lost.channel not in self.channels:
            return []
        answer_to = self._drop(lost.channel)
        if answer_to is None:
            return [Leave(lost.channel), Error(lost.fault, channel=lost.channel)]
        self.stats.count("subscribe", lost.fault.code)
        return [Leave(lost.channel), Error(lost.fault, id=answer_to)]

    def _failed(self, failed: Failed) -> list[Command]:
        return [Error(failed.fault, id=failed.id)] if self._end(failed.id, failed.fault.code) else []

    def _published(self, published: Published) -> list[Command]:
        return [Ok(published.id, position=published.position)] if self._end(published.id, "ok") else []

    def _renewed(self, renewed: Renewed) -> list[Command]:
        if not self._end(renewed.id, "ok"):
            return []
        self.rules = renewed.rules
        commands: list[Command] = [Ok(renewed.id, expires=renewed.expires)]
        for channel in tuple(self.channels):
            if not self.rules.subscribe(channel):
                commands += self._lost(Lost(channel, NO_FOLLOWING))
            elif channel[0] == "/":  # channels of messages are the same for all who may follow them
                commands.append(Rejoin(channel))
        return commands

    def _waning(self, waning: Waning) -> list[Command]:
        return [] if "auth" in self.asked.values() else [Expiring(waning.expires)]

    def _closed(self, closed: Closed) -> list[Command]:
        given_up: list[Command] = [Abandon(answer_to) for answer_to, op in self.asked.items() if op == "request"]
        given_up += [Leave(channel) for channel in self.channels]
        for answer_to in tuple(self.asked):
            self._end(answer_to, "closed")
        for channel in tuple(self.channels):
            self._drop(channel)
        return given_up

    # Parts of these.

    def _begin(self, op: str, answer_to: Id) -> list[Command]:
        """Note what is under way, or say why it can't be."""
        limit = self.rules.limits.requests
        if len(self.asked) >= limit:
            return self._refuse(op, answer_to, crowded(limit, "requests under way"))
        if answer_to in self.asked:
            return self._refuse(op, answer_to, DUPLICATE)
        self.asked[answer_to] = op
        return []

    def _end(self, answer_to: Id, result: str) -> bool:
        """Whether an answer is still wanted."""
        op = self.asked.pop(answer_to, None)
        if op is None:
            return False
        self.stats.operations[op, result] += 1
        return True

    def _drop(self, channel: str) -> Id | None:
        self.stats.subscriptions -= 1
        return self.channels.pop(channel)

    def _refuse(self, op: str, answer_to: Id, fault: Fault) -> list[Command]:
        self.stats.count(op, fault.code)
        return [Error(fault, id=answer_to)]


# Each takes the one kind of event that it is kept under; a test finds the kind that nobody takes.
_HANDLERS: dict[type, Callable[..., list[Command]]] = {
    Request: Session._request,
    Response: Session._response,
    Subscribe: Session._subscribe,
    Unsubscribe: Session._unsubscribe,
    Cancel: Session._cancel,
    Publish: Session._publish,
    Auth: Session._auth,
    Ping: Session._ping,
    Misread: Session._misread,
    Unintelligible: Session._unintelligible,
    Opened: Session._opened,
    Followed: Session._followed,
    Lost: Session._lost,
    Failed: Session._failed,
    Published: Session._published,
    Renewed: Session._renewed,
    Waning: Session._waning,
    Closed: Session._closed,
}
