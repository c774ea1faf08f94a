"""An answer that the gateway gives whole by itself, in the books of its route."""

from __future__ import annotations

import json

from gateway.core.asgi import Headers, Scope, Send
from gateway.core.event import Json
from gateway.core.problem import problem
from gateway.errors import ClientError
from gateway.live.app import Parts

Whole = tuple[int, Headers, bytes]
"""Status, headers and body."""

_JSON = (b"content-type", b"application/json")


def as_json(status: int, value: Json) -> Whole:
    body = json.dumps(value).encode()
    return status, [_JSON, (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")], body


def as_problem(error: ClientError) -> Whole:
    return (error.status, *problem(error.status, error.code, error.detail, error.headers))


async def reply(parts: Parts, scope: Scope, send: Send, route: str, began: float, whole: Whole) -> None:
    """Answer what came at `began`, and count and log it."""
    status, headers, body = whole
    seconds, stats = parts.clock.monotonic() - began, parts.stats.routes[route]
    stats.requests[scope["method"], status] += 1
    stats.seconds.observe(seconds)
    sent = b"" if scope["method"] == "HEAD" else body
    parts.access.request(scope, route, status, len(sent), seconds)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sent})
