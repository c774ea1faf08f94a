"""Where the list is in an answer: JMESPath (https://jmespath.org), compiled once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from gateway.core.event import Json
from gateway.core.settings import Items

# The functions that can make NaN or infinity out of JSON, which has neither.
_UNSAFE = ("to_number", "sum", "avg")


def select(document: Json, items: Items) -> Json:
    """The part of an answer that a channel carries; raises ValueError, without any of the data, when it fails."""
    if items.at is None:
        return document
    try:
        selected: Json = compiled(items.at).search(document)
    except (JMESPathError, RecursionError, TypeError, OverflowError, ValueError):
        raise ValueError(f"{items.at!r} cannot be applied to the answer") from None
    if any(name in items.at for name in _UNSAFE) and not all(map(math.isfinite, _floats(selected))):
        raise ValueError(f"{items.at!r} makes a number that JSON does not have")
    return selected


@lru_cache(maxsize=1024)
def compiled(at: str) -> ParsedResult:
    """The expression, ready to search; raises ValueError when it is not JMESPath."""
    return jmespath.compile(at)


def _floats(value: Json) -> Iterator[float]:
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)
        elif isinstance(value, float):
            yield value
