"""The structure of the project, enforced: layers, seams, mirrored tests, file sizes."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GATEWAY = ROOT / "gateway"
PLUGINS = ROOT / "plugins" / "gateway_plugins"

# a layer may import itself and these; `errors` is a leaf that all may import
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "core": set(),
    "plugin": {"core"},
    "wire": {"core"},
    "config": {"core", "plugin"},
    "live": {"core", "plugin"},
    "proxy": {"core", "plugin"},
    "auth": {"core", "plugin"},
    "admin": {"core", "plugin"},
    "client": {"core"},
    "build": {"core", "plugin", "wire", "live", "proxy", "auth", "client"},
    "reloading": {"core", "wire", "live", "proxy", "admin", "build"},
    "routing": {"core", "plugin", "live"},
    "app": {"core", "plugin", "wire", "config", "live", "proxy", "auth", "admin", "client"}
    | {"build", "reloading", "routing"},
    "serving": {"core", "wire", "live", "admin", "client", "app", "reloading"},
    "commands": {"core", "plugin", "wire", "config", "live", "build"},
    "cli": {"core", "plugin", "config", "serving", "admin", "demo", "commands"},
    "testing": {"core", "plugin", "live"},
    "demo": {"core", "config", "serving"},
    "__main__": {"cli"},
}

# core decides and never acts: time, chance and the outside world come in as arguments
IMPURE = {"asyncio", "time", "random", "secrets", "socket", "ssl", "logging", "threading", "os", "subprocess", "uvloop"}

LONGEST = 400


def modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module's full name, and its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module or "", node.lineno
            if node.module == "gateway":
                for alias in node.names:
                    yield f"gateway.{alias.name}", node.lineno


def layer_of(path: Path) -> str:
    return path.relative_to(GATEWAY).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = [path for path in modules(GATEWAY) if path != GATEWAY / "__init__.py"]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_layers_import_only_what_lies_below(path: Path) -> None:
    layer = layer_of(path)
    allowed = MAY_IMPORT[layer] | {layer, "errors", "__version__"}
    for module, line in imports(path):
        assert not module.startswith("gateway_plugins"), f"{path}:{line}: the product never imports its plugins"
        if module.startswith("gateway."):
            target = module.split(".")[1]
            assert target in allowed, f"{path}:{line}: {layer} may not import {target}"


@pytest.mark.parametrize("path", modules(GATEWAY / "core"), ids=name_of)
def test_core_is_pure(path: Path) -> None:
    for module, line in imports(path):
        assert module.split(".")[0] not in IMPURE, f"{path}:{line}: core may not import {module}"


@pytest.mark.parametrize("path", modules(PLUGINS), ids=name_of)
def test_plugins_know_only_the_seam(path: Path) -> None:
    for module, line in imports(path):
        if module.split(".")[0] == "gateway":
            assert module == "gateway.plugin", f"{path}:{line}: a plugin may import gateway.plugin alone"


@pytest.mark.parametrize("path", [p for p in SOURCES + modules(PLUGINS) if p.name != "__init__.py"], ids=name_of)
def test_every_module_has_its_test_file(path: Path) -> None:
    if path.is_relative_to(PLUGINS):
        folder = ROOT / "tests" / "plugins" / path.relative_to(PLUGINS).parent
    else:
        folder = ROOT / "tests" / path.relative_to(GATEWAY).parent
    name = path.name.removeprefix("__").removesuffix("__.py").removesuffix(".py")
    assert (folder / f"test_{name}.py").exists(), f"{folder}/test_{name}.py is missing"


@pytest.mark.parametrize("path", modules(GATEWAY) + modules(PLUGINS), ids=name_of)
def test_files_stay_small(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{path}: {lines} lines; one concept per file"


@pytest.mark.parametrize("path", [p for p in SOURCES + modules(PLUGINS) if p.name != "__init__.py"], ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path}: no module docstring"


def test_what_is_installed_is_this_tree() -> None:
    """Plugins are found by the entry points of the installation, which an editable one does not follow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    written = {(group, *entry) for group, entries in project["entry-points"].items() for entry in entries.items()}
    installed = {(entry.group, entry.name, entry.value) for entry in distribution("tidegate").entry_points}
    installed = {entry for entry in installed if entry[0] != "console_scripts"}
    assert installed == written, "entry points have changed: run `pip install --no-deps --editable .` again"


def test_the_installed_plugins_are_those_of_this_tree() -> None:
    """Entry points are read where the package was installed; a new plugin is not there until it is installed again."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, plugins in named.items():
        found = {entry.name: entry.value for entry in entry_points(group=group)}
        assert plugins.items() <= found.items(), "install this tree again: pip install --no-deps -e ."
