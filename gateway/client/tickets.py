"""Where pages get tickets for what can't bring a token: `POST /.tidegate/ticket`, with the `Authorization` to be kept.

Any origin's page may ask: it is answered only for what it has sent itself, never for what its browser adds.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable

from gateway.core.access import AccessLog
from gateway.core.asgi import Headers, Receive, Scope, Send
from gateway.core.cors import SHARING
from gateway.core.crowd import address_of
from gateway.core.http import header
from gateway.core.route import parse_template
from gateway.core.settings import Route
from gateway.core.stats import Stats
from gateway.core.tickets import LASTS, PARAMETER, Tickets, without_ticket
from gateway.errors import ClientError

PATH = "/.tidegate/ticket"
NAME = "ticket"  # its route's, in logs and metrics
ROUTE = Route(name=NAME, path=parse_template(PATH), methods=frozenset({"POST", "OPTIONS"}))

# No cookies come with a request that is shared with `*`.
_SHARED: Headers = [(b"access-control-allow-origin", b"*")]
_GRANTED: Headers = [
    *_SHARED,
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization"),
    (b"access-control-max-age", b"600"),
]


class TicketOffice:
    """Gives tickets, and takes them."""

    def __init__(self, stats: Stats, access: AccessLog, clock: Callable[[], float]) -> None:
        self._stats = stats
        self._access = access
        self._clock = clock
        self._tickets = Tickets()

    def serve(self, scope: Scope, receive: Receive, send: Send, route: Route) -> Awaitable[None]:
        """Answer a POST, or a page's preflight of one; raises ClientError."""
        if scope["type"] == "websocket":
            raise ClientError(404, "not_live", "this gives tickets, it can't be opened as a WebSocket")
        scope[SHARING] = _SHARED
        if scope["method"] == "OPTIONS":
            return self._answer(scope, send, 204, list(_GRANTED), b"")
        credentials = header(scope["headers"], b"authorization")
        if not credentials:
            detail = "a ticket stands for the Authorization that it is asked for with, and there is none"
            raise ClientError(401, "unauthenticated", detail).with_headers((b"www-authenticate", b"Bearer"))
        name = secrets.token_urlsafe(24)
        self._tickets.issue(name, credentials, address_of(scope), self._clock())
        body = json.dumps({"ticket": name, "expires_in": int(LASTS)}).encode()
        fields: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *_SHARED,
        ]
        return self._answer(scope, send, 200, fields, body)

    def admit(self, scope: Scope) -> None:
        """What a ticket in the query stands for goes where everybody looks; raises ClientError."""
        if PARAMETER not in scope["query_string"]:
            return
        scope["query_string"], name = without_ticket(scope["query_string"])
        if name is None:
            return
        if scope.get("method", "GET") != "GET":
            raise ClientError(400, "bad_ticket", "a ticket is for streams: GET, and WebSockets")
        credentials = self._tickets.use(name, self._clock())
        if header(scope["headers"], b"authorization") is None:
            scope["headers"] = [*scope["headers"], (b"authorization", credentials)]

    async def _answer(self, scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        counted = self._stats.routes[NAME]
        counted.requests[scope["method"], status] += 1
        counted.seconds.observe(0.0)  # nothing is waited for
        self._access.request(scope, NAME, status, len(body), 0.0)
