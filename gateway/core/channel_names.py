"""Which channels a session may name, decided by the patterns of its route.

A channel of a live route is named by its URL, the query included; its pattern is a path template, and queries
always fit, as they do in routes. A channel of messages is named by parts with dots between them; in its pattern
`${claims.sub}` stands for what is known of the client, and `.*` at the end for any further parts.

What comes from outside and goes into one name, of a URL or a webhook's delivery, is trusted to name nothing: it is
neither empty nor, unless the operator says so, more than one part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from gateway.core.event import Json
from gateway.core.route import Template, decode_path
from gateway.core.template import ROOTS, parse
from gateway.core.template import Template as Text
from gateway.errors import ClientError

# Names are kept, and go with each event: a UUID or two, or a mail address, and some words fit.
MAX_NAME = 200

_PLACE = re.compile(r"\$\{[^}]*\}")
_PARAM = re.compile(r"""\$\{params\."?([^}."]+)""")

Fits = Callable[[str], bool]


def allows(patterns: tuple[Template, ...]) -> Fits:
    """Whether one of the patterns fits the name of a live route's channel."""

    def fits(name: str) -> bool:
        try:
            path = decode_path(name.partition("?")[0].encode())
        except (ClientError, UnicodeEncodeError):  # dot segments, lone surrogates
            return False
        return any(pattern.fit(path) is not None for pattern in patterns)

    return fits


def is_message_name(name: str) -> bool:
    """Whether a channel of messages may be called so: no spaces, nothing unprintable, no empty part."""
    return len(name) <= MAX_NAME and name[:1] != "/" and name.isprintable() and " " not in name and all(name.split("."))


def message_name(
    text: str, roots: tuple[str, ...] = ROOTS, *, dotted: bool = False, example: str = "orders.${params.customer}"
) -> Text:
    """The name of a channel of messages, as text with places for what is in `roots`; raises ValueError.

    Renders None where a value is missing, empty, or holds a dot without being allowed to be `dotted`.
    """
    parse(text, roots)
    if not is_message_name(_PLACE.sub("x", text)) or "*" in text:
        raise ValueError(f"expected parts with dots between them, as in {example}")
    render = parse(text, roots, lambda value: value if value and (dotted or "." not in value) else None)

    def named(values: Mapping[str, object]) -> str | None:
        name = render(values)
        return name if name is not None and is_message_name(name) else None

    return named


def params_in(text: str) -> list[str]:
    """The parameters of a path that a text has places for."""
    return _PARAM.findall(text)


def message_pattern(text: str) -> Callable[[Mapping[str, Json]], Fits]:
    """Whether a pattern fits a name, given a client's claims; raises ValueError for what is no pattern."""
    open_end = text == "*" or text.endswith(".*")
    fixed = text[:-1] if open_end else text
    dots = _PLACE.sub("", fixed).count(".")
    render = parse(fixed, ("claims",)) if fixed else None
    if "*" in fixed:
        raise ValueError("* stands at the end alone, after a dot, as in chat.*")
    if "${" not in fixed and not is_message_name(fixed + "x" if open_end else fixed):
        raise ValueError("expected a path, or parts with dots between them, as in chat.* or orders.${claims.sub}")

    def of(claims: Mapping[str, Json]) -> Fits:
        start = render({"claims": claims}) if render is not None else ""
        if start is None or (open_end and start.count(".") != dots):
            return lambda name: False  # a dot in a claim would open the channels of others
        if open_end:
            return lambda name: name.startswith(start) and is_message_name(name)
        return lambda name: name == start and is_message_name(name)

    return of


def allows_messages(patterns: tuple[str, ...], claims: Mapping[str, Json]) -> Fits:
    """Whether one of the patterns fits the name of a channel of messages."""
    fits = [message_pattern(pattern)(claims) for pattern in patterns]
    return lambda name: any(fit(name) for fit in fits)
