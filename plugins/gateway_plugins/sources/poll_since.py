"""How far a list has been read, and how to ask for what came after it.

Pure. A position is taken from a complete answer, after what that told has been published: what is asked for twice is
found to be known, what was skipped would be lost. No position may lie in the future: one item with the wrong year
would hide all changes to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import inf
from typing import TypeAlias

from gateway.plugin import Json
from gateway_plugins.sources.poll_options import Since
from gateway_plugins.sources.poll_pages import search, with_parameter
from gateway_plugins.sources.poll_pages_options import Pages

# In microseconds since 1970 when it is a time; else as the backend gave it.
Position: TypeAlias = int | float | str

# Of a list that is read from its first page on.
TOP: Position = 0

# Marks of real backends have some hundred bytes; a URL holds no more than this.
_LONGEST = 4096

_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = {"unix": 10**6, "unix_ms": 10**3}


class Progress:
    """How far one channel has read. Without a position, and now and then with one, the whole list is to be read.

    Of a list whose newest stand first (`pages.stop_when_known`), changes are read from its TOP, which is a position.
    """

    __slots__ = ("_every", "_position", "_since", "_whole_at")

    def __init__(self, since: Since | None, pages: Pages | None = None) -> None:
        self._since = since
        self._every = 0.0
        if since is not None:
            self._every = since.full_every
        elif pages is not None and pages.stop_when_known:
            self._every = pages.full_every
        self._position: Position | None = None
        self._whole_at = 0.0

    def __repr__(self) -> str:
        return f"<Progress {'to be read whole' if self._position is None else 'read up to a position'}>"

    def changes(self, target: bytes, now: float) -> bytes | None:
        """What to ask for to hear of changes alone; None when the whole is to be read."""
        if self._position is None or now - self._whole_at >= self._every:
            return None
        if self._since is None:
            return target
        return with_parameter(target, self._since.param, written(self._since, self._position))

    def whole(self, target: bytes) -> bytes:
        """What to ask for to read the whole."""
        if self._since is None or self._since.initial is None:
            return target
        return with_parameter(target, self._since.param, self._since.initial)

    def read_whole(self, now: float) -> None:
        """The whole has been read, or is said to be as it was."""
        self._whole_at = now

    def expire(self) -> None:
        """The whole is to be read next."""
        self._whole_at = -inf

    def move(self, found: Position | None, *, changes: bool) -> bool:
        """An answer was published that leads to `found`; says whether there is a position to go on from."""
        if found is None and not changes:
            self._position = None
        elif found is not None:
            # what changed last may be gone by now, which is no reason to go back
            back = changes and self._since is not None and self._since.way[0] == "max"
            self._position = _later(self._position, found) if back else found
        return self._position is not None

    def lose(self) -> bool:
        """The backend takes the position no more; says whether there was one."""
        lost, self._position = self._position is not None, None
        return lost


def position(
    since: Since, documents: Sequence[Json], items: Sequence[Json], headers: Sequence[tuple[bytes, bytes]], now: float
) -> Position | None:
    """Where an answer of these pages leads, with the headers of the first; `items` are those of all of them."""
    date = _date(headers, now)
    if since.way[0] == "last_success":
        return date
    found = _mark(since, documents, items, headers)
    return min(found, date) if isinstance(found, int) and since.written != "raw" else found


def _mark(
    since: Since, documents: Sequence[Json], items: Sequence[Json], headers: Sequence[tuple[bytes, bytes]]
) -> Position | None:
    """Of what several pages say, the first counts: what changed while the others were read is asked for again."""
    kind, argument = since.way
    if kind == "header":
        name = argument.lower().encode()
        return _read(since, next((value.decode("latin-1") for key, value in headers if key.lower() == name), None))
    if kind == "last":
        marks = (_read(since, search(argument, document)) for document in documents)
        return next((mark for mark in marks if mark is not None), None)
    found = search(f"map(&({argument}), @)", list(items))
    last: Position | None = None
    for value in found if isinstance(found, list) else ():
        mark = _read(since, value)
        if mark is not None:
            last = _later(last, mark)
    return last


def written(since: Since, place: Position) -> str:
    """The parameter's value."""
    if since.written == "raw" or not isinstance(place, int):
        return str(place)
    place = max(place - round(since.margin * 1e6), 0)
    if since.written in _UNITS:
        return str(place // _UNITS[since.written])
    return (_1970 + place * _MICROSECOND).isoformat().replace("+00:00", "Z")


def _read(since: Since, value: Json) -> Position | None:
    """A position as the backend writes it; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str) and not 0 < len(value) <= _LONGEST:
        return None
    if since.written == "raw":
        return value if isinstance(value, str) or abs(value) < 2**63 else None
    try:
        if since.written in _UNITS:
            return int(float(value) * _UNITS[since.written])
        moment = datetime.fromisoformat(str(value))
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _1970) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def _later(one: Position | None, two: Position) -> Position:
    """The greater; of a number and a text, which do not compare, the second."""
    if isinstance(one, str) and isinstance(two, str):
        return max(one, two)
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        return max(one, two)
    return two


def _date(headers: Sequence[tuple[bytes, bytes]], now: float) -> int:
    """The backend's clock when it answered, ours if it doesn't say, in microseconds since 1970."""
    said = next((value for name, value in headers if name.lower() == b"date"), b"")
    try:
        return round(parsedate_to_datetime(said[:64].decode("latin-1")).timestamp()) * 10**6
    except (ValueError, OverflowError):
        return int(now * 10**6)
