"""Routes that are channels of messages: that their names have values, and that they are nothing else as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.config.channel_keys import ChannelKeys
from gateway.config.nearest import did_you_mean, nearest
from gateway.config.routes import routes
from gateway.config.tree import Finding, Path, Tree, Value, mapping
from gateway.core import settings
from gateway.core.channel_names import params_in
from gateway.core.route import parse_template

# What other keys of a route mean nothing on one of these, and why.
_FOREIGN = {
    "upstream": "a channel of messages has no upstream: webhooks, sessions and its own clients fill it",
    "live": "a channel of messages is followed as it is: live watches an upstream, on a route of its own",
    "session": "a channel of messages is no session: put session on a route of its own",
    "webhook": "a webhook fills channels and is none: put channel on a route of its own",
    "origins": "write origins under channel, beside its name",
    "refresh_on_write": "nothing of an upstream is written here: remove refresh_on_write",
}


def channel_of(keys: ChannelKeys) -> settings.ChannelSettings:
    """As the snapshot has it."""
    return settings.ChannelSettings(
        name=keys.name, dotted=keys.dotted, publish=keys.publish, origins=tuple(keys.origins)
    )


def channels(tree: Tree) -> Iterator[tuple[Path, Mapping[str, Value], str, bool]]:
    """Every such route, with its path in the tree, the channel's name, and whether clients may publish."""
    for path, route in routes(tree):
        if "channel" in route:
            given = route["channel"]
            keys = mapping(given)
            name = given if isinstance(given, str) else keys.get("name")
            yield path, route, name if isinstance(name, str) else "", keys.get("publish") is True


def channels_stand_alone(tree: Tree) -> Iterator[Finding]:
    for path, route, _, _ in channels(tree):
        for key in route.keys() & _FOREIGN.keys():
            yield (*path, key), _FOREIGN[key]


def channels_are_named(tree: Tree) -> Iterator[Finding]:
    """Each place of a name has a parameter of the path, or somebody who knows the client."""
    for path, route, name, _ in channels(tree):
        place = (*path, "channel") if isinstance(route["channel"], str) else (*path, "channel", "name")
        known = _parameters(route.get("path"))
        for param in params_in(name):
            if known is not None and param not in known:
                near = did_you_mean(nearest(param, known))
                yield place, f"the path has no parameter {{{param}}}{near}"
        if "${claims." in name and "auth" not in route:
            yield place, "nobody has claims here: give the route its auth"


def channels_have_their_methods(tree: Tree) -> Iterator[Finding]:
    for path, route, _, publish in channels(tree):
        methods = route.get("methods")
        if not isinstance(methods, list) or not methods:
            continue
        if publish and "POST" not in methods:
            yield (*path, "methods"), "messages are published with POST: add it, or remove publish"
        elif "GET" not in methods and not publish:
            yield (*path, "methods"), "a channel of messages is followed with GET: add it, or let clients publish"


def _parameters(path: Value) -> tuple[str, ...] | None:
    try:
        return parse_template(path).names if isinstance(path, str) else None
    except ValueError:
        return None
