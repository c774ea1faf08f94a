"""The seam: everything a plugin may import.

A plugin is an object of class `Plugin` under one of the entry-point groups `tidegate.sources`,
`tidegate.transports`, `tidegate.authenticators`, `tidegate.codecs`, `tidegate.brokers`, `tidegate.signatures`.
"""

from gateway.core.accept import wish
from gateway.core.asgi import Header, Headers
from gateway.core.codes import BAD_MESSAGE, NORMAL, Disconnect
from gateway.core.credentials import MAX_TOKEN, bearer_token, cookie_value
from gateway.core.depth import MAX_DEPTH, too_deep
from gateway.core.event import Change, Event, Json
from gateway.core.http import Answer, Asker, Request
from gateway.core.identity import Identity
from gateway.core.pace import backoff, jittered, parse_retry_after, rest
from gateway.core.position import Position
from gateway.core.recent import Recent
from gateway.errors import ClientError, UpstreamError
from gateway.plugin.authenticator import Authenticator, Described
from gateway.plugin.batch import BatchingSource, Further, JoiningWatch, Look
from gateway.plugin.broker import Broker, Deliver
from gateway.plugin.codec import Codec
from gateway.plugin.context import Clock, Context
from gateway.plugin.options import (
    Duration,
    File,
    Names,
    Options,
    Percent,
    Place,
    Secret,
    Secrets,
    Size,
    UpstreamName,
    format_duration,
)
from gateway.plugin.outside import origin_and_target, outside_url
from gateway.plugin.registry import (
    AuthenticatorPlugin,
    BrokerPlugin,
    CodecPlugin,
    Plugin,
    SignaturePlugin,
    SourcePlugin,
    TransportPlugin,
)
from gateway.plugin.signature import Delivery, Handshaking, Signature
from gateway.plugin.source import (
    Again,
    AnySource,
    CookieSource,
    EagerSource,
    Incident,
    PollResult,
    Publisher,
    Refused,
    RereadingWatch,
    Share,
    Source,
    Status,
    Target,
    Unshared,
    Watch,
    WatchingSource,
    WishedWatch,
)
from gateway.plugin.streaming import serve_stream, stream_wish
from gateway.plugin.transport import Collected, Connection, Discoverable, Encoding, Transport
from gateway.plugin.upstream import StreamingUpstream, TunnelingUpstream, Upstream, UpstreamCall

__all__ = [
    "BAD_MESSAGE",
    "MAX_DEPTH",
    "MAX_TOKEN",
    "NORMAL",
    "Again",
    "Answer",
    "AnySource",
    "Asker",
    "Authenticator",
    "AuthenticatorPlugin",
    "BatchingSource",
    "Broker",
    "BrokerPlugin",
    "Change",
    "ClientError",
    "Clock",
    "Codec",
    "CodecPlugin",
    "Collected",
    "Connection",
    "Context",
    "CookieSource",
    "Deliver",
    "Delivery",
    "Described",
    "Disconnect",
    "Discoverable",
    "Duration",
    "EagerSource",
    "Encoding",
    "Event",
    "File",
    "Further",
    "Handshaking",
    "Header",
    "Headers",
    "Identity",
    "Incident",
    "JoiningWatch",
    "Json",
    "Look",
    "Names",
    "Options",
    "Percent",
    "Place",
    "Plugin",
    "PollResult",
    "Position",
    "Publisher",
    "Recent",
    "Refused",
    "Request",
    "RereadingWatch",
    "Secret",
    "Secrets",
    "Share",
    "Signature",
    "SignaturePlugin",
    "Size",
    "Source",
    "SourcePlugin",
    "Status",
    "StreamingUpstream",
    "Target",
    "Transport",
    "TransportPlugin",
    "TunnelingUpstream",
    "Unshared",
    "Upstream",
    "UpstreamCall",
    "UpstreamError",
    "UpstreamName",
    "Watch",
    "WatchingSource",
    "WishedWatch",
    "backoff",
    "bearer_token",
    "cookie_value",
    "format_duration",
    "jittered",
    "origin_and_target",
    "outside_url",
    "parse_retry_after",
    "rest",
    "serve_stream",
    "stream_wish",
    "too_deep",
    "wish",
]
