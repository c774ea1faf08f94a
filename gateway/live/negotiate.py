"""Reads what a client asks of a live route; the rules of the protocol's first section, and nothing async.

The gateway's own query parameters begin with `live.` and are taken out before anything goes upstream; the rest
of the query string is part of the channel's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from urllib.parse import unquote, urlsplit

from gateway.core.asgi import Header, Scope
from gateway.core.headers import without_own
from gateway.core.http import IDENTITY, Request
from gateway.core.position import Position, parse_position
from gateway.core.settings import LiveSettings, Mode
from gateway.core.writes import SAFE
from gateway.errors import ClientError
from gateway.plugin.options import parse_duration

# A page can't set Authorization on a WebSocket, so with an Origin these are the browser's; Bearer is a program's.
_BROWSERS_OWN = frozenset({b"basic", b"digest", b"negotiate", b"ntlm"})

_OPTIONS = ("live.since", "live.mode", "live.wait", "live.interval")

# Intervals a client may ask for: what had to wait goes with the upkeep of channels, each second; and beyond an hour
# what came meanwhile has left most logs.
_SHORTEST, _LONGEST = 1.0, 3600.0


def request_of(scope: Scope, params: Mapping[str, str]) -> Request:
    """The request of an ASGI `http` or `websocket` scope."""
    query, options = split_query(scope["query_string"])
    path = scope["raw_path"]
    return Request(
        kind=scope["type"],
        method=scope.get("method", "GET"),
        target=path + b"?" + query if query else path,
        headers=without_own(scope["headers"]),
        params=params,
        options=options,
        subprotocols=tuple(scope.get("subprotocols", ())),
        identity=scope.get(IDENTITY),
    )


def split_query(query: bytes) -> tuple[bytes, dict[str, str]]:
    """The query string without `live.*` parameters, byte for byte, and those parameters decoded."""
    if b"live." not in query:
        return query, {}
    kept: list[bytes] = []
    options: dict[str, str] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name.startswith(b"live."):
            options[name.decode("latin-1")] = unquote(value.replace(b"+", b" ").decode("latin-1"))
        else:
            kept.append(pair)
    return b"&".join(kept), options


def position_of(request: Request) -> Position | None:
    """Where the client wants to continue: `live.since`, or `Last-Event-ID`. Raises ClientError."""
    text = request.options.get("live.since")
    if text is None:
        header = request.header(b"last-event-id")
        text = header.decode("latin-1") if header else None
    return read_position(text)


def read_position(text: str | None) -> Position | None:
    """What a client says of where it was; raises ClientError."""
    if not text:
        return None
    try:
        return parse_position(text)
    except ValueError as error:
        raise ClientError(400, "bad_position", str(error)) from None


def mode_of(request: Request, settings: LiveSettings) -> Mode:
    """The mode the client chose, or the route's first. Raises ClientError."""
    text = request.options.get("live.mode")
    if text is None:
        return settings.modes[0]
    if text not in settings.modes:
        offered = ", ".join(settings.modes)
        raise ClientError(400, "bad_mode", f"live.mode={text[:32]} is not offered here; choose one of: {offered}")
    return text


def interval_of(request: Request) -> float:
    """At most how often the client wants to hear of changes, `live.interval`; 0 without one. Raises ClientError."""
    return read_interval(request.options.get("live.interval"))


def read_interval(text: str | None) -> float:
    """What a client says of how often it wants to hear of changes, in seconds; raises ClientError."""
    if text is None:
        return 0.0
    try:
        interval = parse_duration(text)
    except ValueError as error:
        raise ClientError(400, "bad_interval", f"live.interval={text[:32]}: {error}") from None
    if not _SHORTEST <= interval <= _LONGEST:
        raise ClientError(400, "bad_interval", f"live.interval={text[:32]} is not from 1s to 1h")
    return interval


def check_options(request: Request) -> None:
    """Refuse `live.*` parameters that mean nothing; raises ClientError with the nearest name."""
    for name in request.options:
        if name not in _OPTIONS:
            near = get_close_matches(name, _OPTIONS, 1)
            hint = f", did you mean {near[0]}?" if near else f"; there are: {', '.join(_OPTIONS)}"
            raise ClientError(400, "bad_option", f"unknown parameter {name[:64]!r}{hint}")


def check_origin(request: Request, origins: tuple[str, ...]) -> None:
    """Stop other sites' pages from using what a browser sends by itself through a WebSocket (RFC 6455 section 10.2).

    Where cookies or a login come with the upgrade, an `Origin` must be of this host or one of `origins` (`*` allows
    all). Other requests hold nothing that a foreign page could abuse. Raises ClientError 403.
    """
    if request.kind == "websocket" and _sent_by_itself(request) and _foreign(request, origins):
        detail = "this page's origin may not use the cookies of this site; see the route's origins"
        raise ClientError(403, "origin", detail)


def with_own_credentials(request: Request, origins: tuple[str, ...]) -> Request:
    """The request as authenticators see it: what a browser sent by itself for another site's page is nobody's word.

    A browser keeps such a page from reading, but not from writing. Raises ClientError 403 for a WebSocket.
    """
    check_origin(request, origins)
    if request.method in SAFE or not _sent_by_itself(request) or not _foreign(request, origins):
        return request
    return replace(request, headers=tuple(pair for pair in request.headers if not _is_browsers(pair)))


def _foreign(request: Request, origins: tuple[str, ...]) -> bool:
    origin = request.header(b"origin")
    if origin is None:
        return False
    text = origin.decode("latin-1")
    return not ("*" in origins or text in origins or _same_host(text, request.header(b"host") or b""))


def _sent_by_itself(request: Request) -> bool:
    """Whether the request has credentials that browsers add: cookies, and logins of a dialog or the system's."""
    return any(map(_is_browsers, request.headers))


def _is_browsers(pair: Header) -> bool:
    name = pair[0].lower()
    return name == b"cookie" or (name == b"authorization" and pair[1].partition(b" ")[0].lower() in _BROWSERS_OWN)


def _same_host(origin: str, host: bytes) -> bool:
    """The scheme is left out: behind a proxy that ends TLS it is not the one that the browser sees."""
    try:
        theirs, ours = urlsplit(origin), urlsplit(f"//{host.decode('latin-1')}")
        ports = [None if parts.port in (80, 443) else parts.port for parts in (theirs, ours)]
    except ValueError:
        return False
    return theirs.hostname is not None and theirs.hostname == ours.hostname and ports[0] == ports[1]
