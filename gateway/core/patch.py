"""Applying JSON Patch (RFC 6902), as clients do: the operations that `gateway.core.diff` makes.

The document that is given stays as it is; what an operation does not touch is shared with the result.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.core.event import Json

_INDEX = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_ESCAPE = re.compile("~(?![01])")


def apply_patch(document: Json, operations: Sequence[Json]) -> Json:
    """The document after all operations; raises ValueError that names the first one that can't be applied."""
    for number, operation in enumerate(operations):
        try:
            document = _apply(document, operation)
        except ValueError as error:
            raise ValueError(f"operation {number}: {error}") from None
    return document


def _apply(document: Json, operation: Json) -> Json:
    if not isinstance(operation, dict):
        raise ValueError("not an object")
    op, path = operation.get("op"), operation.get("path")
    if op not in ("add", "remove", "replace"):
        raise ValueError("op is none of add, remove, replace")
    if not isinstance(path, str):
        raise ValueError("path is missing")
    if op != "remove" and "value" not in operation:
        raise ValueError("value is missing")
    return _at(document, tokens(path), str(op), operation.get("value"))


def tokens(path: str) -> list[str]:
    """The steps of a JSON Pointer (RFC 6901); raises ValueError."""
    if path and not path.startswith("/"):
        raise ValueError("path does not begin with a slash")
    if _ESCAPE.search(path):
        raise ValueError("path holds a tilde that escapes nothing")
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]


def _at(document: Json, steps: list[str], op: str, value: Json) -> Json:
    if not steps:
        return _whole(op, value)
    root = node = _copy(document)
    for token in steps[:-1]:
        if isinstance(node, dict):
            if token not in node:
                raise ValueError("path does not exist")
            child = node[token] = _copy(node[token])
        else:
            index = _index(token, len(node) - 1)
            child = node[index] = _copy(node[index])
        node = child
    if isinstance(node, dict):
        _member(node, steps[-1], op, value)
    else:
        _element(node, steps[-1], op, value)
    return root


def _whole(op: str, value: Json) -> Json:
    if op == "remove":
        raise ValueError("the whole document can't be removed")
    return value


def _copy(node: Json) -> dict[str, Json] | list[Json]:
    if isinstance(node, (dict, list)):
        return node.copy()
    raise ValueError("path goes through something that is neither object nor array")


def _member(node: dict[str, Json], name: str, op: str, value: Json) -> None:
    if op != "add" and name not in node:
        raise ValueError("path does not exist")
    if op == "remove":
        del node[name]
    else:
        node[name] = value


def _element(node: list[Json], token: str, op: str, value: Json) -> None:
    if op == "add":
        node.insert(len(node) if token == "-" else _index(token, len(node)), value)
        return
    index = _index(token, len(node) - 1)
    if op == "remove":
        del node[index]
    else:
        node[index] = value


def _index(token: str, last: int) -> int:
    if not _INDEX.fullmatch(token) or int(token) > last:
        raise ValueError("path holds an index that the array does not have")
    return int(token)
