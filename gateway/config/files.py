"""The files that a configuration is made of, told apart by what is in them.

Contents are compared and not dates, so that it makes no difference how a file is replaced: written over, renamed, or
by another target of a link, as Kubernetes does it.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256

# Nothing that a configuration reads is larger; what is beyond is refused by who reads it.
_MOST = 16 * 1024 * 1024
_ABSENT = b""


class Files:
    """Notes what is read. `found` has for each file, and each pattern of file names, what was there."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], bytes] = {}

    def begin(self) -> None:
        """Everything is read anew from here on."""
        self.found = {}

    def read(self, name: str, most: int = _MOST) -> bytes:
        """The file's first `most` bytes; raises OSError, or ValueError for a name that none can have."""
        self.found["file", name] = _ABSENT
        with open(name, "rb") as file:
            data = file.read(_MOST)
        self.found["file", name] = sha256(data).digest()
        return data[:most]

    def matching(self, pattern: str) -> list[str]:
        """The files of a pattern, sorted; a plain name is itself, there or not."""
        if not glob.has_magic(pattern):
            return [pattern]
        names = _matching(pattern)
        self.found["pattern", pattern] = _told(names)
        return names

    def stamp(self, names: Iterable[str | None]) -> str:
        """What tells the contents of these files apart, together; empty where there are none."""
        digest, given = sha256(), [name for name in names if name is not None]
        for name in given:
            try:
                self.read(name)
            except (OSError, ValueError):  # what is wrong with it is found elsewhere
                continue
            digest.update(self.found["file", name])
        return digest.hexdigest()[:16] if given else ""


def look(found: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """What is there now, for each of the files and patterns."""
    return {(kind, name): _now(name) if kind == "file" else _told(_matching(name)) for kind, name in found}


class Watched:
    """Whether files have changed and are complete, by looking now and then: `changed` once for each change."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: Mapping[tuple[str, str], bytes] = files.found
        self._last: Mapping[tuple[str, str], bytes] = {}

    def changed(self) -> bool:
        """Whether there is something new that was the same at the last look: who writes files may not be done."""
        known = {**self._known, **self._files.found}
        now = look(known)
        settled, self._last = now == self._last, now
        if now == known or not settled:
            return False
        self._known = now
        self._files.begin()  # what is read of it from here on is newer
        return True


def _now(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return sha256(file.read(_MOST)).digest()
    except OSError:
        return _ABSENT


def _matching(pattern: str) -> list[str]:
    return sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))


def _told(names: Iterable[str]) -> bytes:
    return "\0".join(names).encode("utf-8", "surrogateescape") or b"\0"
