"""Webhooks as ASGI: a sender's delivery, from its first byte to the messages and looks that come of it.

    read (bounded) ─► verify the raw bytes ─► parse ─► handshake? ─► known already? ─► publish, look ─► 200

A delivery is answered once all is done, which takes no longer than to hand it on: what is followed is told in the same
turn of the loop, and looks at backends only begin. What the route could not make out of a delivery is counted and
logged, and answered as done: sending it again would change nothing. Nothing is ever answered with a redirect or 410,
which make senders give up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from gateway.core import form
from gateway.core.asgi import Receive, Scope, Send
from gateway.core.challenge import answered, echo
from gateway.core.crowd import address_of
from gateway.core.delivery import Mapper, Meaning, Values, id_text, values_of
from gateway.core.event import Json
from gateway.core.http import header
from gateway.core.recent import Recent
from gateway.core.settings import Route, WebhookSettings
from gateway.core.stats import RouteStats, Stats
from gateway.core.template import Template
from gateway.errors import ClientError
from gateway.live.app import Parts
from gateway.live.bodies import Bodies, Gone, check_plain, is_json, media_type
from gateway.live.messages import Messages
from gateway.live.rates import Rates
from gateway.live.reply import Whole, as_json, as_problem, reply
from gateway.plugin import Delivery, Handshaking, Signature

_log = logging.getLogger("tidegate.webhook")

# Ids that are remembered, for each route: at one delivery a second, those of three hours. Some 2 MB.
IDS = 10_000
# Larger bodies are verified and parsed beside the loop: this takes about a millisecond.
LARGE = 256 * 1024


@dataclass(slots=True)
class _Receiver:
    """One route that takes deliveries. `seen` are hashes of the ids of those that are done, `busy` of the others."""

    name: str
    settings: WebhookSettings
    signature: Signature | None
    asked: Handshaking | None
    mapper: Mapper
    id: Template | None
    stats: RouteStats
    seen: Recent[bytes, bool]
    busy: set[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What deliveries may do.

    `look` has the followed channels at a path looked at, and says how many there are; None where no live route is.
    """

    messages: Messages
    look: Callable[[bytes], int | None]
    decode: Callable[[bytes], Json]


class Webhooks:
    """Serves the webhook routes; `signatures` are those of the routes that verify, by the route's name."""

    def __init__(
        self, parts: Parts, routes: Iterable[Route], signatures: Mapping[str, Signature], reach: Reach
    ) -> None:
        self._parts = parts
        self._reach = reach
        self._bodies = Bodies()
        self._rates = Rates(parts.limits.messages_per_second, "deliveries", parts.clock)
        self._receivers: dict[str, _Receiver] = {}
        self.renew(routes, signatures)

    def __repr__(self) -> str:
        return f"<Webhooks routes={len(self._receivers)} {self._bodies!r}>"

    def renew(
        self, routes: Iterable[Route], signatures: Mapping[str, Signature], unchanged: Collection[str] = ()
    ) -> None:
        """Take deliveries for these routes, some of which are `unchanged`.

        What a route has taken it remembers as long as it tells deliveries apart in the same way.
        """
        before, stats = self._receivers, self._parts.stats
        self._receivers = {
            route.name: before[route.name]
            if route.name in unchanged
            else _receiver(route, route.webhook, signatures.get(route.name), stats, before.get(route.name))
            for route in routes
            if route.webhook is not None
        }

    async def serve(self, scope: Scope, receive: Receive, send: Send, route: Route) -> None:
        """One request to a webhook route, from its first byte to its last."""
        if scope["type"] == "websocket":
            error = ClientError(404, "not_live", "this URL takes webhooks, it cannot be opened as a WebSocket")
            await self._parts.refuse(scope, send, error)
            return
        receiver = self._receivers[route.name]
        began = self._parts.clock.monotonic()
        receiver.stats.in_flight += 1
        try:
            result, whole = await self._taken(scope, receive, receiver)
            await reply(self._parts, scope, send, receiver.name, began, whole)
        except ClientError as error:
            result = error.code
            self._parts.stats.refused[result] += 1
            await reply(self._parts, scope, send, receiver.name, began, as_problem(error))
        except Gone:
            result = "gone"
        finally:
            receiver.stats.in_flight -= 1
        receiver.stats.webhook.deliveries[result] += 1
        _log.debug("webhook %s: %s", receiver.name, result)

    async def _taken(self, scope: Scope, receive: Receive, receiver: _Receiver) -> tuple[str, Whole]:
        """What has become of a delivery, in a word, and what to answer."""
        address = address_of(scope)
        self._rates.check(address)
        settings = receiver.settings
        if settings.challenge is not None and _may_ask(scope):
            text = echo(settings.challenge, scope["query_string"])
            if text is not None:
                return "handshake", (200, *answered(settings.challenge, text))
        _check_head(scope, receiver)
        body = await self._bodies.collect(receive, address, most=settings.max_body, timeout=settings.timeout)
        delivery = Delivery(method=scope["method"], target=_target(scope), headers=tuple(scope["headers"]), body=body)
        if len(body) > LARGE:
            secret, document = await asyncio.to_thread(self._read, receiver, delivery)
        else:
            secret, document = self._read(receiver, delivery)
        if secret is not None:
            receiver.stats.webhook.secrets[str(secret + 1)] += 1
        asked = receiver.asked
        answer = asked.handshake(document) if asked is not None else None
        if answer is not None:
            return "handshake", as_json(200, answer)
        result = await self._once(receiver, values_of(document, delivery.headers))
        return result, as_json(200, {"result": result})

    def _read(self, receiver: _Receiver, delivery: Delivery) -> tuple[int | None, Json]:
        """Which secret a delivery is made with, and what it holds; raises ClientError."""
        secret = None
        if receiver.signature is not None:
            try:
                secret = receiver.signature.verify(delivery)
            except ClientError as error:
                if error.status == 401 and not error.headers:
                    error.with_headers((b"www-authenticate", b"Webhook"))
                raise
            except Exception:
                _log.exception("the signature scheme of route %s failed; the delivery is refused", receiver.name)
                raise ClientError(500, "internal", "internal error") from None
        return secret, self._document(delivery)

    def _document(self, delivery: Delivery) -> Json:
        if media_type(delivery.headers) == form.TYPE:
            try:
                return form.form(delivery.body, self._reach.decode)
            except ValueError:
                raise ClientError(400, "bad_form", "the body is not a form, or its payload is not JSON") from None
        try:
            return self._reach.decode(delivery.body)
        except ValueError:
            raise ClientError(400, "bad_json", "the body is not JSON") from None

    async def _once(self, receiver: _Receiver, values: Values) -> str:
        """Do what a delivery means, unless that is done: then it is answered as the first was."""
        dedupe, id_ = receiver.settings.dedupe, receiver.id(values) if receiver.id is not None else None
        if dedupe is None or id_ is None:  # those without an id are never taken for one another
            return await self._done(receiver, values)
        key = sha256(id_.encode("utf-8", "surrogatepass")).digest()
        now = self._parts.clock.monotonic()
        if receiver.seen.get(key, now):
            return "duplicate"
        if key in receiver.busy:
            error = ClientError(503, "busy", "this delivery is being worked on; try again later")
            raise error.with_headers((b"retry-after", b"1"))
        receiver.busy.add(key)
        try:
            result = await self._done(receiver, values)
            receiver.seen.put(key, True, now + dedupe.ttl)  # not what failed: that may be sent again
        finally:
            receiver.busy.discard(key)
        return result

    async def _done(self, receiver: _Receiver, values: Values) -> str:
        meaning = receiver.mapper.meaning(values)
        for path in meaning.paths:
            if self._reach.look(path) is None:
                meaning.faults.append(("refresh", "no live route is at the path that came of it"))
        for channel, data in meaning.messages:
            try:
                await self._reach.messages.publish(channel, data)
            except ClientError as error:
                # the gateway is full, which is not the sender's fault
                again = ClientError(503, error.code, "there is no room for what this would publish; try again later")
                raise again.with_headers((b"retry-after", b"30")) from None
        _tell_faults(receiver, meaning)
        return "accepted" if meaning.wanted else "ignored"


def _receiver(
    route: Route, settings: WebhookSettings, signature: Signature | None, stats: Stats, before: _Receiver | None
) -> _Receiver:
    same = before is not None and before.settings.dedupe == settings.dedupe
    return _Receiver(
        name=route.name,
        settings=settings,
        signature=signature,
        asked=signature if isinstance(signature, Handshaking) else None,  # found out once: it costs as much as an HMAC
        mapper=Mapper(settings),
        id=id_text(settings.dedupe.id) if settings.dedupe is not None else None,
        stats=stats.routes[route.name],
        seen=before.seen if before is not None and same else Recent(IDS),
        busy=before.busy if before is not None and same else set(),
    )


def _may_ask(scope: Scope) -> bool:
    """Whether the request may be a question: a GET, or a POST of nothing, as of Microsoft Graph."""
    headers = scope["headers"]
    empty = header(headers, b"content-length") in (None, b"0") and header(headers, b"transfer-encoding") is None
    return scope["method"] == "GET" or (scope["method"] == "POST" and empty)


def _check_head(scope: Scope, receiver: _Receiver) -> None:
    """What can be told before the body is read."""
    settings = receiver.settings
    if scope["method"] != "POST":
        error = ClientError(405, "method_not_allowed", "webhooks are sent with POST")
        raise error.with_headers((b"allow", b"GET, POST" if settings.challenge is not None else b"POST"))
    kind = media_type(scope["headers"])
    # any page can have a browser send a form anywhere, so they are for senders that sign
    form_fits = kind == form.TYPE and receiver.signature is not None
    if not is_json(kind) and not form_fits:
        raise ClientError(415, "bad_type", "deliveries here are JSON: have the sender use application/json")
    check_plain(scope["headers"], settings.max_body)


def _target(scope: Scope) -> bytes:
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path


def _tell_faults(receiver: _Receiver, meaning: Meaning) -> None:
    """Count them; the first of a kind is logged for all to see, in the route's own words alone."""
    for fault, text in meaning.faults:
        counted = receiver.stats.webhook.faults
        level = logging.DEBUG if counted[fault] else logging.WARNING
        counted[fault] += 1
        _log.log(level, "webhook %s: nothing fit for %s in a delivery: %s", receiver.name, fault, text)
