"""Webhook routes: how senders are known, what deliveries bring about, and that it reaches somebody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway.config.channels import channels
from gateway.config.model import RouteKeys
from gateway.config.plugins import used
from gateway.config.routes import routes
from gateway.config.tree import Finding, Path, Tree, Value, listing, mapping
from gateway.config.webhook_keys import Challenge, VerifyKeys, WebhookKeys
from gateway.config.writes import meets
from gateway.core import settings
from gateway.core.delivery import path_shape
from gateway.core.route import Template, parse_template

# What other keys of a route mean nothing on one of these, and why.
_FOREIGN = {
    "upstream": "a webhook has no upstream: the gateway answers it",
    "live": "a webhook is not live: put live on the route of what it is about",
    "session": "a webhook has no session: put it on a route of its own",
    "methods": "a webhook is delivered with POST, and nothing else",
    "auth": "the senders of a webhook are known by verify: remove auth",
    "access": "the senders of a webhook are known by verify: remove access",
    "origins": "pages don't send webhooks: remove origins",
    "refresh_on_write": "what a webhook refreshes stands in webhook.refresh",
}


def webhook_of(keys: WebhookKeys) -> settings.WebhookSettings:
    """As the snapshot has it."""
    return settings.WebhookSettings(
        verify=used(keys.verify, VerifyKeys) if isinstance(keys.verify, VerifyKeys) else None,
        when=keys.when,
        publish=tuple(settings.Publication(**dict(one)) for one in keys.publish),
        refresh=tuple(keys.refresh or ()),
        dedupe=settings.Dedupe(**dict(keys.dedupe)) if keys.dedupe is not None else None,
        challenge=_challenge(keys.challenge) if keys.challenge is not None else None,
        max_body=keys.max_body,
        timeout=keys.timeout,
    )


def _challenge(keys: Challenge) -> settings.Challenge:
    where = tuple((name, secret.get_secret_value()) for name, secret in sorted(keys.where.items()))
    return settings.Challenge(param=keys.param, where=where, answer=keys.answer)


def hinted(routes: Sequence[RouteKeys]) -> list[Template]:
    """The shapes of all URLs that webhooks tell of."""
    told = (text for route in routes if route.webhook is not None for text in route.webhook.refresh or ())
    return [path_shape(text) for text in told]


def webhooks(tree: Tree) -> Iterator[tuple[Path, Mapping[str, Value]]]:
    for path, route in routes(tree):
        if isinstance(route.get("webhook"), dict):
            yield (*path, "webhook"), mapping(route["webhook"])


def verifying(tree: Tree) -> Iterator[tuple[Path, Value]]:
    """Where a signature scheme is to be named."""
    for path, webhook in webhooks(tree):
        if isinstance(webhook.get("verify"), dict):
            yield (*path, "verify"), webhook["verify"]


def webhooks_are_known(tree: Tree) -> Iterator[Finding]:
    for path, webhook in webhooks(tree):
        verify = webhook.get("verify", "")
        if isinstance(verify, str) and verify != "none":
            yield (
                (*path, "verify"),
                "name the scheme that its senders sign with, as in {github: {secret: ...}}, or none to believe anybody",
            )


def webhooks_stand_alone(tree: Tree) -> Iterator[Finding]:
    for path, route in routes(tree):
        if "webhook" in route:
            for key in route.keys() & _FOREIGN.keys():
                yield (*path, key), _FOREIGN[key]


def webhooks_do_something(tree: Tree) -> Iterator[Finding]:
    for path, webhook in webhooks(tree):
        if not webhook.get("publish") and not webhook.get("refresh"):
            yield path, "nothing comes of its deliveries: say what to publish or to refresh"


def hints_reach_live_routes(tree: Tree) -> Iterator[Finding]:
    """Some live route fits each URL that is to be looked at."""
    live = [template for _, route in routes(tree) if "live" in route and (template := _template(route.get("path")))]
    for path, webhook in webhooks(tree):
        for index, text in enumerate(listing(webhook.get("refresh"))):
            shape = _shape(text)
            if shape is not None and not any(meets(shape, one) for one in live):
                yield (
                    (*path, "refresh", index),
                    "no live route answers this path: nobody could follow what changes there",
                )


def hints_are_given(tree: Tree) -> Iterator[Finding]:
    """Who waits for webhooks has one."""
    texts = (text for _, webhook in webhooks(tree) for text in listing(webhook.get("refresh")))
    told = [shape for text in texts if (shape := _shape(text)) is not None]
    for path, route in routes(tree):
        mine = _template(route.get("path"))
        if "hints" in mapping(route.get("live")) and mine and not any(meets(shape, mine) for shape in told):
            yield (
                (*path, "live", "hints"),
                "no webhook tells of this route: name it in a webhook's refresh, or remove hints",
            )


def messages_reach_clients(tree: Tree) -> Iterator[Finding]:
    """Some session or route may let clients follow the channel: what all its names share is not against it."""
    sessions = (mapping(route.get("session")) for _, route in routes(tree))
    patterns = [text for one in sessions for text in listing(one.get("subscribe")) if isinstance(text, str)]
    starts = [_fixed(text.removesuffix("*")) for text in patterns if not text.startswith("/")]
    starts += [_fixed(name) for _, _, name, _ in channels(tree)]
    for path, webhook in webhooks(tree):
        for index, one in enumerate(listing(webhook.get("publish"))):
            channel = mapping(one).get("channel")
            if not isinstance(channel, str):
                continue
            mine = _fixed(channel)
            if not any(mine.startswith(start) or start.startswith(mine) for start in starts):
                yield (
                    (*path, "publish", index, "channel"),
                    "no session and no route of channels lets anybody follow it",
                )


def _fixed(text: str) -> str:
    """What stands before the first place."""
    return text.partition("${")[0]


def _template(text: Value) -> Template | None:
    try:
        return parse_template(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _shape(text: Value) -> Template | None:
    try:
        return path_shape(text) if isinstance(text, str) else None
    except ValueError:
        return None
