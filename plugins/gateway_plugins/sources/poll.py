"""The poll source: asks the backend for a live route's resource again and again while somebody follows it.

A channel is shared by all clients whose forwarded credentials are the same, to the byte, and by nobody else:
those credentials are all that a client can change in what is asked. An operator may say that some claims decide the
answer (`share_by`); then clients with the same ones share, until an answer shows that they must not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from typing import TypeAlias

from gateway.plugin import (
    Context,
    Header,
    Headers,
    Identity,
    Plugin,
    Publisher,
    Request,
    Share,
    SourcePlugin,
    Target,
    Watch,
)
from gateway_plugins.sources.poll_batch_options import Batch
from gateway_plugins.sources.poll_channel import PolledChannel
from gateway_plugins.sources.poll_crowd import Crowd
from gateway_plugins.sources.poll_fetcher import Shared, Tools
from gateway_plugins.sources.poll_formats import formats
from gateway_plugins.sources.poll_ids import Spot, asked, spot
from gateway_plugins.sources.poll_joined import JoinedChannel
from gateway_plugins.sources.poll_oauth2 import Tokens
from gateway_plugins.sources.poll_options import PollOptions

# All that decides what a request is answered, but for the ids.
_Name: TypeAlias = "tuple[bytes, tuple[Header, ...], bytes]"


class PollSource:
    """Polls for the channels of one route."""

    def __init__(self, options: PollOptions, context: Context) -> None:
        self.always = options.queries
        credentials = options.credentials
        self._forwarded = frozenset(name.encode() for name in credentials.names)
        self.cookies = credentials.cookies
        self._cookies = frozenset(name.encode() for name in self.cookies)
        fmt = formats(context.codecs["json"].decode)[options.decode]
        self._fixed = [
            *(credentials.service.lines() if credentials.service is not None else ()),
            *([(b"content-type", options.request.content_type.encode())] if options.request.payload else ()),
            (b"accept", fmt.accept),
        ]
        self._share_by, self._sharing = options.share_by, bool(options.share_by)
        oauth2 = credentials.service.oauth2 if credentials.service is not None else None
        self._asked = [(b"body", options.request.payload)] if options.request.payload else []
        tools = Tools(
            clock=context.clock,
            format=fmt,
            pages=options.pages,
            since=options.since,
            shared=Shared(options.share_by, self._forwarded | context.told, self._part)
            if not options.share_private
            else None,
            max_body=options.max_body,
            conditional=options.conditional,
            deadline=partial(asyncio.timeout, options.timeout),
            own=not self._forwarded and not context.told,
            method=options.request.method,
            body=options.request.payload,
            tokens=Tokens(oauth2, context) if oauth2 is not None else None,
            terminal=frozenset(options.terminal),
            rates=options.rate.rates,
        )
        self._channel = partial(PolledChannel, options.pace, tools)
        self._tools, self._pace, self._batch = tools, options.pace, options.batch
        self._crowds: dict[_Name, Crowd] = {}

    def share(self, request: Request) -> Share:
        identity = request.identity
        credentials = self._credentials(request)
        if identity is not None:
            credentials += sorted(identity.headers)
        key = _digest(credentials + self._asked)
        who = identity.subject.encode() if identity is not None else key if credentials else b""
        shared = self._shared_key(identity) if self._sharing and identity is not None else None
        headers = [*credentials, *self._fixed]
        return Share(key=shared or key, headers=headers, who=who, alone=None if shared is None else key)

    def _shared_key(self, identity: Identity) -> bytes | None:
        """The digest of the claims that decide the answer; None when one is missing: then nothing is shared."""
        values: list[tuple[bytes, bytes]] = []
        for path in self._share_by:
            value: object = identity.claims
            for name in path.split(".")[1:]:
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is None:
                return None
            values.append((path.encode(), json.dumps(value, sort_keys=True).encode()))
        return _digest(values + self._asked)

    def _part(self) -> None:
        """Share nothing by claims any more."""
        self._sharing = False

    def watch(self, target: Target, publish: Publisher) -> Watch:
        alone = self._channel(target, publish)
        place = spot(self._batch, target) if self._batch is not None else None
        if self._batch is None or place is None:
            return alone
        return JoinedChannel(alone, self._crowd(self._batch, target, place), publish, target, place)

    def batch(self, target: Target) -> bytes | None:
        """What is asked for together, in a batch of one."""
        place = spot(self._batch, target) if self._batch is not None else None
        return None if self._batch is None or place is None else asked(self._batch, place.base, [place.written])

    def _crowd(self, batch: Batch, target: Target, place: Spot) -> Crowd:
        name = target.key, tuple(target.headers), place.base
        crowd = self._crowds.get(name)
        if crowd is None:
            gone = partial(self._crowds.__delitem__, name)
            crowd = self._crowds[name] = Crowd(batch, self._pace, self._tools, place.base, gone)
        return crowd

    def _credentials(self, request: Request) -> Headers:
        """The headers to forward, by name; those of one name in the order that they came in."""
        lowered = [(name.lower(), value) for name, value in request.headers]
        headers = sorted((header for header in lowered if header[0] in self._forwarded), key=lambda header: header[0])
        return _one_cookie(headers, self._cookies)


def _one_cookie(headers: Headers, wanted: frozenset[bytes]) -> Headers:
    """HTTP/2 clients may send their cookies in pieces; HTTP/1.1 takes them in one (RFC 9113 section 8.2.3).

    Those that are `wanted`, by their names; all of them as they came, if none are named.
    """
    pieces = [value for name, value in headers if name == b"cookie"]
    if wanted:
        pairs = [pair.strip() for piece in pieces for pair in piece.split(b";")]
        pieces = sorted((pair for pair in pairs if _name(pair) in wanted), key=_name)
    elif len(pieces) < 2:
        return headers
    cookies = [(b"cookie", b"; ".join(pieces))] if pieces else []
    return [*(header for header in headers if header[0] != b"cookie"), *cookies]


def _name(pair: bytes) -> bytes:
    return pair.partition(b"=")[0]


def _digest(headers: Headers) -> bytes:
    """SHA-256 over every name and value with its length before it: no two lists of headers encode alike."""
    digest = sha256()
    for header in headers:
        for part in header:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.digest()


plugin: SourcePlugin[PollOptions] = Plugin(PollOptions, PollSource)
