"""From a file's path to the snapshot, or to every mistake in it at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from pydantic import ValidationError

from gateway.config import plugins
from gateway.config.certificates import valid_today
from gateway.config.checks import check
from gateway.config.compile import compile_config, complete
from gateway.config.explain import explain, place
from gateway.config.files import Files
from gateway.config.include import read_all
from gateway.config.model import BrokerKeys, ConfigKeys
from gateway.config.named import located, mistakes
from gateway.config.placed import misplaced
from gateway.config.reader import resolve
from gateway.config.tree import HIDDEN, Path, Tree, Value, map_text
from gateway.core.settings import Gateway
from gateway.errors import ConfigError, Problem

DEFAULT_FILE = "config/tidegate.yaml"
_TYPED = {"int_type", "float_type", "bool_type"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A file without mistakes; `model` is what it was checked against."""

    tree: Tree
    config: ConfigKeys
    model: plugins.Model

    @property
    def broker(self) -> BrokerKeys:
        assert self.config.broker is not None
        return self.config.broker


def load(path: str, environ: Mapping[str, str], *, today: bool = False) -> Gateway:
    """Read, check and compile; raises ConfigError with every mistake.

    `today` finds mistakes, too, that come and go with time and must not keep a gateway from starting.
    """
    found = checked(path, environ, today=today)
    return compile_config(located(found.config, found.tree), found.broker, found.tree)


def load_from_environment() -> Gateway:
    """The snapshot of the file that `TIDEGATE_CONFIG` names: for other ASGI servers."""
    return load(os.environ.get("TIDEGATE_CONFIG", DEFAULT_FILE), os.environ)


def effective(path: str, environ: Mapping[str, str]) -> str:
    """The configuration as it takes effect, in YAML: merged, expanded, defaults filled in, secrets hidden."""
    found = checked(path, environ)
    shown: Value = found.config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"tests"})
    for hidden in found.tree.hidden:
        _put(shown, hidden, HIDDEN)
    shown = map_text(shown, lambda text: found.tree.blot(text).replace("${", "$${"))
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100)


def checked(
    path: str,
    environ: Mapping[str, str],
    *,
    today: bool = False,
    model: plugins.Model | None = None,
    files: Files | None = None,
) -> Checked:
    """Read and check; raises ConfigError. `model` spares making it again, `files` notes what is read."""
    tree, problems = read_all(path, environ, files)
    try:
        model = model or plugins.model()
    except ValueError as error:
        raise ConfigError([*problems, tree.problem((), str(error))]) from None
    if "memory" in model.brokers.options:
        tree.value.setdefault("broker", {"memory": {}})
    problems += check(tree, model)
    if today:
        problems += [tree.problem(where, message) for where, message in valid_today(tree)]
    config = None
    try:
        config = _validate(tree, model.config)
    except ValidationError as error:
        problems += explain(error, tree, model.config)
    problems += [tree.problem(where, message) for where, message in misplaced(tree, model.sources)]
    if config is not None and not problems:
        found = mistakes(located(config, tree), config.upstreams)
        problems = [tree.problem(where, message) for where, message in found]
    if problems or config is None:
        raise ConfigError(_once(problems))
    return Checked(tree, complete(config), model)


def _validate(tree: Tree, model: type[ConfigKeys]) -> ConfigKeys:
    """Text from `${...}` is read as a number or truth value where one is wanted, and only there."""
    try:
        return model.model_validate(tree.value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        typed = {place(tree, detail["loc"]) for detail in details if detail["type"] in _TYPED}
        if not typed & tree.expanded:
            raise
    for path in typed & tree.expanded:
        _retype(tree.value, path)
    return model.model_validate(tree.value)


def _retype(value: Value, path: Path) -> None:
    _put(value, path, resolve(str(_at(value, path))))


def _put(value: Value, path: Path, new: Value) -> None:
    """Replace what is at a path, where there is something."""
    parent, last = _at(value, path[:-1]), path[-1]
    if isinstance(parent, dict) and last in parent:
        parent[str(last)] = new
    elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        parent[last] = new


def _at(value: Value, path: Path) -> Value:
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _once(problems: list[Problem]) -> list[Problem]:
    """One mistake for each value: the first that was found explains the others."""
    first: dict[tuple[str, int, int, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.file, problem.line, problem.column, problem.path), problem)
    return list(first.values())
