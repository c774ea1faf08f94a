"""An event as a terminal shows it: its time, its type, its key, and what changed, in one line.

What comes from the stream never reaches the terminal as anything but text.
"""

from __future__ import annotations

import json
import re

import click

from gateway.core.event import Json

LONGEST = 200  # characters of what changed; who wants all of it asks for --raw

_COLOURS = {
    "snapshot": "cyan", "created": "green", "updated": "yellow", "patch": "yellow", "merge": "yellow",
    "moved": "yellow", "deleted": "red", "gap": "red", "close": "red", "status": "magenta",
}  # fmt: skip
# Controls and marks of direction that JSON leaves as they are; inside its strings, where alone they can be, they may
# be written as escapes.
_UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def raw(event: dict[str, Json]) -> str:
    """The event as one line of JSON."""
    return _text(event)


def pretty(event: dict[str, Json], time: str) -> str:
    """The event in one line, with colours, which `click.echo` leaves out where no terminal is."""
    kind = str(event["type"])
    what = _what(kind, event.get("data"), reset=bool(event.get("reset")))
    short = what if len(what) <= LONGEST else what[: LONGEST - 1] + "…"
    name = "".join(char if char.isprintable() else "?" for char in (f"{kind:<8}" if short else kind))
    return " ".join(
        [click.style(time, dim=True), click.style(name, fg=_COLOURS.get(kind)), *([short] if short else [])]
    )


def _what(kind: str, data: Json, *, reset: bool) -> str:
    if kind == "snapshot":
        size = f"{len(data)} items, " if isinstance(data, list) else ""
        return f"{size}{len(_text(data))} bytes{', begun anew' if reset else ''}"
    if kind in ("patch", "merge"):
        operations = data if isinstance(data, list) else [data]
        return ", ".join(_operation(one) for one in operations)
    if isinstance(data, dict) and "key" in data:
        return f"{_text(data['key'])} {_item(data)}".rstrip()
    if isinstance(data, dict):
        return " ".join(f"{name}={_text(value)}" for name, value in data.items() if value is not None)
    return "" if data is None else _text(data)


def _operation(operation: Json) -> str:
    if not isinstance(operation, dict) or "op" not in operation:
        return _text(operation)
    value = f" {_text(operation['value'])}" if "value" in operation else ""
    return f"{operation['op']} {_text(operation.get('path'))}{value}"


def _item(data: dict[str, Json]) -> str:
    """What is worth saying of an item: the fields that changed, else all of it."""
    item, changed = data.get("item"), data.get("changed")
    place = f"after {_text(data['after'])}" if "after" in data else ""
    if isinstance(item, dict) and isinstance(changed, list):
        fields = " ".join(f"{name}={_text(item[name])}" if name in item else f"-{name}" for name in map(str, changed))
        return f"{_plain(fields)} {place}".rstrip()
    return f"{_text(item) if 'item' in data else ''} {place}".strip()


def _text(value: Json) -> str:
    return _plain(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _plain(text: str) -> str:
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", "".join(char if char >= " " else "?" for char in text))
