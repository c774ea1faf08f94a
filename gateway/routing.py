"""What is to be known of an exchange before anybody answers it: its route, whether a page may ask, and its token."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from gateway.core.asgi import Headers, Scope
from gateway.core.cors import preflight
from gateway.core.credentials import from_subprotocols
from gateway.core.http import header
from gateway.core.route import Match, Miss, RouteTable
from gateway.core.settings import Route
from gateway.errors import ClientError
from gateway.live.message_urls import methods_of
from gateway.plugin import Discoverable, Transport


def matched(table: RouteTable[Route], scope: Scope, method: str) -> Match[Route]:
    """The route that answers, and its path's parameters; raises ClientError."""
    path = scope.get("raw_path")
    if path is None:  # optional in ASGI; the rest of the gateway relies on it
        path = scope["raw_path"] = quote(scope["path"]).encode()
    host = header(scope["headers"], b"host") if table.by_host else None
    match = table.match(method, path, host)
    if isinstance(match, Miss):
        raise match.error()
    return match


def granted(table: RouteTable[Route], scope: Scope, method: str) -> Headers | None:
    """What a page is told that asks whether it may read a live route; None: the backend may say."""
    try:
        route, _ = matched(table, scope, method)
    except ClientError:
        return None
    if route.channel is not None:
        return preflight(scope["headers"], route.channel.origins, methods_of(route.channel))
    return preflight(scope["headers"], route.live.origins) if route.live is not None and method == "GET" else None


def links(transports: Iterable[Transport]) -> Headers:
    """How a REST answer says that its URL can be a stream (RFC 8288); `<>` is it, whatever proxies make of it."""
    types = sorted(one.media_type for one in transports if isinstance(one, Discoverable))
    return [(b"link", f'<>; rel="alternate"; type="{media_type}"'.encode()) for media_type in types]


def may_show_it_later(scope: Scope, route: Route, error: ClientError) -> bool:
    """Whether who was refused had no credentials at all, and opens a session that takes them in its first message."""
    waits = route.session is not None and route.session.auth_timeout is not None
    return waits and scope["type"] == "websocket" and error.code == "unauthenticated"


def token_as_header(scope: Scope) -> None:
    """A token that a browser had to put among the subprotocols goes where everybody looks; raises ClientError."""
    token, scope["subprotocols"] = from_subprotocols(scope["subprotocols"])
    if token is not None and header(scope["headers"], token[0]) is None:
        scope["headers"] = [*scope["headers"], token]
