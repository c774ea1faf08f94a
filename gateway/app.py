"""The gateway as one ASGI application: routes go to the proxy or to live, everything else is a problem.

It runs on any ASGI server; `gateway.serving` is our own. This is the only place that knows all the layers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import cast
from urllib.parse import quote

from gateway.admin.accesslog import open_access_log
from gateway.admin.app import admin_app
from gateway.admin.health import HealthState
from gateway.auth.gate import gates
from gateway.client.script import Script, with_client
from gateway.config import load_from_environment
from gateway.core.asgi import App, Headers, Message, Receive, Scope, Send
from gateway.core.cors import SHARING, asks_to_read, preflight, sharing
from gateway.core.credentials import from_subprotocols
from gateway.core.headers import own
from gateway.core.http import HANDSHAKE, IDENTITY, Handshake, Request, header
from gateway.core.identity import Identity
from gateway.core.problem import problem
from gateway.core.route import Match, Miss, RouteTable
from gateway.core.settings import Gateway, PluginUse, Route
from gateway.core.stats import Stats
from gateway.core.trust import Trusted, believe
from gateway.errors import ClientError
from gateway.live.app import Live, Parts
from gateway.live.channels import live_routes
from gateway.live.following import Found
from gateway.live.negotiate import check_origin, request_of, split_query, with_own_credentials
from gateway.live.sessions import Inside, Sessions
from gateway.live.webhooks import Reach, Webhooks
from gateway.live.writes import Writes
from gateway.plugin import (
    AnySource,
    Authenticator,
    Broker,
    Codec,
    Context,
    Discoverable,
    Options,
    Signature,
    Transport,
)
from gateway.plugin.registry import find
from gateway.proxy.app import Proxy
from gateway.proxy.tunnel import Tunnels
from gateway.wire.upstream import HttpUpstream, outside
from gateway.wire.writer import writer_for

_log = logging.getLogger("tidegate.app")

# How long requests under way may take when the gateway stops: less than the server waits for all of it (7 s).
PATIENCE = 5.0


class SystemClock:
    """The `Clock` of the running product."""

    random = staticmethod(random.random)
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def make(kind: str, use: PluginUse, context: Context) -> object:
    """The plugin that the configuration names."""
    return find(kind)[use.name].load().make(cast("Options", use.options), context)


def make_all(kind: str, context: Context, uses: Mapping[str, PluginUse | None] | None = None) -> dict[str, object]:
    """Every installed plugin of a kind, by name: with its default options, as `uses` says, or not at all."""
    uses = uses or {}
    made: dict[str, object] = {}
    for name, found in sorted(find(kind).items()):
        if name not in uses:
            plugin = found.load()
            made[name] = plugin.make(plugin.options(), context)
        elif (use := uses[name]) is not None:
            made[name] = make(kind, use, context)
    return made


class Application:
    """One compiled configuration as an ASGI application; `stats` and `health` are what its admin side shows."""

    def __init__(self, settings: Gateway) -> None:
        self.settings = settings
        self.stats = Stats()
        self.health = HealthState()
        self.access = open_access_log(settings.access_log)
        clock = SystemClock()
        self._upstreams = {
            name: HttpUpstream(upstream, self.stats.upstreams[name]) for name, upstream in settings.upstreams.items()
        }
        codecs = cast("dict[str, Codec]", make_all("codecs", Context(clock=clock)))
        self._asked: list[HttpUpstream] = []
        context = Context(clock=clock, codecs=codecs, upstreams=self._upstreams, upstream_at=self._upstream_at)
        sources = {
            route.name: cast(
                "AnySource", make("sources", route.live.source, replace(context, told=settings.told(route)))
            )
            for route in settings.routes
            if route.live is not None
        }
        authenticators = {
            name: cast("Authenticator", make("authenticators", auth.plugin, context))
            for name, auth in settings.auth.items()
        }
        self._gates = gates(settings.routes, settings.auth, authenticators, self.stats)
        own(name.encode() for auth in settings.auth.values() for name, _ in auth.headers)
        self._live_routes = live_routes(settings.routes, sources, self._upstreams, settings.upstreams)
        transports = cast("dict[str, Transport]", make_all("transports", context, settings.transports))
        live = self._live = Live(
            Parts(
                broker=cast("Broker", make("brokers", settings.broker, context)),
                transports=tuple(transports.values()),
                writer_for=writer_for,
                clock=clock,
                stats=self.stats,
                access=self.access,
                refuse=self._refuse,
                limits=settings.limits,
            )
        )
        self._tunnels = Tunnels(self._upstreams, self.stats, self.access, time.monotonic, self._refuse)
        self._script = Script(self.stats, self.access)
        self._table = RouteTable(with_client(settings.routes))
        hosts = {route.host for route in settings.routes if route.live is not None}
        writes = Writes(self._table, self._live.refresh, self.stats, announce=self._live.announce, hosts=hosts)
        self._proxy = Proxy(self._upstreams, self.stats, self.access, time.monotonic, writes.done)
        self._links = links(transports.values())
        self._trusted = Trusted(settings.trusted_proxies)
        self._sessions = Sessions(
            self._live.parts,
            Inside(
                channels=live.channels,
                messages=settings.channels,
                find=self._find,
                rest=self._rest,
                known=self._known,
                codecs=codecs,
            ),
        )
        signatures = {
            route.name: cast("Signature", make("signatures", route.webhook.verify, context))
            for route in settings.routes
            if route.webhook is not None and route.webhook.verify is not None
        }
        reach = Reach(messages=self._sessions.messages, look=writes.announced, decode=codecs["json"].decode)
        self._webhooks = Webhooks(self._live.parts, settings.routes, signatures, reach)
        self.admin: App = admin_app(
            self.stats, self.health, settings, transports=transports, lost_lines=lambda: self.access.dropped
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.lead(scope, receive, send)
        del scope, receive, send  # a stream may last for days, and must not hold on to its handshake
        await answer

    def lead(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Where the exchange goes; an ASGI application itself, for servers that take a plain function."""
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
        if self._trusted:
            believe(scope, self._trusted)
        try:
            if asks_to_read(scope) and (granted := self._granted(scope)) is not None:
                return self._grant(scope, send, granted)
            route, params = self._match(scope, scope.get("method", "GET"))
            if route.live is not None and route.live.origins:
                scope[SHARING] = sharing(scope["headers"], route.live.origins)
            if scope["type"] == "websocket" and scope.get("subprotocols"):
                _token_as_header(scope)
            if route.auth:
                return self._authenticated(scope, receive, send, route, params)
            return self._answer(scope, receive, send, route, params)
        except ClientError as error:
            return self._refuse(scope, send, error)

    async def _authenticated(
        self, scope: Scope, receive: Receive, send: Send, route: Route, params: Mapping[str, str]
    ) -> None:
        """Answer a client that the route's authenticators know, and nobody else."""
        try:
            opened = route.live or route.session or route
            request = with_own_credentials(request_of(scope, params), opened.origins)
            by, scope[IDENTITY] = await self._known(route, request)
            if route.session is not None:
                scope[HANDSHAKE] = Handshake(by, request)
            answer = self._answer(scope, receive, send, route, params)
        except ClientError as error:
            answer = self._refuse(scope, send, error)
        del scope, receive, send, params  # as in __call__
        await answer

    def _known(self, route: Route, request: Request) -> Awaitable[tuple[str, Identity]]:
        """Whom a route lets in, and by which authenticator; raises ClientError."""
        return self._gates[route.name].known(request)

    def _answer(
        self, scope: Scope, receive: Receive, send: Send, route: Route, params: Mapping[str, str]
    ) -> Awaitable[None]:
        """From its live side or from its upstream, or by the gateway itself; raises ClientError."""
        if not route.upstream:
            if route.session is not None:
                return self._sessions.serve(scope, receive, send, route)
            own = self._webhooks if route.webhook is not None else self._script
            return own.serve(scope, receive, send, route)
        live = self._live_routes.get(route.name)
        if live is not None:
            asked = self._live.asked(scope, params)
            if asked is not None:
                return self._live.serve(self._live.open(scope, receive, send, live, asked))
            scope["query_string"], _ = split_query(scope["query_string"])
            if scope["type"] == "websocket":
                raise ClientError(404, "not_live", "this URL cannot be opened as a WebSocket")
            if scope["method"] in ("GET", "HEAD"):
                return self._proxy.forward(scope, receive, send, route, self._links)
        if scope["type"] == "websocket":
            check_origin(request_of(scope, params), route.origins)
            return self._tunnels.open(scope, receive, send, route)
        return self._proxy.forward(scope, receive, send, route)

    def _granted(self, scope: Scope) -> Headers | None:
        """What a page is told that asks whether it may read a live route; None: the backend may say."""
        try:
            route, _ = self._match(scope, "GET")
        except ClientError:
            return None
        return preflight(scope["headers"], route.live.origins) if route.live is not None else None

    async def _grant(self, scope: Scope, send: Send, headers: Headers) -> None:
        self.access.request(scope, "", 204, 0, 0.0)
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _rest(self, scope: Scope, receive: Receive, send: Send, session: Route) -> Awaitable[None]:
        """Answer a request of a session: as `lead`, but that it can only want a REST answer."""
        try:
            route, params = self._match(scope, scope["method"])
            if not route.upstream:
                raise ClientError(404, "no_route", "this is the gateway's own, and answers no requests of sessions")
            identity = scope.pop(IDENTITY, None)
            if route.auth:
                # who it is was asked at the door; what it may do is asked by each route
                if identity is None or route.auth != session.auth or route.access is not None:
                    return self._rest_admitted(scope, receive, send, route, params)
                scope[IDENTITY] = identity
            return self._rest_forward(scope, receive, send, route)
        except ClientError as error:
            return self._refuse(scope, send, error)

    async def _rest_admitted(
        self, scope: Scope, receive: Receive, send: Send, route: Route, params: Mapping[str, str]
    ) -> None:
        try:
            scope[IDENTITY] = await self._gates[route.name].admit(request_of(scope, params))
            answer = self._rest_forward(scope, receive, send, route)
        except ClientError as error:
            answer = self._refuse(scope, send, error)
        await answer

    def _rest_forward(self, scope: Scope, receive: Receive, send: Send, route: Route) -> Awaitable[None]:
        if route.live is not None:
            scope["query_string"], _ = split_query(scope["query_string"])
        return self._proxy.forward(scope, receive, send, route)

    def _find(self, path: bytes, host: bytes | None) -> Found:
        """The live route of a channel; raises ClientError."""
        match = self._table.match("GET", path, host)
        if isinstance(match, Miss):
            raise match.error()
        live = self._live_routes.get(match.route.name)
        if live is None:
            raise ClientError(404, "not_live", "this URL is not live: it can be read, but not followed")
        gate = self._gates.get(match.route.name)
        return Found(live=live, params=match.params, admit=gate.admit if gate is not None else None)

    def _match(self, scope: Scope, method: str) -> Match[Route]:
        path = scope.get("raw_path")
        if path is None:  # optional in ASGI; the rest of the gateway relies on it
            path = scope["raw_path"] = quote(scope["path"]).encode()
        table = self._table
        host = header(scope["headers"], b"host") if table.by_host else None
        match = table.match(method, path, host)
        if isinstance(match, Miss):
            raise match.error()
        return match

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
        """An upstream that a plugin's own configuration names by its URL."""
        settings = outside(url)
        upstream = HttpUpstream(settings, self.stats.upstreams[settings.name])
        self._asked.append(upstream)
        return upstream

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            stack.callback(self.access.close)
            stack.push_async_callback(self._finish_requests)  # of those that closing the upstreams has failed
            for upstream in (*self._upstreams.values(), *self._asked):
                stack.push_async_callback(upstream.close)
            stack.push_async_callback(self._finish_requests)
            stack.push_async_callback(self._live.close)
            stack.push_async_callback(self._sessions.close)
            await self._live.start(self._live_routes.values())
            await self._sessions.start()
            self.health.ready = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.health.draining = True
        await send({"type": "lifespan.shutdown.complete"})

    async def _finish_requests(self) -> None:
        """Let requests under way have their answers, before the upstreams are closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while any(route.in_flight for route in self.stats.routes.values()):  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(0.02)


def links(transports: Iterable[Transport]) -> Headers:
    """How a REST answer says that its URL can be a stream (RFC 8288); `<>` is it, whatever proxies make of it."""
    types = sorted(one.media_type for one in transports if isinstance(one, Discoverable))
    return [(b"link", f'<>; rel="alternate"; type="{media_type}"'.encode()) for media_type in types]


def _token_as_header(scope: Scope) -> None:
    """A token that a browser had to put among the subprotocols goes where everybody looks; raises ClientError."""
    token, scope["subprotocols"] = from_subprotocols(scope["subprotocols"])
    if token is not None and header(scope["headers"], token[0]) is None:
        scope["headers"] = [*scope["headers"], token]


def application() -> Application:
    """The application for another ASGI server: configured by the file that `TIDEGATE_CONFIG` names."""
    return Application(load_from_environment())
