"""The keys of the configuration file, their types and their defaults: this is the checker and the schema.

Only what one value can tell is decided here; what takes two is in `checks`. The plugin's own keys are
added by `gateway.config.plugins`, so a stranger's plugin is checked exactly as a built-in one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from gateway.config.channel_keys import ChannelKeys
from gateway.config.recorded import RecordedTest
from gateway.config.section import Count, Memory, Patience, Section, Time
from gateway.config.values import (
    Address,
    BaseUrl,
    ChannelPattern,
    Distinct,
    Expression,
    Host,
    HostHeader,
    IdentityHeader,
    JsonPaths,
    Label,
    LogTarget,
    MessagePattern,
    Method,
    Name,
    Origin,
    PathTemplate,
    Peers,
    PlainPattern,
    Refreshes,
    Rounding,
    Template,
    Text,
    Texts,
    Unordered,
    at_least,
)
from gateway.config.webhook_keys import WebhookKeys
from gateway.core.settings import ClientCert, Mode, SlowPolicy
from gateway.plugin.options import Duration, OrText, Percent, Size


class CertificateKeys(Section):
    cert: Text
    """PEM file with the certificate and those between it and the root"""
    key: Text
    """PEM file with the private key, not encrypted"""


class ListenerTls(CertificateKeys):
    sni: list[CertificateKeys] | None = None
    """further certificates, for clients that ask for one of their names; all others get the first"""
    client_ca: Text | None = None
    """PEM file with the authorities whose clients are known: asks clients for a certificate"""
    client_cert: ClientCert | None = None
    """with client_ca: whether a client without a certificate is refused (required) or not (optional)"""


class Listener(Section):
    address: Address
    """host:port, [v6]:port or unix:/path; port 0 takes a free one"""
    tls: ListenerTls | None = None
    """serves HTTPS, HTTP/1.1 and HTTP/2"""
    proxy_protocol: Peers = Field(default=[])
    """proxies whose connections begin with a header of the PROXY protocol; others are clients"""
    http2_websockets: bool | None = None
    """offers WebSockets within HTTP/2 connections (RFC 8441): fewer connections, more work for each message"""

    http3: bool | None = None
    """with tls: serves HTTP/3 too, on the UDP port of the same number; needs the extra tidegate[h3]"""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"address": value} if isinstance(value, str) else value


class Admin(Section):
    listen: Address = "127.0.0.1:9090"
    """where metrics and health answer: never an address that clients reach"""


class Limits(Section):
    connections: Count = 50_000
    """client connections at once"""
    connections_per_ip: Count = 1000
    """of these, from one IPv4 address or IPv6 network of 64 bits; trusted proxies may have more"""
    header_bytes: Memory = 64 * 1024
    """all header lines of one request"""
    header_count: Count = 100
    """header lines of one request"""
    header_value: Memory = 16 * 1024
    """the value of one header"""
    target: Memory = 16 * 1024
    """the target in the request line: path and query"""
    head_time: Patience = 30.0
    """for the whole head of a request"""
    idle_time: Patience = 75.0
    """between two requests"""
    stall_time: Patience = 60.0
    """for a client that sends or reads too little of what is under way"""
    body_rate: Annotated[Size, at_least("1B")] = 240
    """bytes a second of a request's body that are not too little"""
    connection_time: Patience = 3600.0
    """after so long, a connection of requests ends with its next answer"""
    message: Memory = 64 * 1024
    """one message from a WebSocket client, decompressed"""
    frame: Memory | None = None
    """one frame of it as it is sent; without it, as the message"""
    messages_per_second: Count = 1000
    """WebSocket frames from one client, pings included, and webhooks from one address; as many may come at once"""
    bytes_per_second: Memory = 1024 * 1024
    """bytes from one WebSocket client; as many, and one message, may come at once"""
    channels: Count = 10_000
    """channels at once: one for each live URL and set of credentials that somebody follows"""
    channels_per_route: Count = 10_000
    """of them, on one route"""
    channels_per_client: Count = 1_000
    """of them, followed with one identity or one set of credentials"""
    channels_per_ip: Count = 2_000
    """of them, followed from one address by clients that no authenticator knows; a /64 of IPv6 is one"""
    message_channels: Count = 10_000
    """channels of messages at once, followed or kept"""
    message_bytes: Memory = 256 * 1024 * 1024
    """memory for what all of them keep"""


class Timeouts(Section):
    connect: Time = 2.0
    """to open a connection, TLS included"""
    response: Time = 30.0
    """from the end of the request to the head of the answer"""
    idle: Time = 60.0
    """between two pieces of a body, and for a connection nobody uses"""
    tunnel: Time = 3600.0
    """for a WebSocket that is passed through, when nothing moves either way"""


class Pool(Section):
    max: Count = 128
    """connections to this upstream at once; further requests wait"""
    idle: Annotated[int, Field(ge=0, le=1_000_000_000)] = 32
    """connections kept open while nothing uses them"""


class Polls(Section):
    concurrency: Count = 64
    """polls at once: half of the pool's connections, so that clients' requests find one"""
    rate: Count | None = None
    """polls a second; without it, as many as intervals make"""


class UpstreamTls(Section):
    ca: Text | None = None
    """PEM file with the authorities to trust, in place of the system's"""
    cert: Text | None = None
    """PEM file with the certificate to show to the upstream"""
    key: Text | None = None
    """PEM file with its private key, not encrypted"""
    server_name: Host | None = None
    """the name to ask for and to verify, in place of the URL's"""


class Upstream(Section):
    url: BaseUrl
    """http or https; a path in it goes before every request's"""
    host: HostHeader = "preserve"
    """the Host header sent: preserve (the client's), upstream (the URL's), or this text"""
    timeouts: Timeouts = Timeouts()
    """how long to wait"""
    pool: Pool = Pool()
    """connections to keep"""
    polls: Polls = Polls()
    """what the polls of all channels together may take"""
    tls: UpstreamTls | None = None
    """for https: whom to trust and who to be"""


class Items(Section):
    at: Expression | None = None
    """JMESPath of the list in the answer; without it the answer is the list"""
    key: Texts = Field(default=["id"])
    """the field, or fields together, that identify an item"""
    ignore: JsonPaths = Field(default=[])
    """paths in an item whose change is no change, as in seen_at, prices.*.at or /meta/seen_at"""
    round: Rounding | None = None
    """decimals that floats in an item are rounded to, all of them, or by path, as in {price: 2, position.*: 4}"""
    unordered: Unordered | None = None
    """paths of arrays in an item whose order means nothing, as in tags; true: every array"""
    order: bool | None = None
    """true: item events tell of the order; false: another order is no change"""
    deleted: Expression | None = None
    """JMESPath of an item: what it is true of is not an item, but says that the one of its key was deleted"""
    delete_after: Annotated[int, Field(ge=1, le=1000)] = 1
    """complete answers in a row that lack an item before it counts as deleted"""
    max_delete_ratio: Percent = 0.5
    """an answer that lacks more of the items is not believed until it has been repeated"""


class LogLimits(Section):
    events: Count = 1000
    """events kept for clients that come back"""
    bytes: Memory = 4 * 1024 * 1024
    """memory for them"""
    age: Time = 600.0
    """how long they are kept"""


class Conflate(Section):
    every: Annotated[Duration, at_least("10ms")] = 0.2
    """the time in which only the last change of each item, or of the document, is sent"""
    key: Texts | None = None
    """what identifies an item: that of items, which is the default"""


class Hints(Section):
    expect_every: Annotated[Duration, at_least("1s")]
    """webhooks tell of this route at least so often"""
    interval: Annotated[Duration, at_least("100ms")]
    """while they don't, it is looked at so often"""


class LiveKeys(Section):
    """The channel's own keys; exactly one other key names the source plugin."""

    items: Items | None = None
    """the answer is a list of things with a key: changes are told item by item"""
    ignore: JsonPaths = Field(default=[])
    """paths in an answer without items whose change is no change, as in generated_at or results.*.age"""
    round: Rounding | None = None
    """decimals that floats in an answer without items are rounded to, all of them, or by path"""
    unordered: Unordered | None = None
    """paths of arrays in an answer without items whose order means nothing; true: every array"""
    modes: Annotated[list[Mode], Distinct] | None = None
    """how clients may hear of changes, the default first"""
    log: LogLimits = LogLimits()
    """what is kept for clients that come back"""
    slow: SlowPolicy = "snapshot"
    """for a client that falls behind the log: the whole state, the end, or a gap event"""
    conflate: Conflate | None = None
    """of changes that come in quick succession only the last is sent"""
    linger: Duration = 30.0
    """how long the source goes on after the last client has gone"""
    max_age: Time | None = None
    """a state that was confirmed longer ago is confirmed at once for who comes; without it, at the next interval"""
    hints: Hints | None = None
    """what to do when the webhooks are silent that refresh this route"""
    heartbeat: Annotated[Duration, at_least("1s")] = 25.0
    """a sign of life after so long without an event; proxies cut silent connections at 30s to 60s"""
    origins: list[Origin] = Field(default=[])
    """pages of other origins that may read it with the cookies of this one; * allows all"""
    compression: bool = False
    """permessage-deflate for WebSocket clients that offer it"""


class MessageLog(LogLimits):
    bytes: Memory = 256 * 1024
    """memory for them"""


class MessageKeys(Section):
    log: MessageLog = MessageLog()
    """what is kept for clients that come back"""
    slow: Literal["disconnect", "skip"] = "disconnect"
    """for a client that falls behind the log: the end, or a gap event"""
    heartbeat: Annotated[Duration, at_least("1s")] = 25.0
    """a sign of life on streams of its URLs after so long; proxies cut silent connections at 30s to 60s"""
    compression: bool = False
    """permessage-deflate for WebSocket clients of its URLs that offer it"""


class SessionLimits(Section):
    subscriptions: Count = 100
    """channels that one session follows at once"""
    requests: Count = 32
    """requests of one session under way at once"""
    response: Memory = 1024 * 1024
    """the body of one answer"""


class Session(Section):
    subscribe: Annotated[list[ChannelPattern], Distinct] = Field(default=[])
    """what may be followed: live URLs, as in /api/**, and channels of messages, as in chat.* or orders.${claims.sub}"""
    publish: Annotated[list[MessagePattern], Distinct] = Field(default=[])
    """the channels of messages that may be published to"""
    requests: bool = False
    """whether REST requests may be sent through it"""
    timeout: Time = 60.0
    """from a request to the end of its answer"""
    auth_timeout: Time | None = None
    """lets in who comes without credentials, to show a token in an auth message within this time"""
    origins: list[Origin] = Field(default=[])
    """pages of other origins that may open it with the cookies of this one; * allows all"""
    limits: SessionLimits = SessionLimits()
    """what one session may have at once"""


class RouteKeys(Section):
    path: PathTemplate
    """/literal/{name}/*, with /** at the end for any rest; the first route that fits answers"""
    name: Label | None = None
    """its label in metrics and logs; the path without it"""
    host: Host | None = None
    """only requests to this host"""
    methods: Annotated[list[Method], Distinct] | None = None
    """only these methods; GET includes HEAD"""
    upstream: Text | None = None
    """the name of the upstream that answers"""
    auth: Texts | None = None
    """the authenticators that may let a client in, the first that knows it"""
    access: Expression | None = None
    """JMESPath of claims and params that has to be true of it"""
    origins: list[Origin] | None = None
    """pages of other origins that may open a WebSocket of the upstream with the cookies of this site; * allows all"""
    live: LiveKeys | None = None
    """makes the URL live as well: how the gateway learns of changes"""
    refresh_on_write: Refreshes | None = None
    """what is looked at at once after a successful write: self, and paths with parameters of this route's"""
    session: Session | None = None
    """in place of an upstream: one WebSocket that follows many channels and carries REST"""
    webhook: WebhookKeys | None = None
    """in place of an upstream: takes what other services tell, as messages and as hints to look again"""
    channel: Annotated[ChannelKeys, OrText()] | None = None
    """in place of an upstream: the channel of messages that clients follow here, by every transport"""


def off_or_section(value: object) -> str:
    return "off" if isinstance(value, str) else "section"


class BrokerKeys(Section):
    """Exactly one key names the broker plugin."""


class AuthKeys(Section):
    """Exactly one key beside these names the authenticator plugin."""

    headers: dict[IdentityHeader, Template] | None = None
    """what the upstream is told of whom it knows; clients can't send headers of these names themselves"""


class TransportKeys(Section):
    """Options of transports by name, or off; every installed transport serves, with its defaults if not named here."""


class ConfigKeys(Section):
    """One gateway."""

    include: Texts | None = None
    """files to merge, relative to this one; their routes come before this file's"""
    listen: list[Annotated[Listener, OrText()]] = Field(default=[Listener(address="127.0.0.1:8080")], min_length=1)
    """where clients connect"""
    admin: Annotated[
        Annotated[Literal["off"], Tag("off")] | Annotated[Admin, Tag("section")], Discriminator(off_or_section)
    ] = Admin()
    """metrics and health, on a listener of their own, or off"""
    access_log: LogTarget = "stdout"
    """stdout, stderr, off, or a file's path"""
    trusted_proxies: Peers = Field(default=[])
    """networks, addresses or unix: peers whose X-Forwarded-* and Forwarded headers are believed"""
    limits: Limits = Limits()
    """what one process and one client may take"""
    broker: BrokerKeys | None = None
    """what carries events between nodes: one plugin and its options; memory without it"""
    transports: TransportKeys | None = None
    """how events travel to clients: options by transport, or off; the defaults without it"""
    upstreams: dict[Name, Upstream] = Field(default={})
    """REST backends by name"""
    auth: dict[Name, AuthKeys] | None = None
    """who may let clients in, by name: each one plugin and its options"""
    routes: list[RouteKeys] = Field(min_length=1)
    """what answers what, the first that fits"""
    channels: dict[PlainPattern, MessageKeys] | None = None
    """channels of messages by their names, the first pattern that fits: what is kept of them"""
    tests: list[RecordedTest] | None = None
    """recorded answers and the events expected of them, for tidegate test"""
