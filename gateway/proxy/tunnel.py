"""WebSockets passed through: a route's upstream speaks for itself, and the gateway only joins the connections.

The client's handshake goes up by the same header rules as a request, and a refusal comes back as the response it
is. Once open, bytes are the server's affair; here they are accounted for.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, cast

from gateway.core.access import StreamEnd
from gateway.core.codes import RECONFIGURED
from gateway.core.headers import response_headers
from gateway.core.http import Answer, header
from gateway.errors import ClientError, UpstreamError
from gateway.proxy.body import ClientGone, beside
from gateway.proxy.inbound import Inbound

if TYPE_CHECKING:
    from gateway.core.access import AccessLog
    from gateway.core.asgi import Far, Headers, Receive, Scope, Send, Splicing, Tunnel
    from gateway.core.settings import Route
    from gateway.core.stats import Stats, StreamStats
    from gateway.plugin import TunnelingUpstream

TRANSPORT = "tunnel"

_UPGRADE = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
_KEY, _ACCEPT = b"sec-websocket-key", b"sec-websocket-accept"

Refuse = Callable[["Scope", "Send", ClientError], Awaitable[None]]


class Tunnels:
    """Passes WebSockets through. `current` tells whether a route is as the configuration has it now."""

    def __init__(
        self,
        stats: Stats,
        access: AccessLog,
        clock: Callable[[], float],
        refuse: Refuse,
        current: Callable[[Route], bool] = lambda route: True,
    ) -> None:
        self._stats = stats
        self._access = access
        self._clock = clock
        self._refuse = refuse
        self._current = current
        self._open: dict[Tunnel, str] = {}
        self._count = 0

    def of(self, routes: Collection[str]) -> list[Tunnel]:
        """Those that are open, of these routes."""
        return [tunnel for tunnel, route in self._open.items() if route in routes]

    def open(
        self, scope: Scope, receive: Receive, send: Send, route: Route, upstream: TunnelingUpstream
    ) -> Awaitable[None]:
        """Carry one WebSocket from its handshake to its end. Raises ClientError where there can't be one."""
        wire = (scope.get("extensions") or {}).get("tidegate.wire")
        if not hasattr(wire, "splice"):
            raise ClientError(501, "no_tunnel", "this server cannot pass a WebSocket on")
        return self._carry(scope, receive, send, route, upstream)

    async def _carry(
        self, scope: Scope, receive: Receive, send: Send, route: Route, upstream: TunnelingUpstream
    ) -> None:
        wire = cast("Splicing", scope["extensions"]["tidegate.wire"])
        began = self._clock()
        try:
            found = await _ask(scope, receive, upstream)
        except UpstreamError as error:
            await self._refuse(scope, send, ClientError(error.status, error.code, str(error)))
            return
        except ClientError as error:
            await self._refuse(scope, send, error)
            return
        except ClientGone:
            return
        if isinstance(found, Answer):
            await self._relay(scope, send, route, found, began)
            return
        try:
            stats = self._stats.routes[route.name].streams[TRANSPORT]
            tunnel = wire.splice(_opened(found, scope), found, stats)
        except BaseException:
            found.close()
            raise
        if tunnel is None:
            found.close()
            return
        self._count += 1
        stream = f"t{self._count:x}"
        self._access.opened(stream, scope, route.name, TRANSPORT)
        del scope, receive, send, wire, found  # a tunnel may last for days, and needs none of them
        self._open[tunnel] = route.name
        if not self._current(route):
            tunnel.end(RECONFIGURED)
        await self._last(stream, route.name, stats, tunnel)

    async def _relay(self, scope: Scope, send: Send, route: Route, answer: Answer, began: float) -> None:
        """Refuse as the upstream did."""
        counted = self._stats.routes[route.name]
        counted.requests["GET", answer.status] += 1
        self._access.request(scope, route.name, answer.status, len(answer.body), self._clock() - began)
        headers = response_headers(list(answer.headers))
        await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": answer.body})

    async def _last(self, stream: str, route: str, stats: StreamStats, tunnel: Tunnel) -> None:
        """Wait for the end, and account for it."""
        began = self._clock()
        stats.open += 1
        stats.opened += 1
        try:
            await tunnel.wait()
        finally:
            del self._open[tunnel]
            seconds, ending = self._clock() - began, tunnel.ending
            stats.open -= 1
            stats.closed[ending.label] += 1
            stats.seconds.observe(seconds)
            end = StreamEnd(
                code=ending.code, label=ending.label, seconds=seconds, messages=0, bytes=tunnel.sent, received=0
            )
            self._access.closed(stream, route, TRANSPORT, end)


async def _ask(scope: Scope, receive: Receive, upstream: TunnelingUpstream) -> Far | Answer:
    """Knock at the upstream, while the client waits. Raises UpstreamError, ClientError or ClientGone."""
    inbound = Inbound({**scope, "method": "GET", "scheme": "https" if scope["scheme"] == "wss" else "http"})
    headers = [*inbound.headers(upstream.host), *_UPGRADE]
    if header(headers, _KEY) is None:  # over HTTP/2 there is none: RFC 8441 section 5
        headers += [(b"Sec-WebSocket-Key", b64encode(os.urandom(16)))]
    found: list[Far | Answer] = []

    async def ask() -> None:
        found.append(await upstream.upgrade(inbound.target, headers))

    try:
        await beside(_watch(receive), ask())
    except BaseException:
        for one in found:
            if not isinstance(one, Answer):
                one.close()
        raise
    return found[0]


async def _watch(receive: Receive) -> None:
    """Wait until the client has gone, which raises ClientGone."""
    while (await receive())["type"] != "websocket.disconnect":
        pass
    raise ClientGone


def _opened(far: Far, scope: Scope) -> Headers:
    """The headers of the 101 as the client gets them: it has its own key, or none, and so has the answer."""
    headers = response_headers(far.headers)
    if header(scope["headers"], _KEY) is None:
        headers = [pair for pair in headers if pair[0].lower() != _ACCEPT]
    return headers
