"""The session endpoint as ASGI: from the handshake to the end of the conversation.

One coroutine reads a session's messages. It gives way to others after a handful, and reads nothing while its
client doesn't: a busy session costs the others a moment, a slow one nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary

from gateway.core.access import StreamEnd
from gateway.core.asgi import Hearing, Receive, Scope, Send
from gateway.core.channel_names import allows, allows_messages
from gateway.core.codes import INTERNAL, NORMAL, RECONFIGURED, RESTART
from gateway.core.credentials import shows_token
from gateway.core.event import Json
from gateway.core.formats import Format, json_format, msgpack_format
from gateway.core.headers import without_own
from gateway.core.http import HANDSHAKE, IDENTITY, Handshake, Request, header
from gateway.core.identity import Identity
from gateway.core.messages import Auth
from gateway.core.session import Session
from gateway.core.session_events import Opened
from gateway.core.session_request import carried
from gateway.core.session_rules import Rules
from gateway.core.settings import Route, SessionSettings
from gateway.core.stats import StreamStats
from gateway.errors import ClientError
from gateway.live.app import Parts
from gateway.live.channel import Channel
from gateway.live.channels import SWEEP, Channels
from gateway.live.connection import LAST_BYTES, peer_left
from gateway.live.conversation import Conversation
from gateway.live.follower import TRANSPORT
from gateway.live.following import Caller, Found, House
from gateway.live.introduction import Stranger
from gateway.live.messages import Messages, owner_of
from gateway.live.negotiate import check_origin, request_of
from gateway.live.race import race
from gateway.live.supervisor import Supervisor
from gateway.plugin import Codec, Encoding

_log = logging.getLogger("tidegate.live")

# Messages of one session between two turns of the loop: at 30 to 50 µs each, others wait about half a millisecond.
BURST = 16
# What the gateway's own server pings at, `gateway.wire.sweep.HEARTBEAT`; said to clients, so that they know silence.
HEARTBEAT = 25.0

_MAKE = {"json": json_format, "msgpack": msgpack_format}
_KEPT = ("asgi", "http_version", "scheme", "server", "client", "root_path", "state")
_OF_EACH: Mapping[str, Any] = {"method": "GET", "raw_path": b"", "query_string": b"", "headers": [], "extensions": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """The rest of the gateway, as sessions need it; see `House`."""

    channels: Channels
    messages: Messages
    find: Callable[[bytes, bytes | None], Found]
    rest: Callable[[Scope, Receive, Send, Route], Awaitable[None]]
    known: Callable[[Route, Request], Awaitable[tuple[str, Identity]]]
    codecs: Mapping[str, Codec]
    current: Callable[[Route], bool] = field(default=lambda route: True)


class Sessions:
    """Serves the session routes."""

    def __init__(self, parts: Parts, inside: Inside) -> None:
        self._parts = parts
        self._forms = {name: make(inside.codecs[name].encode) for name, make in _MAKE.items() if name in inside.codecs}
        self._encodings: WeakKeyDictionary[Channel, dict[tuple[Format, str], Encoding]] = WeakKeyDictionary()
        self._supervisor = Supervisor()
        self._pumps = Supervisor()
        self._open: dict[Conversation, Route] = {}
        self._rules: dict[str, tuple[Route, Rules]] = {}
        self._current = inside.current
        self._prefix, self._count = secrets.token_hex(3), 0
        self._closing = False
        self._ending = asyncio.Event()
        self._house = House(
            channels=inside.channels,
            messages=inside.messages,
            find=inside.find,
            rest=inside.rest,
            known=inside.known,
            rules=self._rules_of,
            encoding=self._encoding,
            supervisor=self._supervisor,
            clock=parts.clock,
            current=inside.current,
        )

    def __repr__(self) -> str:
        return f"<Sessions open={len(self._open)} tasks={len(self._supervisor)}>"

    async def start(self) -> None:
        """Begin the upkeep."""
        self._supervisor.start(self._sweep(), "session upkeep")

    async def close(self) -> None:
        """Send everyone away with a reason to come back."""
        self._closing = True
        self._ending.set()
        for conversation in tuple(self._open):
            conversation.disconnect(RESTART)
        await asyncio.sleep(0)  # requests that came just now begin, or their books would stay open
        await self._supervisor.close()
        await self._pumps.close(LAST_BYTES)

    def renew(self, gone: Collection[str]) -> list[Conversation]:
        """Have the sessions of these routes begin nothing more; they are given, to be ended."""
        for name in gone:
            self._rules.pop(name, None)
        ending = [conversation for conversation, route in self._open.items() if route.name in gone]
        for conversation in ending:
            conversation.deaf = True
        return ending

    async def serve(self, scope: Scope, receive: Receive, send: Send, route: Route) -> None:
        """One exchange with a session route, from its first byte to its last."""
        try:
            subprotocol, form = self._admit(scope, route)
        except ClientError as error:
            await self._parts.refuse(scope, send, error)
            return
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
        auth = None
        if route.auth and IDENTITY not in scope:
            auth = await self._introduced(Stranger(scope, receive, send, form), scope, route)
            if auth is None:
                return
        conversation = self._begin(scope, send, route, form)
        pump = getattr(conversation.writer, "pump", None)
        pumping = self._pumps.start(pump(), "session pump") if pump is not None else None
        stats = self._opened(conversation, scope, route)
        if auth is not None:
            conversation.introduced(auth)
        del scope, send  # it may last for days, and must not hold on to its handshake
        if hasattr(conversation.writer, "hear"):
            cast("Hearing", conversation.writer).hear = _at_once(conversation)
        try:
            await _listen(conversation, receive)
            if pumping is not None:
                pumping.cancel()  # nobody is left to read what it still has
        except Exception:
            conversation.disconnect(INTERNAL)
            raise
        finally:
            conversation.disconnect(NORMAL)
            self._closed(conversation, route, stats)
            if pumping is not None:
                await asyncio.wait([pumping], timeout=LAST_BYTES)
                pumping.cancel()

    async def _introduced(self, stranger: Stranger, scope: Scope, route: Route) -> Auth | None:
        """Let the client show its token now, where the handshake had none; None when it was not let in."""
        assert route.session is not None, "a session route"
        try:
            return await stranger.shown(route, self._house.known, self._patience(route.session.auth_timeout or 0.0))
        except ClientError as error:
            self._parts.stats.refused[error.code] += 1
            self._parts.access.request(scope, route.name, error.status, 0, 0.0)
            return None

    async def _patience(self, seconds: float) -> None:
        """With a client that has shown nothing; raises ClientError when it ends."""
        await race(self._parts.clock.sleep(seconds), self._ending.wait())
        if self._closing:
            raise ClientError(503, "closing", RESTART.reason)
        raise ClientError(401, "unauthenticated", "no token was shown in time")

    def _admit(self, scope: Scope, route: Route) -> tuple[str | None, Format]:
        if scope["type"] != "websocket":
            error = ClientError(426, "upgrade_required", "this is the session endpoint: open it as a WebSocket")
            one = scope["http_version"].startswith("1")  # later versions have no Upgrade (RFC 9113 section 8.2.2)
            raise error.with_headers(*([(b"upgrade", b"websocket"), (b"connection", b"upgrade")] if one else []))
        check_origin(request_of(scope, {}), route.session.origins if route.session is not None else ())
        if self._closing:
            raise ClientError(503, "closing", "the gateway is shutting down").with_headers((b"retry-after", b"1"))
        return self._negotiate(tuple(scope.get("subprotocols", ())))

    def _negotiate(self, offered: tuple[str, ...]) -> tuple[str | None, Format]:
        spoken = {f"tidegate.{name}.v1": form for name, form in self._forms.items()}
        for subprotocol in offered:
            if subprotocol in spoken:
                return subprotocol, spoken[subprotocol]
        if any(not name.startswith("bearer.") for name in offered):  # which is a credential, not a protocol
            raise ClientError(
                400, "subprotocol", f"none of the offered subprotocols is spoken here; there are: {', '.join(spoken)}"
            )
        return None, self._forms["json"]

    def _begin(self, scope: Scope, send: Send, route: Route, form: Format) -> Conversation:
        self._count += 1
        name = f"{self._prefix}-{self._count:x}"
        caller = _caller(scope, route, name)
        rules, stats = self._rules_of(route, caller.identity), self._parts.stats.routes[route.name].session
        session = Session(rules, stats, renewable=caller.handshake is not None)
        return Conversation(name, session, self._house, caller, form, self._parts.writer_for(scope, send))

    def _rules_of(self, route: Route, identity: Identity | None) -> Rules:
        settings = route.session
        assert settings is not None, "a session route"
        if identity is not None and any("${" in pattern for pattern in (*settings.messages, *settings.publish)):
            return _rules(settings, identity.claims)
        kept = self._rules.get(route.name)
        if kept is None or kept[0] is not route:
            kept = self._rules[route.name] = route, _rules(settings, {})
        return kept[1]

    def _opened(self, conversation: Conversation, scope: Scope, route: Route) -> StreamStats:
        stats = self._parts.stats.routes[route.name].streams[TRANSPORT]
        stats.open += 1
        stats.opened += 1
        self._parts.access.opened(conversation.id, scope, route.name, TRANSPORT)
        self._open[conversation] = route
        conversation.take(Opened(conversation.hello(HEARTBEAT)))
        if self._closing:
            conversation.disconnect(RESTART)
        elif not self._current(route):
            conversation.disconnect(RECONFIGURED)
        return stats

    def _closed(self, conversation: Conversation, route: Route, stats: StreamStats) -> None:
        del self._open[conversation]
        ending = conversation.ending or NORMAL
        said, told = conversation.said, conversation.told
        end = StreamEnd(
            code=ending.code,
            label=ending.label,
            seconds=self._parts.clock.monotonic() - conversation.began,
            messages=said[0] + told[0],
            bytes=said[1] + told[1],
            received=conversation.received,
        )
        stats.open -= 1
        stats.closed[end.label] += 1
        stats.received += end.received
        stats.messages += said[0]
        stats.bytes += said[1]
        stats.seconds.observe(end.seconds)
        self._parts.access.closed(conversation.id, route.name, TRANSPORT, end)

    def _encoding(self, form: Format, name: str, channel: Channel) -> Encoding:
        """The same for all who follow a channel in one format: its bytes are made once."""
        made = self._encodings.setdefault(channel, {})
        encoding = made.get((form, name))
        if encoding is None:
            kind = "binary" if form.binary else "text"
            encoding = made[form, name] = Encoding(encode=form.event(name), kind=kind)
        return encoding

    async def _sweep(self) -> None:
        while True:
            await self._parts.clock.sleep(SWEEP)
            now, today = self._parts.clock.monotonic(), self._parts.clock.time()
            for conversation in tuple(self._open):
                conversation.sweep(now, today)


def _rules(settings: SessionSettings, claims: Mapping[str, Json]) -> Rules:
    live, messages = allows(settings.subscribe), allows_messages(settings.messages, claims)
    return Rules(
        subscribe=lambda channel: live(channel) if channel[0] == "/" else messages(channel),
        publish=allows_messages(settings.publish, claims),
        requests=settings.requests,
        timeout=settings.timeout,
        limits=settings.limits,
    )


def _caller(scope: Scope, route: Route, session: str) -> Caller:
    """What is kept of a handshake."""
    kept: dict[str, Any] = {key: scope[key] for key in _KEPT if key in scope}
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    kept |= {"type": "http", "scheme": scheme, "tidegate.session": session, **_OF_EACH}
    if IDENTITY in scope:
        kept[IDENTITY] = scope[IDENTITY]
    headers = carried(without_own(scope["headers"]))
    handshake: Handshake | None = scope.get(HANDSHAKE)
    identity: Identity | None = scope.get(IDENTITY)
    return Caller(
        route=route,
        identity=identity,
        owner=owner_of(scope),
        scope=kept,
        host=header(headers, b"host"),
        headers=headers,
        handshake=handshake if handshake is not None and shows_token(handshake.request) else None,
    )


def _at_once(conversation: Conversation) -> Callable[[str | bytes], bool]:
    """Hears a message before `receive` brings it; not while the client does not read what it is answered."""

    writer, flow = conversation.writer, conversation.flow

    def hear(data: str | bytes) -> bool:
        if writer.full and not flow.open:
            return False
        try:
            conversation.hear(data)
        except Exception:
            _log.exception("a session failed")
            conversation.disconnect(INTERNAL)
        return True

    return hear


async def _listen(conversation: Conversation, receive: Receive) -> None:
    """Hear the client until it has gone."""
    while True:
        for _ in range(BURST):
            message = await receive()
            if message["type"] == "websocket.disconnect":
                conversation.disconnect(peer_left(message))
                return
            text: str | None = message.get("text")
            conversation.hear(text if text is not None else message["bytes"])
            if not conversation.flow.open:
                await conversation.flow.room()
        await asyncio.sleep(0)
