"""JSON Merge Patch (RFC 7396), made from the operations of a JSON Patch that lead to the same document.

What it can say is less: a member whose value is null means its removal, and an array is replaced whole. So there is
no merge patch where the document is no object, or where a null would have to be set; a change in an array carries
the whole array.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.diff import MAX_DEPTH
from gateway.core.event import Json
from gateway.core.patch import tokens


def merge_patch(operations: Sequence[Json], document: Json) -> dict[str, Json] | None:
    """The merge patch to `document` from the one that `operations` lead from; None where there is none.

    The operations are those of `gateway.core.diff`: what they replace is never an object by an object, but at the
    depth where it stops.
    """
    if not isinstance(document, dict):
        return None
    patch: dict[str, Json] = {}
    for operation in operations:
        assert isinstance(operation, dict)
        path = tokens(str(operation["path"]))
        if not path or len(path) >= MAX_DEPTH or not _merge(patch, document, path, removes=operation["op"] == "remove"):
            return None
    return patch


def apply_merge(document: Json, patch: Json) -> Json:
    """The document after a merge patch, as clients make it (RFC 7396 section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_merge(result.get(name), value)
    return result


def _merge(patch: dict[str, Json], document: dict[str, Json], path: list[str], *, removes: bool) -> bool:
    """Write what became of the place at `path` into the merge patch; false when it can't be said."""
    node, here = document, patch
    for name in path[:-1]:
        child = node[name]
        if not isinstance(child, dict):
            here[name] = child  # an array: whatever changed in it, it is told whole
            return True
        inner = here.setdefault(name, {})
        assert isinstance(inner, dict)
        node, here = child, inner
    name = path[-1]
    here[name] = None if removes else node[name]
    return removes or _sayable(node[name])


def _sayable(value: Json) -> bool:
    """Whether a value can be set by a merge patch: no null, but inside arrays, which are taken as they are."""
    values = [value]
    while values:
        value = values.pop()
        if value is None:
            return False
        if isinstance(value, dict):
            values.extend(value.values())
    return True
