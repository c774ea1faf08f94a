"""What routes answer: an upstream, sessions or a webhook, only one of them; and sessions follow what there is."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.channels import channels
from gateway.config.model import RouteKeys
from gateway.config.nearest import nearest
from gateway.config.routes import routes
from gateway.config.tree import Finding, Tree, Value, listing, mapping
from gateway.core.route import Template, parse_template


def routes_have_one_answer(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        if "webhook" in route or "channel" in route:
            continue  # of which `webhooks` and `channels` say what else may stand there
        if "session" not in route:
            if "upstream" not in route and "upstream" not in (nearest(key, RouteKeys.model_fields) for key in route):
                yield (*path, "upstream"), "this key is required"
            continue
        for other in ("upstream", "live"):
            if other in route:
                yield (*path, other), f"a session route has no {other}: put it on a route of its own"
        methods = route.get("methods")
        if isinstance(methods, list) and methods and "GET" not in methods:
            yield (*path, "methods"), "a session is opened with GET: add it, or remove methods"


def sessions_follow_live_routes(tree: Tree) -> Iterator[Finding]:
    """A pattern that no live route can be within is a mistake in one of them."""
    live = [template for _, route in routes(tree) if "live" in route and (template := _template(route.get("path")))]
    for path, route in routes(tree):
        session = mapping(route.get("session"))
        for index, text in enumerate(listing(session.get("subscribe"))):
            pattern = _template(text)
            if pattern and not any(pattern.covers(other) or other.covers(pattern) for other in live):
                yield (*path, "session", "subscribe", index), "no live route is within this pattern"


def claims_have_a_source(tree: Tree) -> Iterator[Finding]:
    """Where nobody is asked who a client is, a channel with its claims in the name fits nothing."""
    for path, route in routes(tree):
        session = mapping(route.get("session"))
        for key in ("subscribe", "publish"):
            for index, text in enumerate(listing(session.get(key))):
                if isinstance(text, str) and "${claims." in text and "auth" not in route:
                    yield (*path, "session", key, index), "nobody has claims here: give the route its auth"


def strangers_can_be_known(tree: Tree) -> Iterator[Finding]:
    """Where nobody is asked who a client is, there is no time to show it."""
    for path, route in routes(tree):
        if "auth_timeout" in mapping(route.get("session")) and "auth" not in route:
            yield (*path, "session", "auth_timeout"), "nobody looks at a token here: give the route its auth"


def channels_are_of_use(tree: Tree) -> Iterator[Finding]:
    """Only sessions and routes of channels follow and publish messages; and the first pattern that fits counts."""
    patterns = [text for text in mapping(tree.value.get("channels")) if isinstance(text, str)]
    sessions = [mapping(route.get("session")) for _, route in routes(tree)]
    named = [text for one in sessions for key in ("subscribe", "publish") for text in listing(one.get(key))]
    named += [name for _, _, name, _ in channels(tree)]
    if patterns and not any(isinstance(text, str) and not text.startswith("/") for text in named):
        yield ("channels",), "no route is a channel of messages, and no session follows or publishes any"
    for index, text in enumerate(patterns):
        for first in patterns[:index]:
            if first.endswith("*") and text.startswith(first[:-1]):
                yield ("channels", text), f"never reached: {first} takes all of it first"
                break


def _template(text: Value) -> Template | None:
    try:
        return parse_template(text) if isinstance(text, str) else None
    except ValueError:
        return None
