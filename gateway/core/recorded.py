"""Recorded answers of a backend and the events that are expected of them: what `tests:` in a configuration holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from gateway.core.diff import diff
from gateway.core.equal import same
from gateway.core.event import Json
from gateway.core.http import Answer

# Of a value in a report of differences: a line of a terminal, not a document.
_LONGEST = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An event; any data will do where it is not `exact`."""

    type: str
    data: Json = None
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the backend answers to a look (None: nothing, it cannot be reached), and what a client is then told."""

    answer: Answer | None
    events: tuple[Expected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One test: a client follows `url`, and the backend is looked at once for each step."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, Json] = field(default_factory=dict)
    steps: tuple[Step, ...]


def differences(expected: Sequence[Expected], told: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    """What is wrong with the events that a client was told, line by line; nothing when they are as expected."""
    for number, (wanted, got) in enumerate(zip_longest(expected, told), 1):
        if wanted is None:
            yield f"event {number}: nothing expected, but there came {_shown(got)}"
        elif got is None:
            yield f"event {number}: {wanted.type} expected, but nothing came"
        elif got["type"] != wanted.type:
            yield f"event {number}: {wanted.type} expected, but there came {_shown(got)}"
        elif wanted.exact and not same(wanted.data, got["data"]):
            yield f"event {number}: {wanted.type} has other data than expected"
            yield from (f"  {line}" for line in _unlike(wanted.data, got["data"]))


def _unlike(wanted: Json, got: Json) -> Iterator[str]:
    for operation in diff(wanted, got):
        assert isinstance(operation, dict)
        path = operation["path"] or "the whole"
        if operation["op"] == "remove":
            yield f"{path}: expected, but not there"
        elif operation["op"] == "add":
            yield f"{path}: not expected: {_shown(operation['value'])}"
        else:
            yield f"{path}: came as {_shown(operation['value'])}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
