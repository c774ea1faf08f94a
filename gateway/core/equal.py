"""When two JSON values are the same document.

Python says that `1 == True == 1.0`; JSON does not, and a client that is told nothing keeps the wrong one. So values
are the same here when they have the same types all through; only the order of an object's keys does not count.
Any depth is survived.
"""

from __future__ import annotations

import msgspec

from gateway.core.event import Json
from gateway.core.paths import parse_path, without

# The fastest way to bytes that differ whenever values do; both raise what `same` catches.
_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
encode_into = _encoder.encode_into


def same(left: Json, right: Json) -> bool:
    """Whether two JSON values are the same document."""
    if type(left) is not type(right):
        return False
    if not isinstance(left, (dict, list)):
        return left == right
    try:
        # Equal bytes prove it at the speed of an encoder; the walk is for objects with their keys reordered.
        return left == right and (encode(left) == encode(right) or _walk(left, right))
    except (RecursionError, OverflowError, UnicodeEncodeError):
        return _walk(left, right)  # too deep, an integer above 64 bits, a lone surrogate


def same_but(left: Json, right: Json, ignore: tuple[str, ...]) -> bool:
    """Whether two values are the same document but for what is at these paths."""
    for text in ignore:
        path = parse_path(text)
        left, right = without(left, path), without(right, path)
    return same(left, right)


def _walk(left: Json, right: Json) -> bool:
    pairs = [(left, right)]
    while pairs:
        a, b = pairs.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                return False
            pairs.extend((value, b[key]) for key, value in a.items())
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            pairs.extend(zip(a, b, strict=True))
        elif a != b:
            return False
    return True
