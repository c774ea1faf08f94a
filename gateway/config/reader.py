"""YAML text to a tree with the place of every value.

Decides what YAML is allowed: version 1.2's core schema (`no` and `012` are text and twelve), no tags,
no merge keys, no duplicate keys, text keys only, all of it bounded. Knows nothing of what keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from gateway.config.tree import Mark, Path, Tree, Value, show
from gateway.errors import ConfigError, Problem

# A thousand routes written out take about 200 KB and 20,000 values.
MAX_BYTES = 1024 * 1024
MAX_VALUES = 100_000
# The deepest key of the configuration is 8 deep; plugins get room.
MAX_DEPTH = 32
# The longest 64-bit integer; Python refuses thousands of digits by itself, with another error.
_MAX_DIGITS = 19

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
}


class _Loader(_Base):  # type: ignore[misc,valid-type]  # the base is chosen at run time
    """Finds events and nodes; scalars by YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name


for _name, (_form, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_form})\\Z"), ["" if c == "\0" else c for c in _first]
    )


def read(file: str, data: bytes) -> tuple[Tree, list[Problem]]:
    """One file's tree, and its mistakes that leave a tree to go on with; raises ConfigError for the others."""
    text = _decode(file, data)
    try:
        mistakes = list(_refused(file, text))
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax(file, text, error)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem(file, 1, 1, "", f"not YAML: {' '.join(str(error).split())}")]) from None
    reader = _Reader(file)
    reader.problems += mistakes
    value = reader.value(node, ()) if node is not None else {}
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigError([reader.tree.problem((), "expected a mapping of keys such as routes and upstreams")])
    reader.tree.value = value
    return reader.tree, reader.problems


def _decode(file: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise ConfigError([Problem(file, 1, 1, "", f"the file is larger than {MAX_BYTES // 1024} KB")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise ConfigError([Problem(file, line, column, "", "the file is not UTF-8 text")]) from None


def _syntax(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    where = _where(file, error.problem_mark or error.context_mark)
    problem = " ".join((error.problem or "syntax error").split())
    if "${" in "".join(text.splitlines()[where.line - 1 : where.line]):
        problem += "; inside { } and [ ], ${...} needs quotes"
    for theirs, ours in _SYNTAX:
        if theirs in problem:
            return Problem(*where, "", ours)
    return Problem(*where, "", f"not YAML: {problem}")


_SYNTAX = (
    ("cannot start any token", "not YAML: a value begins with a tab, @, ` or %: indent with spaces, quote the rest"),
    ("mapping values are not allowed", "not YAML: a colon where no key can be: check the indentation, or quote it"),
    ("exceeded maximum nesting depth", f"nested deeper than {MAX_DEPTH} levels"),  # newer libyaml has its own bound
    ("undefined alias", "not YAML: an alias (*name) without its anchor (&name) before it"),
    ("exceeded maximum nesting depth", f"nested deeper than {MAX_DEPTH} levels"),  # newer libyaml has its own bound
    ("but found another document", "a second document begins here: one file holds one configuration"),
)


def _refused(file: str, text: str) -> Iterator[Problem]:
    """Tags are refused and depth is bounded before anything recursive sees the text."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        where = _where(file, event.start_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError([Problem(*where, "", f"nested deeper than {MAX_DEPTH} levels")])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tag = getattr(event, "tag", None)
        if tag is not None:
            yield Problem(*where, "", f"tags are not used here: remove {tag}")


def _where(file: str, mark: yaml.Mark | yaml._yaml.Mark | None) -> Mark:
    return Mark(file, mark.line + 1, mark.column + 1) if mark else Mark(file, 1, 1)


class _Reader:
    """Builds values from nodes; an alias is built again wherever it stands, so that each path has a place."""

    def __init__(self, file: str) -> None:
        self.tree = Tree(file=file)
        self.problems: list[Problem] = []
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Value:
        mark = self._mark(node)
        self._count += 1
        if self._count > MAX_VALUES:
            raise ConfigError([Problem(*mark, show(path), f"more than {MAX_VALUES} values, aliases included")])
        if len(path) > MAX_DEPTH:
            raise ConfigError([Problem(*mark, "", f"nested deeper than {MAX_DEPTH} levels: an alias inside itself?")])
        self.tree.marks[path] = mark
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in result:
                first = self.tree.keys[here]
                self._report(key_node, here, f"duplicate key {key!r}, first at line {first.line}")
                continue
            self.tree.keys[here] = self._mark(key_node)
            result[key] = self.value(value_node, here)
        return result

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._report(node, path, "a key must be text, not a list or a mapping")
        elif node.tag.endswith(":str"):
            if node.value != "<<" or node.style:
                return str(node.value)
            self._report(node, path, "merge keys (<<) are not used here: write the keys out, or alias a whole value")
        else:
            self._report(node, path, f'a key must be text: write "{node.value}" in quotes')
        return None

    def _scalar(self, node: yaml.Node, path: Path) -> Value:
        text = str(node.value)
        if node.tag.endswith(":int") and len(text) > _MAX_DIGITS:
            self._report(node, path, "this number is too large")
            return None
        return scalar(text, node.tag)

    def _report(self, node: yaml.Node, path: Path, message: str) -> None:
        self.problems.append(Problem(*self._mark(node), show(path), message))

    def _mark(self, node: yaml.Node) -> Mark:
        return _where(self.tree.file, node.start_mark)


def scalar(text: str, tag: str) -> bool | int | float | str | None:
    """A scalar's value by its YAML tag."""
    match tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        case "float":
            return float(text)
    return text


def resolve(text: str) -> bool | int | float | str | None:
    """What unquoted text means in YAML: for values that came from the environment."""
    for name, (form, _) in _SCALARS.items():
        if re.fullmatch(form, text) and len(text) <= _MAX_DIGITS:
            return scalar(text, f":{name}")
    return text
