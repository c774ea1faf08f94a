"""The poll source: asks the backend for a live route's resource again and again while somebody follows it.

A channel is shared by all clients whose forwarded credentials are the same, to the byte, and by nobody else:
those credentials are all that a client can change in what is asked.
"""

from __future__ import annotations

import asyncio
from functools import partial
from hashlib import sha256

from gateway.plugin import (
    Context,
    Headers,
    Plugin,
    Publisher,
    Request,
    Share,
    SourcePlugin,
    Target,
    Watch,
)
from gateway_plugins.sources.poll_channel import PolledChannel, Tools
from gateway_plugins.sources.poll_options import PollOptions


class PollSource:
    """Polls for the channels of one route."""

    def __init__(self, options: PollOptions, context: Context) -> None:
        self._forwarded = frozenset(name.encode() for name in options.credentials.forward)
        tools = Tools(
            clock=context.clock,
            decode=context.codecs["json"].decode,
            max_body=options.max_body,
            conditional=options.conditional,
            deadline=partial(asyncio.timeout, options.timeout),
            own=not self._forwarded,
        )
        self._channel = partial(PolledChannel, options.pace, tools)

    def share(self, request: Request) -> Share:
        credentials = self._credentials(request)
        key = _digest(credentials)
        who = request.identity.subject.encode() if request.identity is not None else key if credentials else b""
        return Share(key=key, headers=[*credentials, (b"accept", b"application/json")], who=who)

    def watch(self, target: Target, publish: Publisher) -> Watch:
        return self._channel(target, publish)

    def _credentials(self, request: Request) -> Headers:
        """The headers to forward, by name; those of one name in the order that they came in."""
        lowered = [(name.lower(), value) for name, value in request.headers]
        headers = sorted((header for header in lowered if header[0] in self._forwarded), key=lambda header: header[0])
        return _one_cookie(headers)


def _one_cookie(headers: Headers) -> Headers:
    """HTTP/2 clients may send their cookies in pieces; HTTP/1.1 takes them in one (RFC 9113 section 8.2.3)."""
    pieces = [value for name, value in headers if name == b"cookie"]
    if len(pieces) < 2:
        return headers
    return [*(header for header in headers if header[0] != b"cookie"), (b"cookie", b"; ".join(pieces))]


def _digest(headers: Headers) -> bytes:
    """SHA-256 over every name and value with its length before it: no two lists of headers encode alike."""
    digest = sha256()
    for header in headers:
        for part in header:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.digest()


plugin: SourcePlugin[PollOptions] = Plugin(PollOptions, PollSource)
