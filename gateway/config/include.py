"""A file and those it includes, as one tree.

`upstreams` and `auth` merge by name; the routes of included files come before the including file's own, in the order
of the patterns and of the file names, so that a catch-all stands last in the main file. Everything is
defined once: a second definition is a mistake that names the first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from gateway.config.expand import expand
from gateway.config.files import Files
from gateway.config.reader import MAX_BYTES, read
from gateway.config.tree import Mark, Path, Tree, Value, kind, show
from gateway.errors import ConfigError, Problem

# One file for each team or service; more is a pattern that caught the wrong folder.
MAX_FILES = 200
_BY_NAME = ("upstreams", "auth")


def read_all(file: str, environ: Mapping[str, str], files: Files | None = None) -> tuple[Tree, list[Problem]]:
    """The merged tree and every mistake of reading; raises ConfigError when the first file is none.

    `files` is told of every file that is read, whatever comes of it.
    """
    reading = _Reading(file, environ, files or Files())
    reading.file(file, Mark(file, 1, 1))
    if () not in reading.merged.marks:
        raise ConfigError(reading.problems)
    return reading.merged, reading.problems


class _Reading:
    def __init__(self, file: str, environ: Mapping[str, str], files: Files) -> None:
        self.merged = Tree(file=file, files=files)
        self.problems: list[Problem] = []
        self._environ = environ
        self._seen: dict[str, Mark] = {}
        self._routes: list[Value] = []

    def file(self, file: str, asked: Mark) -> None:
        """Read one file and, before its own definitions count, those it includes."""
        identity = os.path.realpath(file)
        if identity in self._seen:
            self._report(asked, f"{file} is included twice, first at {self._seen[identity]}")
            return
        self._seen[identity] = asked
        if len(self._seen) > MAX_FILES:
            self._report(asked, f"more than {MAX_FILES} files")
            return
        tree = self._tree(file, asked)
        if tree is None:
            return
        if () not in self.merged.marks:
            self.merged.marks[()] = tree.mark(())
        for name, mark in self._included(tree):
            self.file(name, mark)
        self._merge(tree)

    def _tree(self, file: str, asked: Mark) -> Tree | None:
        try:
            tree, problems = read(file, self.merged.files.read(file, MAX_BYTES + 1))
        except OSError as error:
            self._report(asked, f"cannot read {file}: {error.strerror}")
            return None
        except ConfigError as error:
            self.problems += error.problems
            return None
        tree.files = self.merged.files
        self.problems += problems + expand(tree, self._environ)
        return tree

    def _included(self, tree: Tree) -> list[tuple[str, Mark]]:
        value = tree.value.get("include")
        patterns = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        found: list[tuple[str, Mark]] = []
        for index, pattern in enumerate(patterns):
            path: Path = ("include", index) if isinstance(value, list) else ("include",)
            if isinstance(pattern, str) and pattern and "\0" not in pattern:
                names = self.merged.files.matching(tree.beside(path, pattern))
                found += [(name, tree.mark(path)) for name in names]
        return found

    def _merge(self, tree: Tree) -> None:
        take = _Taking(tree, self.merged)
        for key, value in tree.value.items():
            if key in _BY_NAME and isinstance(value, dict):
                self._merge_by_name(take, key, value)
            elif key == "routes" and isinstance(value, list):
                take.all(("routes",), ("routes",), below=False)
                for index, route in enumerate(value):
                    take.all(("routes", index), ("routes", len(self._routes)))
                    self._routes.append(route)
                self.merged.value["routes"] = self._routes
            elif key != "include" or tree.file == self.merged.file:
                self._merge_key(take, key, value)
        take.finish()

    def _merge_by_name(self, take: _Taking, key: str, value: dict[str, Value]) -> None:
        merged = self.merged.value.setdefault(key, {})
        take.all((key,), (key,), below=False)
        for name, part in value.items():
            if isinstance(merged, dict) and self._new(take, (key, name)):
                merged[name] = part
                take.all((key, name), (key, name))

    def _merge_key(self, take: _Taking, key: str, value: Value) -> None:
        if key in ("routes", *_BY_NAME) and take.tree.file != self.merged.file:
            wanted = "a list" if key == "routes" else "a mapping"
            self._report(take.tree.mark((key,)), f"expected {wanted}, got {kind(value)}", (key,))
        elif self._new(take, (key,)):
            self.merged.value[key] = value
            take.all((key,), (key,))

    def _new(self, take: _Taking, path: Path) -> bool:
        first = self.merged.keys.get(path)
        if first is not None:
            self._report(take.tree.keys[path], f"{path[-1]!r} is defined twice, first at {first}", path)
        return first is None

    def _report(self, mark: Mark, message: str, path: Path = ()) -> None:
        self.problems.append(Problem(*mark, show(path), message))


class _Taking:
    """Moves the places of one file's values to where the values went in the merged tree."""

    def __init__(self, tree: Tree, merged: Tree) -> None:
        self.tree = tree
        self._merged = merged
        self._moves: dict[Path, tuple[Path, bool]] = {}

    def all(self, source: Path, target: Path, *, below: bool = True) -> None:
        """What is at `source`, and below it, goes to `target`."""
        self._moves[source] = (target, below)

    def finish(self) -> None:
        tree, merged = self.tree, self._merged
        for mine, theirs in ((tree.marks, merged.marks), (tree.keys, merged.keys)):
            for path, mark in mine.items():
                for target in self._target(path):
                    theirs.setdefault(target, mark)
        merged.expanded.update(target for path in tree.expanded for target in self._target(path))
        merged.hidden.update(target for path in tree.hidden for target in self._target(path))
        merged.secrets |= tree.secrets

    def _target(self, path: Path) -> list[Path]:
        for length in (1, 2):
            target, below = self._moves.get(path[:length], ((), False))
            if target and (below or len(path) == length):
                return [(*target, *path[length:])]
        return []
