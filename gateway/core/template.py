"""Text with places for what is known of a client: `user-${claims.sub}`, `${params.id}`.

A place names one value by its path; parts that are no plain words stand in quotes, as in
`${claims."https://example.com/tenant"}`. Compiled once to a function, and rendered without parsing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

Values = Mapping[str, object]
"""What may be named: `claims`, `params`, each by its own names; of a webhook's delivery its `body` and `header`."""

Template = Callable[[Values], "str | None"]
"""Renders the text; None where a value that it names is missing or null, or there is nothing in it at all."""

ROOTS = ("claims", "params")

_PLACE = re.compile(r"\$\{([^{}]*)(\}?)")
_PART = re.compile(r'\.(?:([A-Za-z_][A-Za-z0-9_-]*)|"([^"\\]+)")', re.ASCII)
_ROOT = re.compile(r"[a-z]+", re.ASCII)


def parse(
    text: str, roots: tuple[str, ...] = ROOTS, fit: Callable[[str], str | None] = lambda value: value
) -> Template:
    """Compile a text; raises ValueError for a place that names nothing.

    `fit` makes of each place's value what may stand in the text, or None where it may not.
    """
    pieces: list[str | Callable[[Values], str | None]] = []
    end = 0
    for place in _PLACE.finditer(text):
        if not place[2]:
            raise ValueError("${ without its }")
        pieces += [text[end : place.start()], _place(place[1], roots, fit)]
        end = place.end()
    pieces.append(text[end:])
    return _joined([piece for piece in pieces if piece != ""])


def _joined(pieces: list[str | Callable[[Values], str | None]]) -> Template:
    def render(values: Values) -> str | None:
        rendered: list[str] = []
        for piece in pieces:
            part = piece if isinstance(piece, str) else piece(values)
            if part is None:
                return None
            rendered.append(part)
        return "".join(rendered) or None

    return render


def _place(inside: str, roots: tuple[str, ...], fit: Callable[[str], str | None]) -> Callable[[Values], str | None]:
    root = _ROOT.match(inside)
    names: list[str] = []
    end = root.end() if root else 0
    while part := _PART.match(inside, end):
        names.append(part[1] or part[2])
        end = part.end()
    if root is None or root[0] not in roots or not names or end != len(inside):
        choice = " or ".join(f"${{{name}.NAME}}" for name in roots)
        raise ValueError(f"${{{inside}}}: expected {choice}; a name that is no plain word stands in quotes")
    return _look_up(root[0], names, fit)


def _look_up(root: str, names: list[str], fit: Callable[[str], str | None]) -> Callable[[Values], str | None]:
    def look_up(values: Values) -> str | None:
        value: object = values.get(root)
        for name in names:
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        text = _text(value)
        return None if text is None else fit(text)

    return look_up


def _text(value: object) -> str | None:
    """Text as it is, everything else as JSON: a list with a comma in a name can't be taken for a longer list."""
    if value is None or isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def header_value(text: str) -> bytes:
    """A header's value; raises ValueError for text that would end the header, or be read as another text."""
    if text != text.strip() or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text):
        raise ValueError("this text cannot be a header's value")
    return text.encode()
