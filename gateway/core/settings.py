"""The compiled configuration: an immutable snapshot that every layer may read and none can change.

Times are seconds, sizes are bytes. `gateway.config` makes it; nothing else reads YAML or the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.recorded import Recorded
from gateway.core.route import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """Certificate chain and private key, PEM."""

    cert: str
    key: str


ClientCert = Literal["required", "optional"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The certificate for everybody, those for clients that ask for another name, and whose clients are known.

    With `client_ca`, clients must or may show a certificate of these authorities.
    """

    cert: str
    key: str
    sni: tuple[CertificateFiles, ...] = ()
    client_ca: str | None = None
    client_cert: ClientCert = "required"

    @property
    def pairs(self) -> tuple[CertificateFiles, ...]:
        """Every certificate, the default first."""
        return CertificateFiles(cert=self.cert, key=self.key), *self.sni


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """`address` is `host:port`, `[v6]:port` or `unix:/path`; peers in `proxy_protocol` begin with its header."""

    address: str
    tls: ServerTls | None = None
    proxy_protocol: tuple[str, ...] = ()
    http2_websockets: bool = False
    http3: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process and one client may take."""

    connections: int = 50_000
    connections_per_ip: int = 1000
    header_bytes: int = 64 * 1024
    header_count: int = 100
    header_value: int = 16 * 1024
    target: int = 16 * 1024
    head_time: float = 30.0
    idle_time: float = 75.0
    stall_time: float = 60.0
    body_rate: int = 240
    connection_time: float = 3600.0
    message: int = 64 * 1024
    frame: int | None = None
    messages_per_second: int = 1000
    bytes_per_second: int = 1024 * 1024
    channels: int = 10_000
    channels_per_route: int = 10_000
    channels_per_client: int = 1_000
    channels_per_ip: int = 2_000
    message_channels: int = 10_000
    message_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    connect: float = 2.0
    response: float = 30.0
    idle: float = 60.0
    tunnel: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """`max` connections in all, of which `idle` are kept open when nothing uses them."""

    max: int = 128
    idle: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Polls:
    """All looks at one backend together: `concurrency` at once, and `rate` a second (None: as many as there are)."""

    concurrency: int = 64
    rate: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """Trust in the backend's certificate, and our own for backends that ask for one.

    `stamp` tells the files' contents apart.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None
    stamp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """A named REST backend. `base_path` goes before every path; `host` "preserve" sends the client's Host on."""

    name: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    base_path: str = ""
    host_header: str = "preserve"
    timeouts: Timeouts = field(default_factory=Timeouts)
    pool: Pool = field(default_factory=Pool)
    polls: Polls = field(default_factory=Polls)
    tls: UpstreamTls = field(default_factory=UpstreamTls)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLimits:
    """A channel's log forgets its oldest entries beyond any of these."""

    events: int = 1000
    bytes: int = 4 * 1024 * 1024
    age: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """What documents are made before they are compared, and shown.

    `places` has paths and the decimals that floats there are rounded to; `unordered` the paths of arrays whose order
    means nothing, the longest first. An empty path is every one.
    """

    places: tuple[tuple[str, int], ...] = ()
    unordered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Where the list is in the answer (JMESPath), what identifies an item, what doesn't count as change.

    `order` true: item events tell of it; false: it means nothing; None: only states and patches follow it.
    An item is deleted once it is absent from `delete_after` complete answers in a row; when more than
    `max_delete_ratio` of a list is gone at once, the answer is doubted. What `deleted` (JMESPath) is true of is no
    item, but says that the one of its key is gone. `normal` is the form of each item.
    """

    at: str | None = None
    key: tuple[str, ...] = ("id",)
    ignore: tuple[str, ...] = ()
    normal: Normal = Normal()
    order: bool | None = None
    deleted: str | None = None
    delete_after: int = 1
    max_delete_ratio: float = 0.5


Mode = Literal["items", "patch", "merge", "snapshot", "notify"]
SlowPolicy = Literal["snapshot", "disconnect", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginUse:
    """A plugin named in the configuration, its decoded options, and the `upstreams` that they name."""

    name: str
    options: object
    upstreams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """A named authenticator, and the headers that go upstream in the name of whom it knows: name and template."""

    plugin: PluginUse
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HintSettings:
    """Webhooks tell of a route at least `every` so many seconds; while they don't, `interval` is the longest."""

    every: float
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """What makes a route live; `hinted`: some webhook tells of its URLs.

    `ignore` are paths that don't count as change in answers without `items`, and `normal` is their form; `conflate` is
    the time in which only the last change of an item, or of the document, is sent (None: every change is). A state that
    was confirmed longer than `max_age` ago is confirmed for who comes.
    """

    source: PluginUse
    items: Items | None = None
    ignore: tuple[str, ...] = ()
    normal: Normal = Normal()
    modes: tuple[Mode, ...] = ("patch", "snapshot", "notify")
    log: LogLimits = field(default_factory=LogLimits)
    slow: SlowPolicy = "snapshot"
    conflate: float | None = None
    linger: float = 30.0
    max_age: float | None = None
    hinted: bool = False
    hints: HintSettings | None = None
    heartbeat: float = 25.0
    origins: tuple[str, ...] = ()
    compression: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSettings:
    """Channels of messages, which have no state: `pattern` is what their names fit, and their label in metrics.

    A message is small and soon stale beside a resource's state, so less of them is kept.
    """

    pattern: str = "*"
    log: LogLimits = field(default_factory=lambda: LogLimits(bytes=256 * 1024))
    slow: SlowPolicy = "disconnect"
    heartbeat: float = 25.0
    compression: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """What one session may have at once, and `response` bytes of one answer."""

    subscriptions: int = 100
    requests: int = 32
    response: int = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What makes a route the session endpoint: what its clients may do.

    `subscribe` are the live URLs that they may follow, `messages` and `publish` patterns of the channels of messages
    that they may follow and publish to, as `gateway.core.channel_names` reads them. `auth_timeout` is how long who came
    without credentials has to show a token; None: there is no such time.
    """

    subscribe: tuple[Template, ...] = ()
    messages: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    requests: bool = False
    timeout: float = 60.0
    auth_timeout: float | None = None
    origins: tuple[str, ...] = ()
    limits: SessionLimits = field(default_factory=SessionLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """What makes the URLs of a route channels of messages; with `publish` clients may POST messages there.

    `name` has places for `params` and `claims`, as `gateway.core.channel_names` reads them; with `dotted`, their values
    may hold dots, and so be several parts of it.
    """

    name: str
    dotted: bool = False
    publish: bool = False
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A message that deliveries bring about, as `gateway.core.delivery` reads it.

    With `dotted`, values in the channel's name may hold dots, and so be several parts of it.
    """

    channel: str
    type: str | None = None
    data: str = "body"
    when: str | None = None
    dotted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dedupe:
    """What tells deliveries apart (text with places), and how long one is remembered."""

    id: str
    ttl: float = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The question of a service whether it may send: the value of `param` is the answer, `where` others are so."""

    param: str
    where: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    answer: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What makes a route take deliveries; without `verify` it takes anybody's."""

    verify: PluginUse | None
    when: str | None = None
    publish: tuple[Publication, ...] = ()
    refresh: tuple[str, ...] = ()
    dedupe: Dedupe | None = None
    challenge: Challenge | None = None
    max_body: int = 1024 * 1024
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A match and what answers it: an upstream; if that is empty, sessions, a webhook's receiver or a channel.

    `name` labels metrics and logs: the path template unless given. `auth` names the authenticators that are asked in
    turn; without one everybody is let in; `access` (JMESPath) has to be true of whom they know. `refresh_on_write` are
    the paths that writes may change, as `gateway.core.writes` reads them; None: the usual ones.
    """

    name: str
    path: Template
    upstream: str = ""
    methods: frozenset[str] = frozenset()
    host: str | None = None
    auth: tuple[str, ...] = ()
    access: str | None = None
    origins: tuple[str, ...] = ()
    live: LiveSettings | None = None
    refresh_on_write: tuple[str, ...] | None = None
    session: SessionSettings | None = None
    webhook: WebhookSettings | None = None
    channel: ChannelSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The whole configuration. `access_log` is "stdout", "stderr", "off" or a file's path.

    `transports` holds those with options of their own, None for one that is off.
    """

    listen: tuple[Listen, ...]
    admin: Listen | None
    broker: PluginUse
    upstreams: Mapping[str, UpstreamSettings]
    routes: tuple[Route, ...]
    auth: Mapping[str, AuthSettings] = field(default_factory=dict)
    transports: Mapping[str, PluginUse | None] = field(default_factory=dict)
    channels: tuple[MessageSettings, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    access_log: str = "stdout"
    tests: tuple[Recorded, ...] = ()
    hash: str = ""

    def told(self, route: Route) -> frozenset[bytes]:
        """The headers, in lower case, that tell the backend who a client of this route is."""
        return frozenset(name.lower().encode() for keeper in route.auth for name, _ in self.auth[keeper].headers)
