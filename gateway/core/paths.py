"""Paths into JSON documents, as operators write them: what doesn't count when documents are compared, say.

`meta.seen_at` has dots between names, `/meta/seen_at` is a JSON Pointer (RFC 6901) for names with dots in them.
`*` is every member of an object and every element of an array; a number is an element of an array.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from gateway.core.event import Json

Path = tuple[str, ...]

EVERY = "*"


@lru_cache(maxsize=1024)
def parse_path(text: str) -> Path:
    """The steps of a path; raises ValueError when there are none, or one is empty."""
    if text.startswith("/"):
        steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])
    else:
        steps = tuple(text.split("."))
    if not all(steps):
        raise ValueError("expected a path such as seen_at, meta.seen_at, prices.*.at or /meta/seen_at")
    return steps


def without(value: Json, path: Path) -> Json:
    """The value without what is at `path`. It stays as it is: containers on the way are copied."""
    if isinstance(value, dict):
        return _without_members(value, path)
    if isinstance(value, list):
        return _without_elements(value, path)
    return value


def mapped(value: Json, path: Path, make: Callable[[Json], Json]) -> Json:
    """The value with another in place of what is at `path`. It stays as it is: what changes is copied."""
    if not path:
        return make(value)
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        if step == EVERY:
            return {name: mapped(member, rest, make) for name, member in value.items()}
        if step not in value:
            return value
        made = mapped(value[step], rest, make)
        return value if made is value[step] else {**value, step: made}
    if isinstance(value, list):
        if step == EVERY:
            return [mapped(element, rest, make) for element in value]
        if _is_index(step, value):
            copy = value.copy()
            copy[int(step)] = mapped(copy[int(step)], rest, make)
            return copy
    return value


def covers(path: Path, place: Path) -> bool:
    """Whether a place in a document is at `path`, or below it."""
    return len(place) >= len(path) and all(step in (EVERY, at) for step, at in zip(path, place, strict=False))


def _without_members(value: dict[str, Json], path: Path) -> Json:
    step, rest = path[0], path[1:]
    names = list(value) if step == EVERY else [step] if step in value else []
    if not names:
        return value
    copy = value.copy()
    for name in names:
        if rest:
            copy[name] = without(copy[name], rest)
        else:
            del copy[name]
    return copy


def _without_elements(value: list[Json], path: Path) -> Json:
    step, rest = path[0], path[1:]
    if step == EVERY:
        return [without(element, rest) for element in value] if rest else []
    if not _is_index(step, value):
        return value
    copy = value.copy()
    if rest:
        copy[int(step)] = without(copy[int(step)], rest)
    else:
        del copy[int(step)]
    return copy


def _is_index(step: str, value: list[Json]) -> bool:
    return step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(value)
