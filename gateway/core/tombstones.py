"""Items of a list that are none: they say that the item of their key was deleted.

Such a sign is believed at once, for it is no absence: nothing that goes wrong in a backend makes one up.
"""

from __future__ import annotations

from collections.abc import Hashable, Set

from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from gateway.core.event import Json
from gateway.core.keyed import Anonymous, Identified, identify
from gateway.core.select import compiled
from gateway.core.settings import Items

_NOBODY: frozenset[Hashable] = frozenset()


def part(listed: list[Json], items: Items) -> tuple[list[Json], Set[Hashable]]:
    """The items themselves, and the identities of those that are deleted.

    Where a list holds both an item and its tombstone, or two of either, the last one counts.
    """
    if items.deleted is None:
        return listed, _NOBODY
    deleted = compiled(items.deleted)
    identified = identify(listed, items.key)
    gone = {identity for identity, item in identified.items() if _holds(deleted, item)}
    if not gone:
        return listed, _NOBODY
    return list(without(identified, gone).values()), {key for key in gone if type(key) is not Anonymous}


def without(identified: Identified, gone: Set[Hashable]) -> Identified:
    """The items but those."""
    if not gone:
        return identified
    return {identity: item for identity, item in identified.items() if identity not in gone}


def _holds(expression: ParsedResult, item: Json) -> bool:
    """Whether it is true: anything but null, false, 0 and what is empty, as soft deletes are written in many ways."""
    try:
        return bool(expression.search(item))
    except (JMESPathError, RecursionError, TypeError, OverflowError, ValueError):
        return False
