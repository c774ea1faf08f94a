"""A checked configuration to the immutable snapshot that the rest of the gateway runs on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from gateway.config.channels import channel_of
from gateway.config.model import (
    Admin,
    AuthKeys,
    BrokerKeys,
    CertificateKeys,
    ConfigKeys,
    Items,
    Listener,
    ListenerTls,
    LiveKeys,
    MessageKeys,
    Pool,
    RouteKeys,
    Session,
    Upstream,
)
from gateway.config.plugins import chosen, used
from gateway.config.recorded import compiled
from gateway.config.routes import implied, route_names
from gateway.config.tree import Path, Tree
from gateway.config.webhooks import hinted, webhook_of
from gateway.config.writes import meets
from gateway.core import settings
from gateway.core.paths import parse_path
from gateway.core.route import Template, parse_template


def complete(config: ConfigKeys) -> ConfigKeys:
    """The same configuration with the defaults that depend on other keys."""
    names = route_names([(route.name, route.path, route.methods or [], route.host) for route in config.routes])
    routes = [
        route.model_copy(update={"name": name, "live": route.live and _complete_live(route.live)})
        for name, route in zip(names, config.routes, strict=True)
    ]
    upstreams = {
        name: upstream.model_copy(update={"pool": _complete_pool(upstream.pool)})
        for name, upstream in config.upstreams.items()
    }
    listen = [listener.model_copy(update={"tls": _complete_tls(listener.tls)}) for listener in config.listen]
    return config.model_copy(update={"listen": listen, "routes": routes, "upstreams": upstreams, "include": None})


def _complete_tls(tls: ListenerTls | None) -> ListenerTls | None:
    if tls is None or tls.client_ca is None:
        return tls
    return tls.model_copy(update={"client_cert": tls.client_cert or "required"})


def _complete_live(live: LiveKeys) -> LiveKeys:
    modes = live.modes or (["items"] if live.items else []) + ["patch", "snapshot", "notify"]
    conflate = live.conflate
    if conflate is not None and live.items is not None:
        conflate = conflate.model_copy(update={"key": conflate.key or live.items.key})
    return live.model_copy(update={"modes": modes, "conflate": conflate})


def _complete_pool(pool: Pool) -> Pool:
    return pool.model_copy(update={"idle": min(pool.idle, pool.max)})


def compile_config(config: ConfigKeys, broker: BrokerKeys, tree: Tree) -> settings.Gateway:
    """The snapshot; `config` is complete, and `tree` is what it was made from."""
    admin = config.admin
    return settings.Gateway(
        listen=tuple(_listen(listener, index, tree) for index, listener in enumerate(config.listen)),
        admin=settings.Listen(address=admin.listen) if isinstance(admin, Admin) else None,
        broker=used(broker, BrokerKeys),
        transports=chosen(config.transports),
        upstreams={name: _upstream(name, upstream, tree) for name, upstream in config.upstreams.items()},
        routes=tuple(_route(route, hinted(config.routes)) for route in config.routes),
        auth={name: _auth(auth) for name, auth in (config.auth or {}).items()},
        channels=tuple(_messages(pattern, keys) for pattern, keys in (config.channels or {}).items()),
        trusted_proxies=tuple(config.trusted_proxies),
        limits=settings.Limits(**dict(config.limits)),
        access_log=_log_file(config.access_log, tree),
        tests=tuple(compiled(test) for test in config.tests or ()),
        hash=hashlib.sha256(json.dumps(tree.value, sort_keys=True).encode()).hexdigest()[:16],
    )


def _log_file(target: str, tree: Tree) -> str:
    return tree.beside(("access_log",), target) if "/" in target else target


def _listen(listener: Listener, index: int, tree: Tree) -> settings.Listen:
    path: Path = ("listen", index, "tls")
    tls = listener.tls
    if tls is None:
        return settings.Listen(
            address=listener.address,
            proxy_protocol=tuple(listener.proxy_protocol),
            http2_websockets=bool(listener.http2_websockets),
        )
    files = _files(path, tls, tree)
    return settings.Listen(
        address=listener.address,
        proxy_protocol=tuple(listener.proxy_protocol),
        http2_websockets=bool(listener.http2_websockets),
        http3=bool(listener.http3),
        tls=settings.ServerTls(
            cert=files.cert,
            key=files.key,
            sni=tuple(_files((*path, "sni", number), pair, tree) for number, pair in enumerate(tls.sni or ())),
            client_ca=tls.client_ca and tree.beside((*path, "client_ca"), tls.client_ca),
            client_cert=tls.client_cert or "required",
        ),
    )


def _files(path: Path, pair: CertificateKeys, tree: Tree) -> settings.CertificateFiles:
    return settings.CertificateFiles(
        cert=tree.beside((*path, "cert"), pair.cert), key=tree.beside((*path, "key"), pair.key)
    )


def _upstream(name: str, upstream: Upstream, tree: Tree) -> settings.UpstreamSettings:
    url = urlsplit(upstream.url)
    https = url.scheme == "https"
    return settings.UpstreamSettings(
        name=name,
        scheme="https" if https else "http",
        host=url.hostname or "",
        port=url.port or (443 if https else 80),
        base_path=url.path.rstrip("/"),
        host_header=upstream.host,
        timeouts=settings.Timeouts(**dict(upstream.timeouts)),
        pool=settings.Pool(**dict(upstream.pool)),
        polls=settings.Polls(**dict(upstream.polls)),
        tls=_upstream_tls(name, upstream, tree),
    )


def _upstream_tls(name: str, upstream: Upstream, tree: Tree) -> settings.UpstreamTls:
    tls = upstream.tls
    if tls is None:
        return settings.UpstreamTls()
    files = {
        part: file and tree.beside(("upstreams", name, "tls", part), file)
        for part, file in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key))
    }
    return settings.UpstreamTls(**files, server_name=tls.server_name, stamp=tree.files.stamp(files.values()))


def _auth(auth: AuthKeys) -> settings.AuthSettings:
    return settings.AuthSettings(plugin=used(auth, AuthKeys), headers=tuple((auth.headers or {}).items()))


def _route(route: RouteKeys, told: Sequence[Template]) -> settings.Route:
    path = parse_template(route.path)
    return settings.Route(
        name=route.name or route.path,
        path=path,
        upstream=route.upstream or "",
        methods=implied(route.methods or []),
        host=route.host,
        auth=tuple(route.auth or ()),
        access=route.access,
        origins=tuple(route.origins or ()),
        live=_live(route.live, hinted=any(meets(one, path) for one in told)) if route.live else None,
        refresh_on_write=None if route.refresh_on_write is None else tuple(route.refresh_on_write),
        session=_session(route.session) if route.session else None,
        webhook=webhook_of(route.webhook) if route.webhook else None,
        channel=channel_of(route.channel) if route.channel else None,
    )


def _session(session: Session) -> settings.SessionSettings:
    return settings.SessionSettings(
        subscribe=tuple(parse_template(pattern) for pattern in session.subscribe if pattern.startswith("/")),
        messages=tuple(pattern for pattern in session.subscribe if not pattern.startswith("/")),
        publish=tuple(session.publish),
        requests=session.requests,
        timeout=session.timeout,
        auth_timeout=session.auth_timeout,
        origins=tuple(session.origins),
        limits=settings.SessionLimits(**dict(session.limits)),
    )


def _messages(pattern: str, keys: MessageKeys) -> settings.MessageSettings:
    return settings.MessageSettings(
        pattern=pattern,
        log=settings.LogLimits(**dict(keys.log)),
        slow=keys.slow,
        heartbeat=keys.heartbeat,
        compression=keys.compression,
    )


def _live(live: LiveKeys, *, hinted: bool) -> settings.LiveSettings:
    return settings.LiveSettings(
        source=used(live, LiveKeys),
        items=None if live.items is None else items_of(live.items),
        ignore=tuple(live.ignore),
        normal=_normal(live),
        modes=tuple(live.modes or ()),
        log=settings.LogLimits(**dict(live.log)),
        slow=live.slow,
        conflate=live.conflate.every if live.conflate else None,
        linger=live.linger,
        max_age=live.max_age,
        hinted=hinted,
        hints=settings.HintSettings(every=live.hints.expect_every, interval=live.hints.interval)
        if live.hints
        else None,
        heartbeat=live.heartbeat,
        origins=tuple(live.origins),
        compression=live.compression,
    )


def items_of(items: Items) -> settings.Items:
    return settings.Items(
        at=items.at,
        key=tuple(items.key),
        ignore=tuple(items.ignore),
        normal=_normal(items),
        order=items.order,
        deleted=items.deleted,
        delete_after=items.delete_after,
        max_delete_ratio=items.max_delete_ratio,
    )


def _normal(keys: LiveKeys | Items) -> settings.Normal:
    places = {"": keys.round} if isinstance(keys.round, int) else keys.round or {}
    paths = [""] if keys.unordered is True else keys.unordered or []
    return settings.Normal(
        places=tuple(places.items()),
        unordered=tuple(sorted(paths, key=lambda path: len(parse_path(path)) if path else 0, reverse=True)),
    )
