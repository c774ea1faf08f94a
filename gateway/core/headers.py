"""Header rules of a gateway between two connections: what stays on one hop, and what a request gains.

RFC 9110 section 7.6.1 in one table. Works on raw header lists: order, case, duplicates and bytes of
whatever passes are kept exactly.

The documented differences between what a client sent and what the upstream receives:
* removed: hop-by-hop headers, and those that `Connection` names unless they are end-to-end by nature;
* removed: what the gateway itself sets (`own`), and `Proxy`, which CGI takes for the variable HTTP_PROXY;
* removed: a name with an underscore that is a name known here once its underscores are dashes, because CGI-like
  backends read both as one; other names with underscores pass;
* replaced: `X-Forwarded-*` and `Forwarded` by our own (gateway.core.forwarded);
* the cookie of an HTTP/2 request in one header;
* `Host` as the upstream's `host_header` says, and only one; `TE: trailers` alone of all `TE`;
* `Via` appended.

Between what the upstream answered and what the client receives: hop-by-hop headers removed, `Via` appended;
that is all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.core.asgi import Header, Headers

VIA = (b"Via", b"1.1 tidegate")
_TE_TRAILERS = [(b"TE", b"trailers"), (b"Connection", b"TE")]  # RFC 9110 section 10.1.4 asks for both
_HARMLESS = frozenset([b"", b"close", b"keep-alive"])  # connection options that name no header

# RFC 9110 section 7.6.1, RFC 9112 section 9.6 (Connection), and what older HTTP/1.1 proxies invented.
_HOP_BY_HOP = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",  # RFC 7540 section 3.2.1: always named in Connection
        b"proxy-authenticate",  # RFC 9110 section 11.7: for the next hop only
        b"proxy-authentication-info",
        b"proxy-authorization",
    ]
)
# No `Connection` option may remove these: RFC 9110 section 7.6.1 forbids options that name a field meant for
# all recipients, and a client that could delete them would choose what the backend believes.
_END_TO_END = frozenset(
    b"""
    accept accept-charset accept-encoding accept-language accept-ranges age allow authorization baggage
    cache-control content-disposition content-encoding content-language content-length content-location
    content-range content-security-policy content-type cookie date etag expect expires forwarded from
    host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link
    location max-forwards origin pragma prefer priority range referer retry-after server set-cookie
    strict-transport-security traceparent tracestate trailer user-agent vary via www-authenticate
    x-api-key x-content-type-options x-csrf-token x-frame-options x-real-ip x-request-id x-requested-with
    """.split()
)
_END_TO_END_FAMILIES = (b"x-forwarded", b"sec-", b"access-control-")
# RFC 9110 section 6.5.1: fields that frame, route or authenticate a message can't come after it.
_NOT_IN_TRAILERS = _HOP_BY_HOP | frozenset(
    b"authorization content-encoding content-length content-range content-type cookie expect forwarded host "
    b"max-forwards range set-cookie trailer via www-authenticate".split()
)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# What is done with a header. Plain integers: this is looked up for every header of every request.
_KEEP, _DROP, _CONNECTION, _HOST, _TE = range(5)
_HOST_ALONE = [_HOST]


class Rules(dict[bytes, int]):
    """A header's name, as it came, to its rule: 0 for most, what `decide` says of the name in lower case for others.

    Learns spellings: the hot path is one look-up a header.
    """

    # Strangers choose the names, so what is kept is bounded; beyond it a name costs half a microsecond more.
    _NAMES = 1024
    _LENGTH = 64

    def __init__(self, decide: Callable[[bytes], int]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, name: bytes) -> int:
        rule = self._decide(name.lower())
        if len(self) < self._NAMES and len(name) <= self._LENGTH:
            self[name] = rule
        return rule


_RESPONSE_TABLE = dict.fromkeys(_HOP_BY_HOP, _DROP) | {b"connection": _CONNECTION}
_REQUEST_TABLE = _RESPONSE_TABLE | {b"te": _TE, b"host": _HOST, b"forwarded": _DROP, b"proxy": _DROP}


class _Own:
    """`names` is another object once it holds others: what follows from it and is kept must be kept with it."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: frozenset[bytes] = frozenset()


OWN = _Own()


def _request_rule(name: bytes) -> int:
    if _TOKEN.fullmatch(name) is None:
        raise ClientError(400, "bad_header", "a header name is not a token")
    dashed = name.replace(b"_", b"-")
    if dashed.startswith(b"x-forwarded") or dashed in OWN.names or (dashed != name and _known(dashed)):
        return _DROP
    return _REQUEST_TABLE.get(name, _KEEP)


def _known(name: bytes) -> bool:
    """Whether HTTP, or the gateway, has a meaning for it."""
    return name in _REQUEST_TABLE or name in _END_TO_END or name.startswith(_END_TO_END_FAMILIES)


def own(names: Iterable[bytes]) -> None:
    """The headers that the gateway sets on requests, such as an identity's, beside `X-Forwarded-*`: all of them.

    For configuration time. What clients send under these names, spelled with dashes or underscores, is removed.
    """
    owned = frozenset(name.lower().replace(b"_", b"-") for name in names)
    if owned != OWN.names:
        OWN.names = owned
        _request_rules.clear()


def without_own(headers: Headers) -> tuple[Header, ...]:
    """A client's headers without those that the gateway alone may set."""
    if not OWN.names:
        return tuple(headers)
    return tuple(pair for pair in headers if pair[0].lower().replace(b"_", b"-") not in OWN.names)


_request_rules = Rules(_request_rule)
_response_rules = Rules(lambda name: _RESPONSE_TABLE.get(name, _KEEP))


def request_headers(headers: Headers, *, host: bytes | None, trailers: bool, added: tuple[Header, ...]) -> Headers:
    """What goes upstream: `host` replaces the client's (None keeps it), `added` come last.

    `trailers` says whether response trailers can be passed on; only then is `TE: trailers`. Raises
    ClientError for a name that is not a token.
    """
    rules = _request_rules
    special = [rules[pair[0]] for pair in headers if rules[pair[0]]]
    if special == _HOST_ALONE and host is None:
        return [*headers, *added]
    kept: Headers = []
    options: list[bytes] = []
    host_seen = te_seen = False
    for pair in headers:
        rule = rules[pair[0]]
        if not rule:
            kept.append(pair)
        elif rule == _HOST:
            if not host_seen:
                kept.append(pair if host is None else (pair[0], host))
            host_seen = True
        elif rule == _CONNECTION:
            options.append(pair[1])
        elif rule == _TE:
            te_seen = True
    if options:
        kept = _without(kept, options)
    if te_seen and trailers and _takes_trailers(headers):
        kept += _TE_TRAILERS
    kept += added
    return kept


def response_headers(headers: Headers) -> Headers:
    """What goes to the client: hop-by-hop headers removed, `Via` appended, nothing else changed."""
    rules = _response_rules
    kept = [pair for pair in headers if not rules[pair[0]]]
    if len(kept) != len(headers):
        kept = _without(kept, [value for name, value in headers if rules[name] == _CONNECTION])
    kept.append(VIA)
    return kept


def trailer_headers(trailers: Headers) -> Headers:
    """The trailers that may be passed on, either way."""
    return [pair for pair in trailers if _may_trail(pair[0].lower().replace(b"_", b"-"))]


def one_cookie(headers: Headers) -> Headers:
    """The headers of an HTTP/2 or HTTP/3 request with the cookie in one piece.

    RFC 9113 section 8.2.3 lets a client send it in several, which must be joined for HTTP/1.1.
    """
    crumbs = [pair[1] for pair in headers if pair[0].lower() == b"cookie"]
    if len(crumbs) < 2:
        return headers
    rest = [pair for pair in headers if pair[0].lower() != b"cookie"]
    return [*rest, (b"cookie", b"; ".join(crumbs))]


def _may_trail(name: bytes) -> bool:
    return name not in _NOT_IN_TRAILERS and name not in OWN.names and not name.startswith(b"x-forwarded")


def _without(headers: Headers, options: list[bytes]) -> Headers:
    """Leave out the headers that the options of `Connection` name, as far as they may."""
    named = {token.strip().lower() for value in options for token in value.split(b",")} - _HARMLESS
    named = {name for name in named if name not in _END_TO_END and not name.startswith(_END_TO_END_FAMILIES)}
    return [pair for pair in headers if pair[0].lower() not in named] if named else headers


def _takes_trailers(headers: Headers) -> bool:
    return any(
        token.strip().lower() == b"trailers"
        for name, value in headers
        if _request_rules[name] == _TE
        for token in value.split(b",")
    )
