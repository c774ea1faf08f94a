"""What happened to the items of a keyed list: created, updated, deleted, and moved where the order counts.

An item is identified by the value of its key fields. When several items have one key, the last is the item of that
key, as in a map that a client makes of the list. The others, and items that have no key (or null, or are no objects),
are anonymous: they cannot be told of one by one.

Names of key fields may be paths into an item, with dots between (`meta.id`).

Where the order counts, events are to be applied one by one: `created` and `moved` put their item right after the one
that they name, and with the last of them the whole order is right.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from itertools import count
from typing import NamedTuple, cast

import msgspec

from gateway.core.align import align
from gateway.core.diff import diff, rebase, splice
from gateway.core.equal import encode_into, same_but
from gateway.core.event import ItemChange, Json
from gateway.core.patch import tokens
from gateway.core.paths import covers, parse_path
from gateway.core.settings import Items

_encode = msgspec.json.Encoder(order="sorted").encode
_ABSENT = object()

Identified = Mapping[Hashable, Json]


class Anonymous(NamedTuple):
    """Stands for the identity of an item without a key of its own; counted from the end of the list."""

    number: int


class Comparison(NamedTuple):
    """What happened to a list.

    `merged` is the new list as it is to be kept: items of which nothing but ignored fields changed are still the
    old ones. `patches` has the operations of each updated item. `anonymous` tells that there are changes that no
    event tells of; then there are no events and no patches at all.
    """

    merged: Identified
    patches: Mapping[Hashable, list[Json]]
    changes: tuple[ItemChange, ...]
    anonymous: bool


def identify(items: list[Json], key: tuple[str, ...]) -> Identified:
    """The items by identity, in the order of the list."""
    if len(key) == 1 and "." not in key[0]:
        by_key = _identify_plainly(items, key[0])
        if by_key is not None:
            return by_key
    numbers = count()
    backwards: dict[Hashable, Json] = {}
    for item in reversed(items):
        identity = _identity(item, key)
        if identity is None or identity in backwards:
            identity = Anonymous(next(numbers))
        backwards[identity] = item
    return dict(reversed(backwards.items()))


def irregular(identified: Identified) -> int:
    """How many items have no key, or one that a later item has as well."""
    return list(map(type, identified)).count(Anonymous)


def compare(old: Identified, new: Identified, items: Items) -> Comparison | None:
    """What happened between two lists; None when nothing did that counts, their order included where it does."""
    changed, merged = _changed(old, new, items.ignore)
    if items.order is False:
        merged = {identity: merged[identity] for identity in (*_common(old, merged), *merged)}
    deleted = [identity for identity in old if identity not in new]
    if not changed and not deleted and list(old) == list(merged):
        return None
    placed = _placed(old, merged) if items.order else {}
    if _untold(old, merged, (*changed, *deleted), placed):
        return Comparison(merged, {}, (), True)
    changes = [ItemChange("deleted", {"key": key_of(old[identity], items.key)}) for identity in deleted]
    patches: dict[Hashable, list[Json]] = {}
    touched = changed | placed.keys()
    for identity in [identity for identity in merged if identity in touched]:
        item = merged[identity]
        data: dict[str, Json] = {"key": key_of(item, items.key)}
        where = _where(merged, placed[identity], items.key) if identity in placed else {}
        if identity not in old:
            changes.append(ItemChange("created", {**data, "item": item, **where}))
            continue
        if where:
            changes.append(ItemChange("moved", {**data, **where}))
        if identity in changed:
            patches[identity] = operations = diff(old[identity], item)
            names = _changed_names(operations, items.ignore)
            changes.append(ItemChange("updated", {**data, "item": item, "changed": names, "patch": operations}))
    return Comparison(merged, patches, tuple(changes), False)


def patch(old: Identified, comparison: Comparison) -> list[Json]:
    """Operations that make the list of `old` the merged one, aligned by identity."""
    before, after = list(old), list(comparison.merged)
    operations: list[Json] = []
    if before == after:  # most changes are updates: no pairs need to be made
        for place, identity in enumerate(before):
            if identity in comparison.patches:
                operations += rebase(comparison.patches[identity], f"/{place}")
        return operations
    pairs = align(before, after)
    for place, _ in pairs:
        if before[place] in comparison.patches:
            operations += rebase(comparison.patches[before[place]], f"/{place}")
    return operations + splice(pairs, len(before), list(comparison.merged.values()), "")


def key_of(item: Json, key: tuple[str, ...]) -> Json:
    """The key as clients read it: the field's value, or the list of values when there are several fields."""
    values = [cast("Json", _dig(item, _path(name))) for name in key]
    return values[0] if len(values) == 1 else values


def _identify_plainly(items: list[Json], name: str) -> dict[Hashable, Json] | None:
    """The common case at the speed of a comprehension: every item has a key of its own, text or integer."""
    try:
        identities = [item[name] for item in cast("list[dict[str, Hashable]]", items)]
    except (KeyError, TypeError):
        return None
    if not set(map(type, identities)) <= {str, int}:
        return None
    by_key = dict(zip(identities, items, strict=True))
    return by_key if len(by_key) == len(items) else None


def _identity(item: Json, key: tuple[str, ...]) -> Hashable:
    values = [_dig(item, _path(name)) for name in key]
    if any(value is _ABSENT or value is None for value in values):
        return None
    try:
        parts = tuple(value if type(value) in (str, int) else _encode(value) for value in values)
    except (RecursionError, UnicodeEncodeError):
        return None
    return parts[0] if len(parts) == 1 else parts


def _changed(old: Identified, new: Identified, ignore: tuple[str, ...]) -> tuple[set[Hashable], Identified]:
    """Which items are new or changed, and the new list with the old items where nothing changed that counts."""
    changed, merged = set[Hashable](), dict(new)
    for identity in _suspects(old, new):
        if identity in old and same_but(old[identity], new[identity], ignore):
            merged[identity] = old[identity]
        else:
            changed.add(identity)
    return changed, merged


def _common(old: Identified, new: Identified) -> list[Hashable]:
    return [identity for identity in old if identity in new]


def _suspects(old: Identified, new: Identified) -> list[Hashable]:
    """The identities of items that are new, or whose bytes are not what they were."""
    before, after = bytearray(), bytearray()  # two buffers for all: making bytes of every item costs a fifth more
    suspects: list[Hashable] = []
    try:
        for identity, item in new.items():
            if identity in old:
                encode_into(old[identity], before)
                encode_into(item, after)
                if before == after:
                    continue
            suspects.append(identity)
    except (RecursionError, OverflowError, UnicodeEncodeError):
        return list(new)
    return suspects


def _placed(old: Identified, new: Identified) -> dict[Hashable, Hashable]:
    """The items that clients have to put in their place, from the list's start on, and what each comes after."""
    after = list(new)
    stay = {place for _, place in align(_common(old, new), after)}
    return {identity: after[place - 1] if place else None for place, identity in enumerate(after) if place not in stay}


def _untold(
    old: Identified, new: Identified, touched: tuple[Hashable, ...], placed: Mapping[Hashable, Hashable]
) -> bool:
    """Whether events could not tell of it, or not in fewer words than the whole list."""
    if any(type(identity) is Anonymous for identity in (*touched, *placed, *placed.values())):
        return True
    moved = sum(identity in old for identity in placed)
    return moved > 1 and moved > len(new) / 2


def _where(items: Identified, before: Hashable, key: tuple[str, ...]) -> dict[str, Json]:
    """Where a client puts an item: after the one with this key, or first."""
    return {"after": None if before is None else key_of(items[before], key)}


def _changed_names(operations: list[Json], ignore: tuple[str, ...]) -> list[Json]:
    """The fields of an item that changed, in so far as it counts; each once, in the order of the patch."""
    paths = [parse_path(path) for path in ignore]
    names: dict[str, None] = {}
    for operation in operations:
        assert isinstance(operation, dict)
        place = tuple(tokens(str(operation["path"])))
        if not any(covers(path, place) for path in paths):
            names[place[0]] = None
    return list(names)


def _dig(value: Json, path: tuple[str, ...]) -> object:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


@lru_cache(maxsize=1024)
def _path(name: str) -> tuple[str, ...]:
    return tuple(name.split("."))
