"""Mistakes that take two values, or a look at the disk, to see.

Every check reads the tree as it was written and skips what it can't understand, so that these mistakes
are told together with those of single values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from gateway.config.certificates import http3_is_possible, tls_files_load
from gateway.config.channels import channels_are_named, channels_have_their_methods, channels_stand_alone
from gateway.config.model import Admin, AuthKeys, BrokerKeys, Limits, LiveKeys, TransportKeys
from gateway.config.nearest import did_you_mean, nearest
from gateway.config.plugins import Kind, Model
from gateway.config.recorded import recordings_follow_live_routes
from gateway.config.routes import all_are_reached, names_differ, none_is_reserved, routes
from gateway.config.section import Section
from gateway.config.sessions import (
    channels_are_of_use,
    claims_have_a_source,
    routes_have_one_answer,
    sessions_follow_live_routes,
    strangers_can_be_known,
)
from gateway.config.tree import Finding, Path, Tree, Value, listing, mapping
from gateway.config.values import split_host_port
from gateway.config.webhook_keys import VerifyKeys
from gateway.config.webhooks import (
    hints_are_given,
    hints_reach_live_routes,
    messages_reach_clients,
    verifying,
    webhooks_are_known,
    webhooks_do_something,
    webhooks_stand_alone,
)
from gateway.config.writes import refreshes_reach_live_routes
from gateway.core.paths import covers, parse_path
from gateway.errors import Problem
from gateway.plugin.options import format_size, parse_size


def check(tree: Tree, model: Model) -> list[Problem]:
    """Every finding of every check."""
    found = [problem for one in _CHECKS for problem in one(tree)]
    live = ((path, value["live"]) for path, value in routes(tree) if "live" in value)
    for path, value in live:
        found += _one_plugin((*path, "live"), value, model.sources, "source", LiveKeys)
        found += _items_are_there((*path, "live"), mapping(value), model.sources)
    for path, value in verifying(tree):
        found += _one_plugin(path, value, model.signatures, "signature scheme", VerifyKeys)
    for name, value in mapping(tree.value.get("auth")).items():
        found += _one_plugin(("auth", name), value, model.authenticators, "authenticator", AuthKeys)
    broker = tree.value.get("broker", {})
    found += _one_plugin(("broker",), broker, model.brokers, "broker", BrokerKeys)
    for name in mapping(tree.value.get("transports")):
        found += _loads(("transports",), name, model.transports)
    return [tree.problem(path, message) for path, message in found]


def _one_plugin(path: Path, value: Value, plugins: Kind, what: str, keys: type[Section]) -> Iterator[Finding]:
    given = mapping(value)
    named = [name for name in given if name in plugins.options or name in plugins.broken]
    unknown = [name for name in given if name not in named and name not in keys.model_fields]
    choice = ", ".join(sorted(plugins.options))
    if isinstance(value, dict) and not named and not unknown:
        yield path, f"no {what}: name one of {choice or 'the installed plugins (there are none)'}"
    for name in named[1:]:
        yield (*path, name), f"a second {what}: {named[0]} is already here, and there can be only one"
    for name in named:
        yield from _loads(path, name, plugins)


def _items_are_there(path: Path, live: Mapping[str, Value], sources: Kind) -> Iterator[Finding]:
    """Options of a source that are about a list with keys."""
    if "items" in live:
        return
    for name in live.keys() & sources.options.keys():
        for key in sorted(mapping(live[name]).keys() & sources.options[name].of_items):
            yield (
                (*path, name, key),
                f"{key} is about a list: say with items beside {name} where it is and what its key is",
            )


def _loads(path: Path, name: str, plugins: Kind) -> Iterator[Finding]:
    if name in plugins.broken:
        yield (*path, name), f"the plugin {name!r} cannot be loaded: {plugins.broken[name]}"


def _upstreams_exist(tree: Tree) -> Iterator[Finding]:
    known = set(mapping(tree.value.get("upstreams")))
    for path, route in routes(tree):
        name = route.get("upstream")
        if isinstance(name, str) and name and name not in known:
            yield (*path, "upstream"), f"no upstream is called {name!r}{did_you_mean(nearest(name, known))}"


def _authenticators_exist(tree: Tree) -> Iterator[Finding]:
    known = set(mapping(tree.value.get("auth")))
    for path, route in routes(tree):
        given = route.get("auth")
        for index, name in enumerate([given] if isinstance(given, str) else listing(given)):
            if isinstance(name, str) and name and name not in known:
                place = (*path, "auth", index) if isinstance(given, list) else (*path, "auth")
                yield place, f"no authenticator under auth is called {name!r}{did_you_mean(nearest(name, known))}"


def _access_is_of_somebody(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        if "access" in route and "auth" not in route:
            yield (*path, "access"), "access needs auth beside it: it is about whom an authenticator knows"


def _live_routes_allow_get(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        methods = route.get("methods")
        if "live" in route and isinstance(methods, list) and methods and "GET" not in methods:
            yield (*path, "methods"), "a live route is read with GET: add it, or remove live"


def _item_mode_has_items(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        live = mapping(route.get("live"))
        for index, mode in enumerate(listing(live.get("modes"))):
            if mode == "items" and "items" not in live:
                yield (*path, "live", "modes", index), "the mode items needs the key items beside it"


def _lists_are_no_objects(tree: Tree) -> Iterator[Finding]:
    """What only a document without items has."""
    for path, route in routes(tree):
        live = mapping(route.get("live"))
        if "items" not in live:
            continue
        for index, mode in enumerate(listing(live.get("modes"))):
            if mode == "merge":
                yield (
                    (*path, "live", "modes", index),
                    "a merge patch replaces lists whole: with items use items or patch",
                )
        if live.get("ignore"):
            yield (*path, "live", "ignore"), "with items, what to ignore stands in items.ignore, as paths in an item"
        for key in ("round", "unordered"):
            if key in live:
                yield (*path, "live", key), f"with items it is their own: write {key} under items"


def _keys_are_not_rounded(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        items = mapping(mapping(route.get("live")).get("items"))
        keys = [tuple(name.split(".")) for name in _names(items.get("key", "id")) if isinstance(name, str)]
        for text in mapping(items.get("round")):
            try:
                if any(covers(parse_path(text), key) for key in keys):
                    place = (*path, "live", "items", "round", text)
                    yield place, "items are told apart by this field, which rounding would make the same: remove it"
            except ValueError:
                continue


def _conflation_is_by_item(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        live = mapping(route.get("live"))
        key = mapping(live.get("conflate")).get("key")
        items = live.get("items")
        if key is None:
            continue
        if items is None:
            yield (*path, "live", "conflate", "key"), "without items the document is conflated as a whole: remove key"
        elif _names(key) != _names(mapping(items).get("key", "id")):
            known = ", ".join(map(str, _names(mapping(items).get("key", "id"))))
            yield (
                (*path, "live", "conflate", "key"),
                f"items are told apart by items.key ({known}), and conflated by the same: remove key",
            )


def _names(key: Value) -> list[Value]:
    return key if isinstance(key, list) else [key]


def _frames_fit_messages(tree: Tree) -> Iterator[Finding]:
    limits = mapping(tree.value.get("limits"))
    message = limits.get("message", format_size(Limits().message))
    try:
        useless = "frame" in limits and parse_size(limits["frame"]) > parse_size(message)
    except ValueError:
        return
    if useless:
        yield ("limits", "frame"), f"no frame is larger than a message, and message is {message}: remove frame"


def _live_routes_have_their_own_origins(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        if "live" in route and "origins" in route:
            yield (*path, "origins"), "on a live route the gateway answers WebSockets: write origins under live"


def _pools_hold_their_idle(tree: Tree) -> Iterator[Finding]:
    for name, upstream in mapping(tree.value.get("upstreams")).items():
        pool = mapping(mapping(upstream).get("pool"))
        most, idle = pool.get("max"), pool.get("idle")
        if isinstance(most, int) and isinstance(idle, int) and idle > most:
            yield ("upstreams", name, "pool", "idle"), f"more idle connections than max allows ({most})"


def _listeners(tree: Tree) -> Iterator[tuple[Path, str]]:
    """Where the gateway listens, what is only a default first: it is the other one that has to give way."""
    admin = tree.value.get("admin", {})
    given = "listen" in mapping(admin)
    if not given and admin != "off":
        yield (), str(Admin().listen)
    for index, listener in enumerate(listing(tree.value.get("listen"))):
        if isinstance(listener, dict):
            yield ("listen", index, "address"), str(listener.get("address"))
        else:
            yield ("listen", index), str(listener)
    if given:
        yield ("admin", "listen"), str(mapping(admin)["listen"])


def _addresses_differ(tree: Tree) -> Iterator[Finding]:
    before: list[tuple[Path, str]] = []
    for path, address in _listeners(tree):
        for earlier, other in before:
            if _clash(address, other):
                where = f"at {tree.mark(earlier)}" if earlier else "where admin listens unless told otherwise"
                yield path, f"this address is already taken by {other} {where}"
                break
        before.append((path, address))


def _clash(one: str, other: str) -> bool:
    """Whether both can't be listened on: the same port, and the same host or every host of its family."""
    if one == other and one.startswith("unix:"):
        return True
    try:
        (host, port), (other_host, other_port) = split_host_port(one), split_host_port(other)
    except ValueError:
        return False
    hosts = {host, other_host}
    wild = ("0.0.0.0" in hosts and not any(":" in name for name in hosts)) or (
        "::" in hosts and all(":" in name for name in hosts)
    )
    return port == other_port != 0 and (len(hosts) == 1 or wild)


def _nothing_is_empty(tree: Tree) -> Iterator[Finding]:
    """A key without a value is a mistake, but for a plugin's name: `poll:` alone is the plugin with its defaults."""
    for key, value in tree.value.items():
        if key != "tests":  # recorded answers may hold null
            yield from _empty((key,), value)


def _empty(path: Path, value: Value) -> Iterator[Finding]:
    if value is None:
        yield path, "is empty: give a value or remove the key"
    for index, item in enumerate(listing(value)):
        yield from _empty((*path, index), item)
    own = _own_keys(path)
    for name, part in mapping(value).items():
        if own is None or name in own.model_fields:
            yield from _empty((*path, name), part)


def _own_keys(path: Path) -> type[Section] | None:
    """The keys beside a plugin's, where one of a mapping's keys names a plugin."""
    match path:
        case ("broker",):
            return BrokerKeys
        case ("auth", _):
            return AuthKeys
        case ("routes", _, "live"):
            return LiveKeys
        case ("routes", _, "webhook", "verify"):
            return VerifyKeys
        case ("transports",):
            return TransportKeys
    return None


_CHECKS: tuple[Callable[[Tree], Iterator[Finding]], ...] = (
    _upstreams_exist,
    _authenticators_exist,
    _access_is_of_somebody,
    names_differ,
    none_is_reserved,
    all_are_reached,
    routes_have_one_answer,
    sessions_follow_live_routes,
    strangers_can_be_known,
    claims_have_a_source,
    channels_are_of_use,
    _live_routes_allow_get,
    _item_mode_has_items,
    _lists_are_no_objects,
    _keys_are_not_rounded,
    _conflation_is_by_item,
    refreshes_reach_live_routes,
    webhooks_are_known,
    webhooks_stand_alone,
    webhooks_do_something,
    hints_reach_live_routes,
    hints_are_given,
    messages_reach_clients,
    channels_stand_alone,
    channels_are_named,
    channels_have_their_methods,
    recordings_follow_live_routes,
    _frames_fit_messages,
    _live_routes_have_their_own_origins,
    _pools_hold_their_idle,
    _addresses_differ,
    tls_files_load,
    http3_is_possible,
    _nothing_is_empty,
)
