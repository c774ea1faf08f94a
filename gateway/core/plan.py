"""What another configuration would change of a running one, by name. Pure: nothing is made, and nothing is ended.

Two definitions are the same when everything is that decides what they do: of a route, its upstream and its
authenticators as well, with the upstreams that these name. So a route that is unchanged can go on as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from gateway.core.settings import Gateway, PluginUse, Route

Path = tuple[str | int, ...]

_RESTART = "cannot be changed while the gateway runs: restart it, or put back what was here"
# What sockets, connections and channels were made with, however long they last.
_FIXED = ("listen", "admin", "broker", "transports", "trusted_proxies", "access_log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The names of one kind, in the order of the new configuration, or of the old one where they are gone."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.added or self.changed or self.removed)

    @property
    def gone(self) -> frozenset[str]:
        """What is there no more as it was."""
        return frozenset(self.changed + self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`channels` are patterns of channels of messages."""

    upstreams: Difference
    auth: Difference
    routes: Difference
    channels: Difference

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return any(getattr(self, kind.name) for kind in fields(self))


def plan(old: Gateway, new: Gateway) -> Plan:
    """What becomes of everything that has a name."""
    before, after = _definitions(old), _definitions(new)
    return Plan(**{kind: difference(before[kind], after[kind]) for kind in before})


def difference(old: Mapping[str, object], new: Mapping[str, object]) -> Difference:
    """By the definitions' equality."""
    both = [name for name in new if name in old]
    return Difference(
        added=tuple(name for name in new if name not in old),
        changed=tuple(name for name in both if new[name] != old[name]),
        removed=tuple(name for name in old if name not in new),
        unchanged=tuple(name for name in both if new[name] == old[name]),
    )


def fixed(old: Gateway, new: Gateway) -> list[tuple[Path, str]]:
    """The places of what differs and can't be changed while the gateway runs, and what is to be done about it."""
    found: list[Path] = [(name,) for name in _FIXED if getattr(old, name) != getattr(new, name)]
    limits = [one.name for one in fields(old.limits)]
    found += [("limits", name) for name in limits if getattr(old.limits, name) != getattr(new.limits, name)]
    return [(path, _RESTART) for path in found]


def _definitions(settings: Gateway) -> dict[str, dict[str, object]]:
    auth = {name: (one, _named(settings, one.plugin)) for name, one in settings.auth.items()}
    return {
        "upstreams": {**settings.upstreams},
        "auth": {**auth},
        "routes": {
            route.name: (route, _behind(settings, route), [auth[name] for name in route.auth])
            for route in settings.routes
        },
        "channels": {one.pattern: one for one in settings.channels},
    }


def _behind(settings: Gateway, route: Route) -> list[object]:
    """The upstreams of a route, and of its plugins."""
    own = [settings.upstreams[route.upstream]] if route.upstream else []
    plugins = [
        *([route.live.source] if route.live is not None else ()),
        *([route.webhook.verify] if route.webhook is not None and route.webhook.verify is not None else ()),
    ]
    return [own, *(_named(settings, plugin) for plugin in plugins)]


def _named(settings: Gateway, use: PluginUse) -> list[object]:
    return [settings.upstreams[name] for name in use.upstreams]
