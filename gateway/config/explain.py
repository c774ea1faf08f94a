"""What the model finds wrong, in sentences for an operator and at the place in the file.

The table translates pydantic's words; nothing here decides what is right.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.nearest import did_you_mean, nearest
from gateway.config.tree import Path, Tree, kind
from gateway.errors import Problem


def explain(error: ValidationError, tree: Tree, model: type[BaseModel]) -> list[Problem]:
    """Every mistake of a validation: one for each value, and no key both misspelt and missing."""
    details = _deepest(error.errors(include_url=False), tree)
    unknown = [path for path, detail in details if detail["type"] == "extra_forbidden"]
    near = {path: nearest(str(path[-1]), keys_at(model, path[:-1])) for path in unknown}
    found = {(path, True): _unknown(path, near[path], model) for path in unknown}
    misspelt = {(*path[:-1], name) for path, name in near.items()}
    for path, detail in details:
        if path not in misspelt:
            found.setdefault((path, path in near or "[key]" in detail["loc"]), sentence(detail))
    return [tree.problem(path, message, key=key) for (path, key), message in found.items()]


def _unknown(path: Path, near: str, model: type[BaseModel]) -> str:
    known = keys_at(model, path[:-1])
    if near or not known:
        return f"unknown key {str(path[-1])!r}{did_you_mean(near)}"
    return f"unknown key {str(path[-1])!r}, known here: {', '.join(sorted(known))}"


def place(tree: Tree, loc: tuple[int | str, ...]) -> Path:
    """A location without the names that pydantic puts in for its own branches."""
    path: Path = ()
    for part in loc:
        if (*path, part) in tree.marks:
            path = (*path, part)
    return path


def _deepest(details: list[ErrorDetails], tree: Tree) -> list[tuple[Path, ErrorDetails]]:
    """Each finding with its path; of a union's branches only those that went furthest: the others were never meant."""
    found = [(_path(tree, detail), detail) for detail in details]
    longest = {path[:end] for path, _ in found for end in range(len(path))}
    return [(path, detail) for path, detail in found if path not in longest or not _is_branch(tree, detail)]


def _path(tree: Tree, detail: ErrorDetails) -> Path:
    path = place(tree, detail["loc"])
    return (*path, str(detail["loc"][-1])) if detail["type"] == "missing" else path


def _is_branch(tree: Tree, detail: ErrorDetails) -> bool:
    loc = detail["loc"]
    return "[key]" not in loc and detail["type"] != "missing" and len(loc) > len(place(tree, loc))


def keys_at(model: object, path: Path) -> set[str]:
    """The keys that the model knows at a path, whichever branch of a union it takes."""
    here = list(_models(model))
    for part in path:
        here = [inner for outer in here for inner in _below(outer, part)]
    return {name for item in here if _is_model(item) for name in _fields(item)}


def _below(outer: object, part: int | str) -> Iterator[object]:
    """The models and containers one step down."""
    if _is_model(outer):
        field = _fields(outer).get(str(part))
        if field is not None:
            yield from _models(field)
    else:
        yield from _models(get_args(outer)[-1])


def _models(annotation: object) -> Iterator[object]:
    """The models and containers that an annotation allows."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from _models(option)
    elif origin is Annotated:
        yield from _models(get_args(annotation)[0])
    elif _is_model(annotation) or (origin is not None and origin is not Literal):
        yield annotation


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: object) -> Mapping[str, object]:
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def sentence(detail: ErrorDetails) -> str:
    """One of pydantic's findings in our words."""
    if detail["type"] == "missing":
        return "this key is required"
    if detail["input"] is None:
        return "is empty: give a value or remove the key"
    context = detail.get("ctx", {})
    make = _SENTENCES.get(detail["type"])
    if make is None:
        return detail["msg"][:1].lower() + detail["msg"][1:]
    return make(context, detail["input"])


def _literal(context: Mapping[str, object], given: object) -> str:
    expected = str(context["expected"])
    names = {name.strip(" '") for name in expected.replace(" or ", ",").split(",")}
    wanted = ", ".join(name.strip(" '") for name in expected.replace(" or ", ",").split(","))
    near = nearest(given, names) if isinstance(given, str) and len(names) > 1 else ""
    return f"expected {'one of ' if len(names) > 1 else ''}{wanted}{did_you_mean(near)}"


def _wanted(what: str) -> Callable[[Mapping[str, object], object], str]:
    return lambda context, given: f"expected {what}, got {kind(given)}"


def _text(context: Mapping[str, object], given: object) -> str:
    hint = ": put it in quotes" if isinstance(given, (bool, int, float)) else ""
    return f"expected text, got {kind(given)}{hint}"


_SENTENCES: Mapping[str, Callable[[Mapping[str, object], object], str]] = {
    "value_error": lambda context, given: str(context["error"]),
    "assertion_error": lambda context, given: str(context["error"]),
    "string_type": _text,
    "int_type": _wanted("a whole number"),
    "int_from_float": _wanted("a whole number"),
    "float_type": _wanted("a number"),
    "bool_type": _wanted("true or false"),
    "list_type": _wanted("a list, as in [a, b]"),
    "tuple_type": _wanted("a list, as in [a, b]"),
    "dict_type": _wanted("a mapping, as in {key: value}"),
    "model_type": _wanted("a mapping, as in {key: value}"),
    "model_attributes_type": _wanted("a mapping, as in {key: value}"),
    "literal_error": _literal,
    "greater_than": lambda context, given: f"must be more than {context['gt']}",
    "greater_than_equal": lambda context, given: f"must be at least {context['ge']}",
    "less_than": lambda context, given: f"must be less than {context['lt']}",
    "less_than_equal": lambda context, given: f"must be at most {context['le']}",
    "too_short": lambda context, given: f"must hold at least {context['min_length']}",
    "too_long": lambda context, given: f"must hold at most {context['max_length']}",
    "string_too_short": lambda context, given: f"must have at least {context['min_length']} characters",
    "string_too_long": lambda context, given: f"must have at most {context['max_length']} characters",
    "string_pattern_mismatch": lambda context, given: f"must look like {context['pattern']}",
}
