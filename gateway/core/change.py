"""What a channel publishes when its resource went from one state to another.

Nothing, when nothing changed that counts; else the new state with the operations and item events that lead to it.
What is kept as the state may lag behind the resource in two points: fields that the route ignores are as they were
when something else last changed, and absent items stay until their deletion is believed. What is compared and
kept is the route's normal form of it. So states, patches and item events always agree.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gateway.core import keyed
from gateway.core.deletes import NONE, Absences, Scope, settle
from gateway.core.diff import diff
from gateway.core.equal import same_but
from gateway.core.event import Change, Json
from gateway.core.merge import merge_patch
from gateway.core.normal import normalised
from gateway.core.settings import Items, LiveSettings, Normal
from gateway.core.tombstones import part, without

# A patch that costs more of a snapshot's bytes than this isn't worth its client's work, nor the log's memory.
PATCH_SHARE = 0.6

# So many elements of a long list tell well enough how big the others are.
_SAMPLE = 64

_AS_IT_CAME = Normal()

_encode = msgspec.json.Encoder().encode


class Step(NamedTuple):
    """What an answer leads to: a change or none, and what to remember for the next answer.

    `irregular` counts items without a key of their own, `doubt` says why the answer was not believed.
    """

    change: Change | None
    absences: Absences = NONE
    irregular: int = 0
    doubt: str = ""


def first_state(new: Json, live: LiveSettings) -> Step:
    """The state that a channel begins with. Raises ValueError when there should be items and `new` is not a list."""
    items = live.items
    if items is None:
        return Step(Change(document=normalised(new, live.normal)))
    listed, _ = part(_listed(new, items), items)
    return Step(Change(document=listed), irregular=keyed.irregular(keyed.identify(listed, items.key)))


def change_between(
    old: Json, new: Json, live: LiveSettings, absences: Absences = NONE, *, scope: Scope = "whole"
) -> Step:
    """The step from `old` to `new`, both after selection.

    What is absent from an answer that is not `whole` was not deleted. Raises ValueError when there should be
    items and `new` is not a list.
    """
    if live.items is None:
        return Step(_document_change(old, normalised(new, live.normal), live))
    listed = _listed(new, live.items)
    if not isinstance(old, list):
        return first_state(new, live)
    return _list_change(old, listed, live.items, absences, scope)


def net_change(old: Json, new: Json, live: LiveSettings) -> Change | None:
    """The one change between two states of a channel, both of them believed: what several steps come to."""
    if live.items is None:
        return _document_change(old, new, live)
    if not isinstance(old, list) or not isinstance(new, list):
        return Change(document=new)
    before = keyed.identify(old, live.items.key)
    comparison = keyed.compare(before, keyed.identify(new, live.items.key), live.items)
    return None if comparison is None else _told(before, comparison)


def _listed(new: Json, items: Items) -> list[Json]:
    if not isinstance(new, list):
        raise ValueError(f"there is no list at {items.at!r}" if items.at else "the answer is not a list")
    return new if items.normal == _AS_IT_CAME else [normalised(item, items.normal) for item in new]


def _document_change(old: Json, new: Json, live: LiveSettings) -> Change | None:
    if live.ignore and same_but(old, new, live.ignore):
        return None
    operations = diff(old, new)
    if not operations:
        return None
    most = PATCH_SHARE * _size(new)
    merge = merge_patch(operations, new) if "merge" in live.modes else None
    return Change(
        document=new,
        patch=operations if len(_encode(operations)) <= most else None,
        merge=merge if merge is not None and len(_encode(merge)) <= most else None,
    )


def _list_change(old: list[Json], new: list[Json], items: Items, absences: Absences, scope: Scope) -> Step:
    before = keyed.identify(old, items.key)
    listed, gone = part(new, items)
    after = keyed.identify(listed, items.key)
    settled = settle(without(before, gone), after, items, absences.but(gone), scope)
    irregular = keyed.irregular(after)
    comparison = keyed.compare(before, settled.items, items)
    change = None if comparison is None else _told(before, comparison)
    return Step(change, settled.absences, irregular, settled.doubt)


def _told(before: keyed.Identified, comparison: keyed.Comparison) -> Change:
    document = list(comparison.merged.values())
    if comparison.anonymous:  # no event can tell of it, so everyone gets the state
        return Change(document=document)
    operations = keyed.patch(before, comparison)
    patch = operations if len(_encode(operations)) <= PATCH_SHARE * _size(document) else None
    return Change(document=document, patch=patch, items=comparison.changes)


def _size(document: Json) -> float:
    """About how many bytes of JSON it is: of a long list, a sample is weighed."""
    if not isinstance(document, list) or len(document) <= 2 * _SAMPLE:
        return len(_encode(document))
    sample = document[:: len(document) // _SAMPLE]
    return len(_encode(sample)) * len(document) / len(sample)
