"""`${NAME}`, `${NAME:-default}` and `${file:PATH}` inside strings, after parsing.

Works on one string at a time, so what comes in can never change the structure. `$${` is a plain `${`.
`${claims.x}` and `${params.x}` stay: they are filled for each client; `${body.x}` and `${header.x}` for each delivery.
What comes from a file, or from a variable whose name speaks of a secret, is never shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.tree import Path, Tree, Value
from gateway.errors import Problem

MAX_FILE = 64 * 1024
_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.ASCII | re.DOTALL)
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASS|PWD|KEY|CREDENTIAL|AUTH|PRIVATE|SIGNATURE|COOKIE|DSN", re.IGNORECASE)
# Places that are filled for each client or delivery (gateway.core.template), and not now.
_LATER = re.compile(r"(?:claims|params|body|header)\.")
# Blotting a one-letter "secret" out of messages would only garble them.
_SHORTEST = 4


def expand(tree: Tree, environ: Mapping[str, str]) -> list[Problem]:
    """Expand every string of the tree in place; the references that can't be, as problems at their string."""
    return _Expansion(tree, environ).run()


@dataclass(slots=True)
class _Expansion:
    tree: Tree
    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    path: Path = ()

    def run(self) -> list[Problem]:
        for key, value in self.tree.value.items():
            self.tree.value[key] = self._value(value, (key,))
        return self.problems

    def _value(self, value: Value, path: Path) -> Value:
        if isinstance(value, dict):
            return {key: self._value(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        self.path = path
        self.tree.expanded.add(path)
        return _REFERENCE.sub(self._replace, value)

    def _replace(self, found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        inside = found[1]
        if _LATER.match(inside):
            return found[0]
        if not found[2]:
            return self._wrong("${ without its }; write $${ for a plain ${")
        if inside.startswith("file:"):
            return self._file(inside.removeprefix("file:"))
        variable = _VARIABLE.fullmatch(inside)
        if variable is None:
            return self._wrong(f"${{{inside}}}: expected ${{NAME}}, ${{NAME:-default}} or ${{file:PATH}}")
        return self._variable(variable[1], variable[2])

    def _variable(self, name: str, default: str | None) -> str:
        value = self.environ.get(name)
        if _SECRET_NAME.search(name):
            self.tree.hidden.add(self.path)
        if default is not None and not value:
            return default
        if value is None:
            return self._wrong(f"the environment variable {name} is not set")
        return self._hide(value) if _SECRET_NAME.search(name) else value

    def _file(self, name: str) -> str:
        try:
            data = self.tree.files.read(self.tree.beside(self.path, name), MAX_FILE + 1)
            if len(data) > MAX_FILE:
                return self._wrong(f"{name} is larger than {MAX_FILE // 1024} KB")
            return self._hide(data.decode().removesuffix("\n").removesuffix("\r"))
        except OSError as error:
            return self._wrong(f"cannot read {name}: {error.strerror}")
        except ValueError:  # a NUL in the name among them
            return self._wrong(f"{name!r} is not UTF-8 text")

    def _hide(self, value: str) -> str:
        self.tree.hidden.add(self.path)
        if len(value) >= _SHORTEST:
            self.tree.secrets |= {value, repr(value)[1:-1]}
        return value

    def _wrong(self, message: str) -> str:
        self.problems.append(self.tree.problem(self.path, message))
        return ""
