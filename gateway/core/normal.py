"""One form for documents that mean the same: numbers with so many decimals, and arrays that are sets in one order.

Backends compute sums of floats in another order each time, and databases give rows in any. A document is brought into
its form before it is compared, and clients are shown that form: what they get by events and what a newcomer gets is
then the same, to the last digit.
"""

from __future__ import annotations

import json
from functools import partial

import msgspec

from gateway.core.event import Json
from gateway.core.paths import mapped, parse_path
from gateway.core.settings import Normal

# Beyond this a float has no decimals to lose, and an integer made of it would have digits that it never had.
_EXACT = 2**53

# Arrays of one of these types are compared as they are.
_PLAIN: tuple[set[type], ...] = ({str}, {int})

# Most members are one of the first: a call for each would cost more than all else.
_NO_FLOATS = frozenset({str, int, bool, type(None)})
_CONTAINERS = frozenset({dict, list})

_encode = msgspec.json.Encoder(order="sorted").encode


def normalised(value: Json, normal: Normal) -> Json:
    """The value in its form, which is the form of that form as well. It stays as it is itself."""
    for path, places in normal.places:
        value = mapped(value, parse_path(path) if path else (), partial(_rounded, places))
    for path in normal.unordered:  # the longest first, as what an array holds has to have its form before
        value = mapped(value, parse_path(path), _in_order) if path else _all_in_order(value)
    return value


def _rounded(places: int, value: Json) -> Json:
    """A float, or every float in it; one without decimals is an integer, as backends write it the one way or the other.

    Other numbers than floats have no decimals.
    """
    if isinstance(value, dict):
        return {
            name: member if type(member) in _NO_FLOATS else _rounded(places, member) for name, member in value.items()
        }
    if isinstance(value, list):
        return [element if type(element) in _NO_FLOATS else _rounded(places, element) for element in value]
    if not isinstance(value, float):
        return value
    near = round(value, places)
    return int(near) if near.is_integer() and abs(near) < _EXACT else near


def _all_in_order(value: Json) -> Json:
    if isinstance(value, dict):
        return {
            name: _all_in_order(member) if type(member) in _CONTAINERS else member for name, member in value.items()
        }
    if isinstance(value, list):
        return _in_order([_all_in_order(element) if type(element) in _CONTAINERS else element for element in value])
    return value


def _in_order(value: Json) -> Json:
    """An array by its contents: numbers by size, and then everything else by its JSON text; texts alone as such."""
    if not isinstance(value, list) or len(value) < 2:
        return value
    if set(map(type, value)) in _PLAIN:  # most arrays; a tenth of what the rest would cost
        return sorted(value)  # type: ignore[type-var]  # they are all of one type
    try:
        texts = [_encode(element) for element in value]
    except (OverflowError, UnicodeEncodeError):  # an integer above 64 bits, a lone surrogate
        texts = [json.dumps(element, sort_keys=True).encode() for element in value]
    numbers = [not isinstance(element, bool) and isinstance(element, (int, float)) for element in value]
    ranks = [
        (not number, element if number else 0, text)
        for number, element, text in zip(numbers, value, texts, strict=True)
    ]
    return [value[place] for place in sorted(range(len(value)), key=ranks.__getitem__)]
