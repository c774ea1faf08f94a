"""`tidegate.js`, the client for browsers, as the gateway serves it: one ES module, made of the files beside this one.

They are joined, and their comments and indentation stay here: the source is for reading, what is served for loading.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Awaitable
from importlib.resources import files

from gateway.client.tickets import ROUTE as TICKETS
from gateway.core.accept import accepts_coding
from gateway.core.access import AccessLog
from gateway.core.asgi import Headers, Receive, Scope, Send
from gateway.core.http import header
from gateway.core.route import parse_template
from gateway.core.settings import Route
from gateway.core.stats import RouteStats, Stats
from gateway.errors import ClientError

PATH = "/.tidegate/client.js"
NAME = "tidegate.js"  # its route's, in logs and metrics
# An hour: after an upgrade of the gateway, pages go on with the former client for so long at most.
MAX_AGE = 3600

PARTS = ("fold.js", "line.js", "live.js", "session.js")  # each uses what is before it
_COMMENT = re.compile(r"^\s*(?://|/\*\*|\*)")
_AFTER = re.compile(r"\s+// [^\"'`]*$")  # a comment after code; where there may be a string around it, it stays
_NOTICE = "// tidegate.js, the browser's client of Tidegate. Apache-2.0\n"


def bundle() -> bytes:
    """The module. The parts have no other comments than `//`, after code too, and JSDoc."""
    folder = files("gateway.client")
    lines = (line for name in PARTS for line in (folder / name).read_text("utf-8").splitlines())
    kept = (_AFTER.sub("", line).strip() for line in lines if line.strip() and not _COMMENT.match(line))
    return "".join([_NOTICE, *(f"{line}\n" for line in kept)]).encode()


def with_client(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """The routes, and the client's own and its tickets' where any of them is live."""
    if not any(route.live or route.session or route.channel for route in routes):
        return routes
    return Route(name=NAME, path=parse_template(PATH), methods=frozenset({"GET", "HEAD"})), TICKETS, *routes


class Script:
    """The client's bytes, plain and compressed, and how they are answered."""

    def __init__(self, stats: Stats, access: AccessLog) -> None:
        self._stats = stats
        self._access = access
        plain = bundle()
        tag = hashlib.sha256(plain).hexdigest()[:16].encode()
        self._plain: tuple[bytes, Headers] = plain, [(b"etag", b'"%s"' % tag)]
        packed = gzip.compress(plain, mtime=0)
        self._packed: tuple[bytes, Headers] = packed, [(b"etag", b'"%s-gzip"' % tag), (b"content-encoding", b"gzip")]

    def serve(self, scope: Scope, receive: Receive, send: Send, route: Route) -> Awaitable[None]:
        """Answer GET or HEAD; raises ClientError."""
        if scope["type"] == "websocket":
            raise ClientError(404, "not_live", "this is the client for browsers, it can't be opened as a WebSocket")
        return self._answer(scope, send, self._stats.routes[route.name])

    async def _answer(self, scope: Scope, send: Send, counted: RouteStats) -> None:
        method, headers = scope["method"], scope["headers"]
        body, own = self._packed if accepts_coding(headers, b"gzip") else self._plain
        status = 200
        fields: Headers = [
            *own,
            (b"cache-control", b"public, max-age=%d" % MAX_AGE),
            (b"vary", b"accept-encoding"),
            # Anyone may have it, and pages of other origins load modules by CORS.
            (b"access-control-allow-origin", b"*"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if _knows(headers, own[0][1]):
            status, body = 304, b""
        else:
            fields += [(b"content-type", b"text/javascript; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        if method == "HEAD":
            body = b""
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})
        counted.requests[method, status] += 1
        counted.seconds.observe(0.0)  # it is all here, nothing is waited for
        self._access.request(scope, NAME, status, len(body), 0.0)


def _knows(headers: Headers, tag: bytes) -> bool:
    """Whether the client has what bears this tag (RFC 9110 section 13.1.2)."""
    known = header(headers, b"if-none-match") or b""
    return known.strip() == b"*" or tag in {part.strip().removeprefix(b"W/") for part in known.split(b",")}
