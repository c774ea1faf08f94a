"""The gateway as one ASGI application: routes go to the proxy or to live, everything else is a problem.

It runs on any ASGI server; `gateway.serving` is our own. This is the only place that knows all the layers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from typing import cast

from gateway.admin.accesslog import open_access_log
from gateway.admin.app import admin_app
from gateway.admin.health import HealthState
from gateway.admin.seed import seed
from gateway.build import Built, Ground, SystemClock, build, make, make_all, own_headers
from gateway.client.script import NAME, Script
from gateway.client.tickets import ROUTE as TICKETS
from gateway.client.tickets import TicketOffice
from gateway.config import load_from_environment
from gateway.core.asgi import App, Headers, Message, Receive, Scope, Send
from gateway.core.codes import RECONFIGURED
from gateway.core.cors import SHARING, asks_for, sharing
from gateway.core.http import HANDSHAKE, IDENTITY, Handshake, Request
from gateway.core.identity import Identity
from gateway.core.plan import Plan
from gateway.core.problem import problem
from gateway.core.route import Miss
from gateway.core.settings import Gateway, Route
from gateway.core.stats import Stats
from gateway.core.trust import Trusted, believe
from gateway.errors import ClientError
from gateway.live.app import Live, Parts
from gateway.live.following import Found
from gateway.live.message_urls import MessageUrls
from gateway.live.negotiate import check_origin, request_of, split_query, with_own_credentials
from gateway.live.refusal import ended
from gateway.live.sessions import Inside, Sessions
from gateway.live.webhooks import Reach, Webhooks
from gateway.plugin import Broker, Codec, Context, Transport
from gateway.proxy.tunnel import Tunnels
from gateway.reloading import Lasting, Reloading, Reread
from gateway.routing import granted, links, matched, may_show_it_later, token_as_header
from gateway.wire.upstream import HttpUpstream, outside
from gateway.wire.writer import writer_for

_log = logging.getLogger("tidegate.app")

# How long requests under way may take when the gateway stops: less than the server waits for all of it (7 s).
PATIENCE = 5.0

# In the scope of an exchange that is led a second time.
_BELIEVED = "tidegate.believed"


class Application:
    """One compiled configuration as an ASGI application; `stats` and `health` are what its admin side shows."""

    def __init__(self, settings: Gateway, reread: Reread | None = None) -> None:
        self.stats = Stats()
        self.health = HealthState()
        self.access = open_access_log(settings.access_log)
        clock = SystemClock()
        self._asked: list[HttpUpstream] = []
        codecs = cast("dict[str, Codec]", make_all("codecs", Context(clock=clock)))
        context = Context(clock=clock, codecs=codecs, upstream_at=self._upstream_at)
        transports = cast("dict[str, Transport]", make_all("transports", context, settings.transports))
        self._live = Live(
            Parts(
                broker=cast("Broker", make("brokers", settings.broker, context)),
                transports=tuple(transports.values()),
                writer_for=writer_for,
                clock=clock,
                stats=self.stats,
                access=self.access,
                refuse=self._refuse,
                limits=settings.limits,
                messages=settings.channels,
            )
        )
        self._tickets = TicketOffice(self.stats, self.access, clock.monotonic)
        self._own: dict[str, Script | TicketOffice] = {
            NAME: Script(self.stats, self.access),
            TICKETS.name: self._tickets,
        }
        self._links = links(transports.values())
        self._trusted = Trusted(settings.trusted_proxies)
        ground = Ground(clock=clock, stats=self.stats, access=self.access, codecs=codecs, live=self._live)
        self._built = build(settings, ground)
        own_headers(settings)
        self.stats.config.took(settings.hash, clock.time())
        self._tunnels = Tunnels(self.stats, self.access, time.monotonic, self._refuse, self._current)
        self._sessions = Sessions(
            self._live.parts,
            Inside(
                channels=self._live.channels,
                messages=self._live.messages,
                find=self._find,
                rest=self._rest,
                known=self._known,
                codecs=codecs,
                current=self._current,
            ),
        )
        self._message_urls = MessageUrls(self._live, self._links, codecs["json"])
        reach = Reach(messages=self._live.messages, look=self._announced, decode=codecs["json"].decode)
        self._webhooks = Webhooks(self._live.parts, settings.routes, self._built.signatures, reach)
        self._reloading = Reloading(self._lasting(ground), reread) if reread is not None else None
        self._transports = tuple(transports)
        self.admin: App = admin_app(
            self.stats,
            self.health,
            settings,
            transports=transports,
            lost_lines=lambda: self.access.dropped,
            reload=self._reloading.reload if self._reloading is not None else None,
        )

    def _lasting(self, ground: Ground) -> Lasting:
        return Lasting(
            ground=ground,
            health=self.health,
            sessions=self._sessions,
            webhooks=self._webhooks,
            tunnels=self._tunnels,
            current=lambda: self._built,
            take=self._take,
        )

    @property
    def settings(self) -> Gateway:
        """The configuration in force."""
        return self._built.settings

    async def reload(self) -> Plan:
        """Take on the configuration as the file has it now. Raises ConfigError, and ClientError at the end."""
        if self._reloading is None:
            raise ClientError(404, "no_file", "this gateway was not started with a file")
        return await self._reloading.reload()

    def _take(self, built: Built, change: Plan) -> None:
        self._built = built
        seed(self.stats, built.settings, self._transports)

    def _current(self, route: Route) -> bool:
        """Whether a route is as the configuration in force has it."""
        return self._built.routes.get(route.name) is route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.lead(scope, receive, send)
        del scope, receive, send  # a stream may last for days, and must not hold on to its handshake
        await answer

    def lead(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Where the exchange goes; an ASGI application itself, for servers that take a plain function."""
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        if self._trusted and _BELIEVED not in scope:
            believe(scope, self._trusted)
        built = self._built
        try:
            if (wanted := asks_for(scope)) is not None and (told := granted(built.table, scope, wanted)) is not None:
                return self._grant(scope, send, told)
            route, params = matched(built.table, scope, scope.get("method", "GET"))
            shared = route.live or route.channel
            if shared is not None and shared.origins:
                scope[SHARING] = sharing(scope["headers"], shared.origins)
            if shared is not None or route.session is not None:
                self._tickets.admit(scope)
            if scope["type"] == "websocket" and scope.get("subprotocols"):
                token_as_header(scope)
            if route.auth:
                return self._authenticated(built, scope, receive, send, route, params)
            return self._answer(built, scope, receive, send, route, params)
        except ClientError as error:
            return self._refuse(scope, send, error)

    async def _authenticated(
        self, built: Built, scope: Scope, receive: Receive, send: Send, route: Route, params: Mapping[str, str]
    ) -> None:
        """Answer a client that the route's authenticators know, and nobody else."""
        try:
            opened = route.live or route.session or route.channel or route
            request = with_own_credentials(request_of(scope, params), opened.origins)
            by, identity = "", None
            try:
                by, identity = await built.gates[route.name].known(request)
            except ClientError as error:
                if not may_show_it_later(scope, route, error):
                    raise
            if built is self._built or self._current(route):
                if identity is not None:
                    scope[IDENTITY] = identity
                if route.session is not None:
                    scope[HANDSHAKE] = Handshake(by, request)
                answer = self._answer(self._built, scope, receive, send, route, params)
            else:  # other rules hold by now
                scope[_BELIEVED] = True
                scope.pop(SHARING, None)
                answer = self.lead(scope, receive, send)
        except ClientError as error:
            answer = self._refuse(scope, send, error)
        del scope, receive, send, params  # as in __call__
        await answer

    def _known(self, route: Route, request: Request) -> Awaitable[tuple[str, Identity]]:
        """Whom a route lets in, and by which authenticator; raises ClientError."""
        gate = self._built.gates.get(route.name)
        if gate is None or not self._current(route):
            raise ended(RECONFIGURED)
        return gate.known(request)

    def _answer(
        self, built: Built, scope: Scope, receive: Receive, send: Send, route: Route, params: Mapping[str, str]
    ) -> Awaitable[None]:
        """From its live side or from its upstream, or by the gateway itself; raises ClientError."""
        if not route.upstream:
            if route.session is not None:
                return self._sessions.serve(scope, receive, send, route)
            if route.channel is not None:
                return self._message_urls.serve(scope, receive, send, route, params)
            own = self._webhooks if route.webhook is not None else self._own[route.name]
            return own.serve(scope, receive, send, route)
        live = built.live.get(route.name)
        if live is not None:
            asked = self._live.asked(scope, params)
            if asked is not None:
                return self._live.serve(self._live.open(scope, receive, send, live, asked))
            scope["query_string"], _ = split_query(scope["query_string"])
            if scope["type"] == "websocket":
                raise ClientError(404, "not_live", "this URL cannot be opened as a WebSocket")
            if scope["method"] in ("GET", "HEAD"):
                return built.proxy.forward(scope, receive, send, route, self._links)
        if scope["type"] == "websocket":
            check_origin(request_of(scope, params), route.origins)
            return self._tunnels.open(scope, receive, send, route, built.upstreams[route.upstream])
        return built.proxy.forward(scope, receive, send, route)

    async def _grant(self, scope: Scope, send: Send, headers: Headers) -> None:
        self.access.request(scope, "", 204, 0, 0.0)
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _rest(self, scope: Scope, receive: Receive, send: Send, session: Route) -> Awaitable[None]:
        """Answer a request of a session: as `lead`, but that it can only want a REST answer."""
        built = self._built
        try:
            route, params = matched(built.table, scope, scope["method"])
            if not route.upstream:
                raise ClientError(404, "no_route", "this is the gateway's own, and answers no requests of sessions")
            identity = scope.pop(IDENTITY, None)
            if route.auth:
                # who it is was asked at the door; what it may do is asked by each route
                if identity is None or route.auth != session.auth or route.access is not None:
                    return self._rest_admitted(built, scope, receive, send, route, params)
                scope[IDENTITY] = identity
            return _rest_forward(built, scope, receive, send, route)
        except ClientError as error:
            return self._refuse(scope, send, error)

    async def _rest_admitted(
        self, built: Built, scope: Scope, receive: Receive, send: Send, route: Route, params: Mapping[str, str]
    ) -> None:
        try:
            scope[IDENTITY] = await built.gates[route.name].admit(request_of(scope, params))
            answer = _rest_forward(built, scope, receive, send, route)
        except ClientError as error:
            answer = self._refuse(scope, send, error)
        await answer

    def _find(self, path: bytes, host: bytes | None) -> Found:
        """The live route of a channel; raises ClientError."""
        built = self._built
        match = built.table.match("GET", path, host)
        if isinstance(match, Miss):
            raise match.error()
        live = built.live.get(match.route.name)
        if match.route.channel is not None:
            raise ClientError(404, "not_live", "sessions follow channels of messages by their names, not by URLs")
        if live is None:
            raise ClientError(404, "not_live", "this URL is not live: it can be read, but not followed")
        gate = built.gates.get(match.route.name)
        return Found(live=live, params=match.params, admit=gate.admit if gate is not None else None)

    def _announced(self, path: bytes) -> int | None:
        """A webhook says that the resource has changed."""
        return self._built.writes.announced(path)

    async def _refuse(self, scope: Scope, send: Send, error: ClientError) -> None:
        self.stats.refused[error.code] += 1
        _log.debug("refused with %d: %s: %s", error.status, error.code, error.detail)
        headers, body = problem(error.status, error.code, error.detail, error.headers)
        headers += scope.get(SHARING, ())
        self.access.request(scope, "", error.status, len(body), 0.0)
        kind = "http.response"
        if scope["type"] == "websocket":
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": error.close_code, "reason": error.detail})
                return
            kind = "websocket.http.response"
        start: Message = {"type": f"{kind}.start", "status": error.status, "headers": headers}
        start["tidegate.problem"] = error.code, error.detail  # who asks from inside need not parse the body
        await send(start)
        await send({"type": f"{kind}.body", "body": b"" if scope.get("method") == "HEAD" else body})

    def _upstream_at(self, url: str) -> HttpUpstream:
        """An upstream that the options of what lasts name by its URL."""
        settings = outside(url)
        self._asked.append(HttpUpstream(settings, self.stats.upstreams[settings.name]))
        return self._asked[-1]

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            stack.callback(self.access.close)
            stack.push_async_callback(self._finish_requests)  # of those that closing the upstreams has failed
            stack.push_async_callback(self._close_upstreams)
            stack.push_async_callback(self._finish_requests)
            stack.push_async_callback(self._live.close)
            stack.push_async_callback(self._sessions.close)
            if self._reloading is not None:
                stack.push_async_callback(self._reloading.send_all_away)
            await self._live.start(self._built.live.values())
            await self._sessions.start()
            self.health.ready = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.health.draining = True
        await send({"type": "lifespan.shutdown.complete"})

    async def _close_upstreams(self) -> None:
        if self._reloading is not None:
            await self._reloading.close()
        for upstream in (*self._built.all_upstreams, *self._asked):
            await upstream.close()

    async def _finish_requests(self) -> None:
        """Let requests under way have their answers, before the upstreams are closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while any(route.in_flight for route in self.stats.routes.values()):  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(0.02)


def _rest_forward(built: Built, scope: Scope, receive: Receive, send: Send, route: Route) -> Awaitable[None]:
    if route.live is not None:
        scope["query_string"], _ = split_query(scope["query_string"])
    return built.proxy.forward(scope, receive, send, route)


def application() -> Application:
    """The application for another ASGI server: configured by the file that `TIDEGATE_CONFIG` names."""
    return Application(load_from_environment())
