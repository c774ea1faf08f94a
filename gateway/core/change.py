"""What a channel publishes when its resource went from one state to another.

Nothing, when nothing changed that counts; else the new state with the operations and item events that lead to it.
What is kept as the state may lag behind the resource in one point: fields that the route ignores are as they
were when their item last changed. So states, patches and item events always agree.
"""

from __future__ import annotations

import msgspec

from gateway.core import keyed
from gateway.core.diff import diff
from gateway.core.event import Change, Json
from gateway.core.settings import Items

# A patch that costs more of a snapshot's bytes than this isn't worth its client's work, nor the log's memory.
PATCH_SHARE = 0.6

# So many elements of a long list tell well enough how big the others are.
_SAMPLE = 64

_encode = msgspec.json.Encoder().encode


def change_between(old: Json, new: Json, items: Items | None, *, first: bool = False) -> Change | None:
    """The change from `old` to `new`, both after selection; None when nothing changed that counts.

    `first`: there is no state before, `old` means nothing. Raises ValueError when there should be items
    and `new` is not a list.
    """
    if items is None:
        return Change(document=new) if first else _document_change(old, new)
    if not isinstance(new, list):
        raise ValueError(f"there is no list at {items.at!r}" if items.at else "the answer is not a list")
    if first or not isinstance(old, list):
        return Change(document=new)
    return _list_change(old, new, items)


def _document_change(old: Json, new: Json) -> Change | None:
    patch = diff(old, new)
    return Change(document=new, patch=_worthwhile(patch, new)) if patch else None


def _list_change(old: list[Json], new: list[Json], items: Items) -> Change | None:
    before = keyed.identify(old, items.key)
    comparison = keyed.compare(before, keyed.identify(new, items.key), items)
    if comparison is None:
        return None
    document = list(comparison.merged.values())
    if comparison.anonymous:
        return Change(document=document)  # no event can tell of it, so everyone gets the state
    patch = keyed.patch(before, comparison)
    return Change(document=document, patch=_worthwhile(patch, document), items=comparison.changes)


def _worthwhile(patch: list[Json], document: Json) -> list[Json] | None:
    return patch if len(_encode(patch)) <= PATCH_SHARE * _size(document) else None


def _size(document: Json) -> float:
    """About how many bytes of JSON it is: of a long list, a sample is weighed."""
    if not isinstance(document, list) or len(document) <= 2 * _SAMPLE:
        return len(_encode(document))
    sample = document[:: len(document) // _SAMPLE]
    return len(_encode(sample)) * len(document) / len(sample)
