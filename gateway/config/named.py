"""What options name: files, upstreams; and what is wrong with things outside the configuration file.

Walks the checked model: every `File` is seen from the file that names it, every `Options` may have mistakes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar, get_args

from pydantic.fields import FieldInfo

from gateway.config.nearest import did_you_mean, nearest
from gateway.config.tree import Finding, Path, Tree
from gateway.plugin.options import IsFile, IsUpstream, Options

O = TypeVar("O", bound=Options)  # noqa: E741 - the options that come in go out


def located(options: O, tree: Tree, path: Path = ()) -> O:
    """The same options with every file's name as a path to open."""
    changed: dict[str, object] = {}
    for name, field in type(options).model_fields.items():
        here, value = (*path, field.alias or name), getattr(options, name)
        if isinstance(value, str) and _is(field, IsFile):
            changed[name] = tree.beside(here, value)
        elif isinstance(value, Options):
            changed[name] = located(value, tree, here)
        elif isinstance(value, list):
            changed[name] = [_located(part, tree, (*here, index)) for index, part in enumerate(value)]
        elif isinstance(value, Mapping):
            changed[name] = {key: _located(part, tree, (*here, key)) for key, part in value.items()}
    return options.model_copy(update=changed)


def mistakes(value: object, known: Collection[str], path: Path = ()) -> Iterator[Finding]:
    """What each of the options finds wrong, and those in it; `known` are the upstreams there are."""
    if isinstance(value, Options):
        for message in value.mistakes():
            yield path, message
        for name, field in type(value).model_fields.items():
            part, here = getattr(value, name), (*path, field.alias or name)
            if isinstance(part, str) and _is(field, IsUpstream) and part not in known:
                yield here, f"no upstream is called {part!r}{did_you_mean(nearest(part, known))}"
            yield from mistakes(part, known, here)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from mistakes(part, known, (*path, index))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from mistakes(part, known, (*path, key))


def upstreams(value: object) -> tuple[str, ...]:
    """The upstreams that options name, each once."""
    return tuple(dict.fromkeys(_upstreams(value)))


def _upstreams(value: object) -> Iterator[str]:
    if isinstance(value, Options):
        for name, field in type(value).model_fields.items():
            part = getattr(value, name)
            if isinstance(part, str) and _is(field, IsUpstream):
                yield part
            yield from _upstreams(part)
    elif isinstance(value, list):
        for part in value:
            yield from _upstreams(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _upstreams(part)


def _located(value: object, tree: Tree, path: Path) -> object:
    return located(value, tree, path) if isinstance(value, Options) else value


def _is(field: FieldInfo, what: type[IsFile] | type[IsUpstream]) -> bool:
    marks = [*field.metadata, *(mark for part in get_args(field.annotation) for mark in get_args(part)[1:])]
    return any(isinstance(mark, what) for mark in marks)
