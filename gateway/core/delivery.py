"""What a webhook's delivery means: which messages to publish, and which URLs to look at again.

    {"body": ..., "header": {...}}  ──►  messages for channels, paths that may have changed, what could not be made out

What a sender puts in is not trusted to name anything: a value in a channel's name is neither empty nor, unless the
operator says so, more than one part of it; a value in a path is one segment, encoded. What names nothing is told as a
fault, and is never a channel called `orders.`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import quote

from gateway.core.asgi import Header
from gateway.core.channel_names import message_name
from gateway.core.event import Json
from gateway.core.expression import Expression, compile_expression
from gateway.core.route import Template as PathTemplate
from gateway.core.route import parse_template
from gateway.core.settings import Publication, WebhookSettings
from gateway.core.template import Template, parse

ROOTS = ("body", "header")

Fault = Literal["when", "channel", "type", "data", "refresh"]
"""What of a route could not be made out of a delivery."""

# What becomes of deliveries, in the words of metrics; schemes of others may have further reasons to refuse one.
RESULTS = (
    "accepted", "ignored", "duplicate", "handshake",
    "unsigned", "bad_signature", "stale", "bad_challenge",
    "method_not_allowed", "bad_type", "bad_json", "bad_form", "too_large", "too_slow",
    "rate", "too_much", "busy", "too_many_channels", "too_many_messages", "gone", "internal",
)  # fmt: skip

_PLACE = re.compile(r"\$\{[^{}]*\}")


@dataclass(slots=True)
class Meaning:
    """What is to be done; `faults` are the route's own texts, by what they are of. Not `wanted`: `when` says no."""

    wanted: bool = True
    messages: list[tuple[str, Json]] = field(default_factory=list)
    paths: list[bytes] = field(default_factory=list)
    faults: list[tuple[Fault, str]] = field(default_factory=list)


Values = Mapping[str, Json]


def values_of(body: Json, headers: tuple[Header, ...]) -> Values:
    """What templates and expressions see: the body, and the headers by their names in lower case, the first of each."""
    named: dict[str, Json] = {}
    for name, value in headers:
        named.setdefault(name.lower().decode("latin-1"), value.decode("latin-1"))
    return {"body": body, "header": named}


def delivery_text(text: str) -> Template:
    """Text with places for what is in a delivery; raises ValueError."""
    return parse(_lower_headers(text), ROOTS)


def channel_name(text: str, *, dotted: bool = False) -> Template:
    """The name of a channel of messages, as text with places; raises ValueError."""
    return message_name(_lower_headers(text), ROOTS, dotted=dotted, example="orders.${body.customer}")


def path_text(text: str) -> Template:
    """A path with places, each for one segment or a part of one; raises ValueError."""
    path_shape(text)
    return parse(_lower_headers(text), ROOTS, _segment)


def _segment(value: str) -> str | None:
    try:
        return quote(value, safe="") or None
    except UnicodeEncodeError:  # half a surrogate pair
        return None


def path_shape(text: str) -> PathTemplate:
    """The paths that it can become, as routes write them; raises ValueError."""
    parse(_lower_headers(text), ROOTS)
    plain = _PLACE.sub("\0", text)
    if "{" in plain or "*" in plain:
        raise ValueError("expected one path, with values as in /api/orders/${body.id}")
    return parse_template("/".join("*" if "\0" in part else part for part in plain.split("/")))


def id_text(text: str) -> Template:
    """What tells deliveries apart, as text with places; raises ValueError."""
    render = parse(_lower_headers(text), ROOTS, lambda value: value or None)
    if not _PLACE.search(text):
        raise ValueError("expected what differs from delivery to delivery, as in ${header.X-GitHub-Delivery}")
    return render


def _lower_headers(text: str) -> str:
    """Names of headers have no case (RFC 9110 section 5.1)."""
    return _PLACE.sub(lambda place: place[0].lower() if place[0].startswith("${header.") else place[0], text)


class Mapper:
    """The meaning of one route's deliveries, compiled."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._when = _condition(settings.when)
        self._publish = [_Published(one) for one in settings.publish]
        self._refresh = [(text, path_text(text)) for text in settings.refresh]

    def meaning(self, values: Values) -> Meaning:
        found = Meaning()
        if not _holds(self._when, values, found):
            found.wanted = False
            return found
        for published in self._publish:
            published.add(values, found)
        for text, render in self._refresh:
            path = render(values)
            if path is None:
                found.faults.append(("refresh", text))
            elif path.encode() not in found.paths:
                found.paths.append(path.encode())
        return found


_Condition = tuple[str, Expression]


def _condition(text: str | None) -> _Condition | None:
    return None if text is None else (text, compile_expression(text))


def _holds(condition: _Condition | None, values: Values, found: Meaning) -> bool:
    """Whether it is so: anything but false, null and what is empty, as in JMESPath's own filters."""
    if condition is None:
        return True
    text, applies = condition
    try:
        value = applies(cast("Json", values))
    except ValueError:
        found.faults.append(("when", text))
        return False
    return not (value is None or value is False or value in ("", [], {}))


class _Published:
    """One entry of `publish`."""

    def __init__(self, settings: Publication) -> None:
        self._settings = settings
        self._when = _condition(settings.when)
        self._channel = channel_name(settings.channel, dotted=settings.dotted)
        self._type = delivery_text(settings.type) if settings.type is not None else None
        self._data = compile_expression(settings.data)

    def add(self, values: Values, found: Meaning) -> None:
        if not _holds(self._when, values, found):
            return
        settings, faults = self._settings, found.faults
        channel = self._channel(values)
        if channel is None:
            faults.append(("channel", settings.channel))
            return
        data = _applied(self._data, values)
        if data is None:
            faults.append(("data", settings.data))
            return
        if self._type is not None:
            type_ = self._type(values)
            if type_ is None:
                faults.append(("type", settings.type or ""))
                return
            data = {"type": type_, "data": data}
        found.messages.append((channel, data))


def _applied(expression: Callable[[Json], Json], values: Values) -> Json:
    try:
        return expression(cast("Json", values))
    except ValueError:
        return None
