"""`tidegate explain`: which route answers a URL, what is asked of the backend for it, and who shares that.

What decides on sharing is found by trying: a header or claim counts if another value gives another key. So it holds
for every source, a stranger's too. Values of headers and claims are never printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

from gateway.commands.rehearsal import Asked, Nowhere, target_of
from gateway.core.channel_names import message_name, message_pattern
from gateway.core.http import Request
from gateway.core.identity import Identity
from gateway.core.redact import redact_path, redact_query
from gateway.core.settings import ChannelSettings, Gateway, LiveSettings, Normal, UpstreamSettings
from gateway.plugin import AnySource, BatchingSource, CookieSource, EagerSource

# Long enough to tell keys apart at a glance, too short to be of use to anybody.
_SHOWN = 12

_USUAL = (b"authorization", b"cookie")


def explained(settings: Gateway, asked: Asked, source: AnySource | None) -> Iterator[tuple[str, str]]:
    """Titles and texts; `source` is that of a live route."""
    route, request = asked.route, asked.request
    methods = ",".join(sorted(route.methods)) or "any method"
    yield "route", f"{route.name}: {route.host or ''}{route.path} ({methods})"
    for name, value in request.params.items():
        yield "parameter", f"{name} = {value}"
    if route.channel is not None:
        yield from _messages(settings, asked, route.channel)
        return
    if not route.upstream:
        yield "answered by", "the gateway: sessions" if route.session is not None else "the gateway: it takes webhooks"
        return
    yield "upstream", f"{route.upstream}: {asked_url(settings.upstreams[route.upstream], request.target)}"
    yield from _let_in(asked)
    if route.live is None or source is None:
        yield "live", "no: its answers pass through, nothing is watched"
        return
    yield "live", f"by {route.live.source.name}; modes {', '.join(route.live.modes)}"
    if asked.live.items is not None or asked.live.ignore or asked.live.normal != Normal():
        yield "compared", "; ".join(_compared(asked.live))
    share = source.share(request)
    digest = sha256(repr((route.name, request.target, share.key)).encode()).hexdigest()
    yield "channel", f"{digest[:_SHOWN]} (a hash of the route, the URL and what decides on sharing)"
    yield "sent", ", ".join(sorted({name.decode("latin-1") for name, _ in share.headers})) or "nothing of the client's"
    together = source.batch(target_of(asked, share, Nowhere(""))) if isinstance(source, BatchingSource) else None
    if together is not None:
        url = asked_url(settings.upstreams[route.upstream], together)
        yield "batch", f"read with others that are followed by clients who share so: {url}"
    path, _, query = request.target.decode("latin-1").partition("?")
    if isinstance(source, EagerSource) and path == route.path.text and query in source.always:
        yield "always", "polled from start-up on, followed or not"
    deciding = [
        *_headers_that_decide(request, source, host=settings.upstreams[route.upstream].host_header == "preserve"),
        *_told_that_decides(asked, source),
        *_claims_that_decide(request, source),
    ]
    yield "shared by", f"all clients of this URL with the same {', '.join(deciding)}" if deciding else "everyone"


def _let_in(asked: Asked) -> Iterator[tuple[str, str]]:
    if asked.route.auth:
        known = "" if asked.request.identity else "; give --as claims.json to be one of them"
        yield "lets in", f"whom one of these knows: {', '.join(asked.route.auth)}{known}"


def _messages(settings: Gateway, asked: Asked, channel: ChannelSettings) -> Iterator[tuple[str, str]]:
    publish = ", and POST publishes one" if channel.publish else ""
    yield "answered by", f"the gateway: messages, by every transport{publish}"
    yield from _let_in(asked)
    identity = asked.request.identity
    claims = identity.claims if identity is not None else {}
    name = message_name(channel.name, dotted=channel.dotted)({"params": asked.request.params, "claims": claims})
    if name is None:
        yield "channel", f"none: {channel.name} has no value for each place, or one that no name may have"
        return
    kept = next((one.pattern for one in settings.channels if message_pattern(one.pattern)({})(name)), "*")
    yield "channel", f"{name}, kept as {kept}"


def _compared(live: LiveSettings) -> Iterator[str]:
    """What is compared of an answer, and in which form it is shown."""
    items, of = live.items, live if live.items is None else live.items
    if items is not None:
        yield f"the items at {items.at or 'the top'} by their {' and '.join(items.key)}"
    if of.ignore:
        yield f"but for {', '.join(of.ignore)}"
    for path, places in of.normal.places:
        yield f"floats {f'at {path}' if path else 'everywhere'} with {places} decimals"
    if of.normal.unordered:
        where = ", ".join(of.normal.unordered)
        yield f"arrays {f'at {where}' if where else 'everywhere'} in the order of their contents"


def asked_url(upstream: UpstreamSettings, target: bytes) -> str:
    """The URL that the backend is asked for, without secrets."""
    path, mark, query = target.partition(b"?")
    shown = (redact_path(path) + mark + redact_query(query)).decode("latin-1")
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    return f"{upstream.scheme}://{host}:{upstream.port}{upstream.base_path}{shown}"


def _headers_that_decide(request: Request, source: AnySource, *, host: bool) -> Iterator[str]:
    """With `host` the backend is sent the client's, whatever the source."""
    if host:
        yield "host header"
    cookies = sorted(source.cookies) if isinstance(source, CookieSource) else []
    names = {*(name for name, _ in request.headers), *_USUAL} - {b"host", *([b"cookie"] if cookies else [])}
    tried = [(name, b"~", f"{name.decode('latin-1')} header") for name in sorted(names)]
    tried += [(b"cookie", f"{cookie}=~".encode(), f"cookie {cookie}") for cookie in cookies]
    for name, value, words in tried:
        headers = (*(header for header in request.headers if header[0] != name), (name, value))
        if _decides(request, source, lambda it, headers=headers: replace(it, headers=headers)):  # type: ignore[misc]
            yield words


def _told_that_decides(asked: Asked, source: AnySource) -> Iterator[str]:
    """The headers that tell the backend who a client is."""
    identity = asked.request.identity or Identity(subject="")
    request = replace(asked.request, identity=identity)
    for name in sorted(asked.told):
        other = replace(identity, headers=(*identity.headers, (name, b"~")))
        if _decides(request, source, lambda it, other=other: replace(it, identity=other)):  # type: ignore[misc]
            yield f"{name.decode()} header of auth"


def _claims_that_decide(request: Request, source: AnySource) -> Iterator[str]:
    identity = request.identity
    for name in identity.claims if identity else ():
        assert identity is not None
        other = replace(identity, claims={**identity.claims, name: "~"})
        if _decides(request, source, lambda it, other=other: replace(it, identity=other)):  # type: ignore[misc]
            yield f"claim {name}"


def _decides(request: Request, source: AnySource, change: Callable[[Request], Request]) -> bool:
    return source.share(change(request)).key != source.share(request).key
