"""What changed between two JSON documents, as JSON Patch (RFC 6902): only add, remove and replace.

Objects are compared member by member, arrays by what stayed in them: an insertion is one `add`, wherever it is.
The patch is correct and short, not the shortest: finding that is not worth the time of an event loop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from itertools import count

from gateway.core.align import Pairs, align, gaps, neighbours
from gateway.core.equal import encode, same
from gateway.core.event import Json

# What differs below this depth is replaced whole. Each level compares the values below it once more, so this also
# bounds the work that a hostile document can cause; answers of real APIs are rarely deeper than ten.
MAX_DEPTH = 32

# Longer arrays, after trimming what is equal at both ends, are compared position by position.
_MAX_ALIGNED = 20_000


def diff(old: Json, new: Json) -> list[Json]:
    """Operations that make `old` the same document as `new`."""
    return [] if same(old, new) else _change(old, new, "", MAX_DEPTH)


def escape(name: str) -> str:
    """An object's key as a token of a JSON pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def splice(pairs: Pairs, size: int, new: list[Json], path: str, start: int = 0) -> list[Json]:
    """Operations that remove and add what `pairs` leave out of an array's `size` elements from `start` on.

    They go from the array's end to its beginning, so that every index is still that of the array before.
    """
    operations: list[Json] = []
    for gap in reversed(list(gaps(pairs, size, len(new)))):
        operations += [{"op": "remove", "path": f"{path}/{start + index}"} for index in reversed(gap.old)]
        first = start + gap.old.start - gap.new.start
        operations += [{"op": "add", "path": f"{path}/{first + index}", "value": new[index]} for index in gap.new]
    return operations


def rebase(patch: list[Json], path: str) -> list[Json]:
    """The same operations, on a document that is now found at `path` in another."""
    return [{**operation, "path": f"{path}{operation['path']}"} for operation in patch if isinstance(operation, dict)]


def _change(old: Json, new: Json, path: str, depth: int) -> list[Json]:
    """Operations between two values that are not the same."""
    if depth > 0:
        if isinstance(old, dict) and isinstance(new, dict):
            return _objects(old, new, path, depth - 1)
        if isinstance(old, list) and isinstance(new, list):
            return _arrays(old, new, path, depth - 1)
    return [{"op": "replace", "path": path, "value": new}]


def _objects(old: dict[str, Json], new: dict[str, Json], path: str, depth: int) -> list[Json]:
    operations: list[Json] = [{"op": "remove", "path": f"{path}/{escape(name)}"} for name in old if name not in new]
    for name, value in new.items():
        if name not in old:
            operations.append({"op": "add", "path": f"{path}/{escape(name)}", "value": value})
        elif not same(old[name], value):
            operations += _change(old[name], value, f"{path}/{escape(name)}", depth)
    return operations


def _arrays(old: list[Json], new: list[Json], path: str, depth: int) -> list[Json]:
    start, end = _trim(old, new)
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    alike = _alike(old, new)
    changed = neighbours(alike, len(old), len(new))
    operations: list[Json] = []
    for i, j in changed:
        if not same(old[i], new[j]):
            operations += _change(old[i], new[j], f"{path}/{start + i}", depth)
    return operations + splice(sorted(alike + changed), len(old), new, path, start)


def _trim(old: list[Json], new: list[Json]) -> tuple[int, int]:
    """How many elements are the same at the beginning, and at the end of the rest."""
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and same(old[start], new[start]):
        start += 1
    end = 0
    while end < shorter - start and same(old[-1 - end], new[-1 - end]):
        end += 1
    return start, end


def _alike(old: list[Json], new: list[Json]) -> Pairs:
    """Pairs of elements that are the same; none where finding them would take too long."""
    if not old or not new or max(len(old), len(new)) > _MAX_ALIGNED:
        return []
    try:
        return align(_contents(old), _contents(new))
    except (RecursionError, OverflowError, UnicodeEncodeError):
        return []


def _contents(elements: list[Json]) -> list[Hashable]:
    """The content of each element, and which one of those with this content it is."""
    seen: defaultdict[bytes, count[int]] = defaultdict(count)
    return [(content, next(seen[content])) for content in map(encode, elements)]
