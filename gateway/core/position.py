"""A place in a channel's stream: the SSE `id`, the long-poll cursor and the resume token in one."""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(r"([0-9A-Za-z_-]{1,32})\.(0|[1-9][0-9]{0,17})", re.ASCII)


class Position(NamedTuple):
    """`offset` counts changes from 1 within `epoch`; 0 is before the first. Its string form is `epoch.offset`."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"


def parse_position(text: str) -> Position:
    """Read `epoch.offset`; raises ValueError for anything else."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"not a position: {text[:64]!r} (expected EPOCH.OFFSET, as in the id of an event)")
    return Position(match[1], int(match[2]))
