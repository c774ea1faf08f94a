"""Whether the options of sources fit the routes that they stand on: each source's own model says."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.compile import items_of
from gateway.config.model import ConfigKeys, LiveKeys, RouteKeys
from gateway.config.plugins import used
from gateway.config.tree import Finding
from gateway.core.route import parse_template
from gateway.plugin.options import Options, Place


def misplaced(config: ConfigKeys) -> Iterator[Finding]:
    """What the sources of a valid configuration find wrong with their routes."""
    for index, route in enumerate(config.routes):
        if route.live is not None:
            source = used(route.live, LiveKeys)
            options = source.options
            assert isinstance(options, Options)
            for key, message in options.misplaced(_place(config, route, route.live)):
                yield ("routes", index, "live", source.name, *key.split(".")), message


def _place(config: ConfigKeys, route: RouteKeys, live: LiveKeys) -> Place:
    template = parse_template(route.path)
    keepers = [config.auth[name] for name in route.auth or () if config.auth and name in config.auth]
    return Place(
        path=route.path,
        params=template.names,
        fixed=template.literal,
        items=items_of(live),
        auth=bool(route.auth),
        told=frozenset(name.lower() for keeper in keepers for name in keeper.headers or ()),
        own_host=config.upstreams[route.upstream or ""].host == "preserve",
    )
