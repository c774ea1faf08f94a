"""Channels of messages at URLs of their own: which channel a request means, and what becomes of it.

A stream is the same as any live URL's, by the same transports. There is no document to answer a plain GET with, and
nothing is published but where the route says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import lru_cache

from gateway.core.asgi import Headers, Receive, Scope, Send
from gateway.core.channel_names import message_name
from gateway.core.event import Json
from gateway.core.http import IDENTITY
from gateway.core.identity import Identity
from gateway.core.settings import ChannelSettings, Route
from gateway.core.template import Template
from gateway.errors import ClientError
from gateway.live.app import Live, Named
from gateway.live.posts import Posts
from gateway.live.reply import reply
from gateway.plugin import Codec


class MessageUrls:
    """Serves the routes that are channels of messages; `links` say by which media types."""

    def __init__(self, live: Live, links: Headers, codec: Codec) -> None:
        self._live = live
        self._links = links
        self._posts = Posts(live.parts, live.messages, codec)

    def __repr__(self) -> str:
        return f"<MessageUrls {self._posts!r}>"

    def serve(
        self, scope: Scope, receive: Receive, send: Send, route: Route, params: Mapping[str, str]
    ) -> Awaitable[None]:
        """One exchange with such a route; raises ClientError."""
        named = named_by(route, params, scope.get(IDENTITY))
        asked = self._live.asked(scope, params)
        if asked is not None:
            return self._live.serve(self._live.open_messages(scope, receive, send, named, asked))
        if scope["type"] == "websocket":
            raise ClientError(404, "not_live", "this URL cannot be opened as a WebSocket")
        method = scope["method"]
        if method in ("GET", "HEAD"):
            raise self._no_document()
        if method == "POST" and named.settings.publish:
            return self._posts.serve(scope, receive, send, named)
        if method == "OPTIONS":
            return self._told(scope, send, named)
        detail = _NOT_WRITTEN if method == "POST" else "a channel of messages is followed with GET"
        raise ClientError(405, "method_not_allowed", detail).with_headers((b"allow", _allowed(named.settings)))

    def _no_document(self) -> ClientError:
        """What is plainly asked for can't be given: RFC 9110 section 15.5.7, with a list of what can."""
        ways = ", ".join(transport.name for transport in self._live.parts.transports)
        detail = f"this is a channel of messages, which has no document: follow it by one of {ways}"
        return ClientError(406, "not_acceptable", detail).with_headers(*self._links, (b"vary", b"accept"))

    async def _told(self, scope: Scope, send: Send, named: Named) -> None:
        """RFC 9110 section 9.3.7."""
        parts = self._live.parts
        answer = 204, [(b"allow", _allowed(named.settings))], b""
        await reply(parts, scope, send, named.route, parts.clock.monotonic(), answer)


def named_by(route: Route, params: Mapping[str, str], identity: Identity | None) -> Named:
    """The channel at a URL of this route; raises ClientError for one that is none."""
    settings = route.channel
    assert settings is not None, "a route that is a channel of messages"
    claims: Mapping[str, Json] = identity.claims if identity is not None else {}
    channel = _name(settings.name, settings.dotted)({"params": params, "claims": claims})
    if channel is None:
        detail = "no channel is here: what would name it is missing, or has characters that no name may have"
        raise ClientError(404, "no_channel", detail)
    return Named(route.name, channel, settings)


@lru_cache(maxsize=1024)
def _name(text: str, dotted: bool) -> Template:
    """Compiled once for each route, as long as there are no more of them than anybody writes."""
    return message_name(text, dotted=dotted)


_NOT_WRITTEN = "this channel takes no messages from clients: see publish of its route"


def methods_of(settings: ChannelSettings) -> bytes:
    """What a page may do with such a URL."""
    return b"GET, POST" if settings.publish else b"GET"


def _allowed(settings: ChannelSettings) -> bytes:
    return b"GET, HEAD, OPTIONS, POST" if settings.publish else b"GET, HEAD, OPTIONS"
