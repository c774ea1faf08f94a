"""A configuration as read: plain values, and where in which file each of them stands.

Every later step works on this: whatever finds a mistake names a path, and the tree turns it into a
`Problem`. Text that came from a secret is blotted out of every message here, in one place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from gateway.config.files import Files
from gateway.errors import Problem

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Path: TypeAlias = "tuple[str | int, ...]"
Finding: TypeAlias = "tuple[Path, str]"  # the value that is wrong, and what is wrong with it

HIDDEN = "***"
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)


class Mark(NamedTuple):
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True, kw_only=True)
class Tree:
    """One file, or several merged. `marks` has the place of every value, `keys` of every mapping key.

    `expanded` are the strings that `${...}` went into, `hidden` those of them that hold a secret,
    `secrets` the secret texts themselves. `files` notes every file that it is made of.
    """

    file: str
    value: dict[str, Value] = field(default_factory=dict)
    marks: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    expanded: set[Path] = field(default_factory=set)
    hidden: set[Path] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    files: Files = field(default_factory=Files)

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """Where a value stands, or its key; where there is none, the nearest parent."""
        for end in range(len(path), -1, -1):
            if key and path[:end] in self.keys:
                return self.keys[path[:end]]
            if path[:end] in self.marks:
                return self.marks[path[:end]]
        return Mark(self.file, 1, 1)

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """A mistake at a value, or at its key."""
        return Problem(*self.mark(path, key=key), show(path), self.blot(message))

    def blot(self, text: str) -> str:
        """The text with every secret in it made unreadable."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def beside(self, path: Path, name: str) -> str:
        """A file named at `path`, seen from the configuration file that names it."""
        return os.path.join(os.path.dirname(self.mark(path).file), name)


def show(path: Path) -> str:
    """`routes[0].live.poll`; keys that are not plain words are quoted."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def _shown(key: str) -> str:
    return key if _WORD.fullmatch(key) else '"' + key.replace('"', '\\"') + '"'


def map_text(value: Value, change: Callable[[str], str]) -> Value:
    """The value with every text in it changed, keys excepted."""
    if isinstance(value, dict):
        return {key: map_text(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [map_text(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def mapping(value: Value) -> Mapping[str, Value]:
    """The value if it is a mapping, else an empty one: checks read what is there and leave the rest."""
    return value if isinstance(value, dict) else {}


def listing(value: Value) -> list[Value]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def kind(value: object) -> str:
    """What an operator would call a value."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return "nothing" if value is None else "something else"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (Mapping, "a mapping"),
)
