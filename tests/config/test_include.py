"""Several files as one tree; the golden files `include*.yaml` have the mistakes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gateway.config.include import MAX_FILES, read_all
from gateway.config.tree import Tree
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(**files: str) -> None:
    for name, text in files.items():
        path = name.replace("__", "/") + ".yaml"
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def merged(file: str = "main.yaml") -> Tree:
    tree, problems = read_all(file, {"DIR": "d"})
    assert problems == []
    return tree


def mistakes() -> list[str]:
    return [str(problem) for problem in read_all("main.yaml", {})[1]]


def test_included_routes_come_first_in_the_order_of_their_names() -> None:
    write(
        main="include: [c.yaml, 'd/*.yaml']\nroutes: [main]",
        c="routes: [c]",
        d__b="routes: [b1, b2]",
        d__a="routes: [a]\ninclude: inner/*.yaml",
        d__inner__z="routes: [z]",
    )
    assert merged().value["routes"] == ["c", "z", "a", "b1", "b2", "main"]


def test_values_keep_the_place_that_they_have_in_their_own_file() -> None:
    write(
        main="include: d/*.yaml\nupstreams: {m: {url: 1}}\nroutes:\n  - path: /m",
        d__a="upstreams:\n  u: {url: '${DIR}'}\nroutes:\n  - path: /a",
    )
    tree = merged()
    assert tree.value["routes"] == [{"path": "/a"}, {"path": "/m"}]
    assert str(tree.mark(("routes", 0, "path"))) == "d/a.yaml:4:11"
    assert str(tree.mark(("routes", 1, "path"), key=True)) == "main.yaml:4:5"
    assert str(tree.mark(("upstreams", "u", "url"))) == "d/a.yaml:2:12"
    assert tree.expanded == {("upstreams", "u", "url")}
    assert tree.beside(("upstreams", "u", "url"), "x.pem") == "d/x.pem"


def test_patterns_expand_like_any_text() -> None:
    write(main="include: '${DIR}/*.yaml'", d__a="access_log: off")
    assert merged().value["access_log"] == "off"


def test_a_pattern_may_find_nothing_and_a_name_may_not() -> None:
    write(main="include: [d/*.yaml, none.yaml]")
    assert mistakes() == ["main.yaml:1:21: cannot read none.yaml: No such file or directory"]


@pytest.mark.parametrize(("main", "where"), [("include: main.yaml", "1:10"), ("include: ['*.yaml']", "1:11")])
def test_a_file_cannot_include_itself(main: str, where: str) -> None:
    write(main=main)
    assert mistakes() == [f"main.yaml:{where}: main.yaml is included twice, first at main.yaml:1:1"]


def test_a_circle_ends() -> None:
    write(main="include: a.yaml", a="include: b.yaml", b="include: a.yaml")
    assert mistakes() == ["b.yaml:1:10: a.yaml is included twice, first at main.yaml:1:10"]


def test_one_bad_file_does_not_hide_the_others() -> None:
    write(main="include: '[abc].yaml'\nroutes: [x]", a="{", b="a: 1\na: 2", c="routes: [c]")
    tree, problems = read_all("main.yaml", {})
    assert [problem.file for problem in problems] == ["a.yaml", "b.yaml"]
    assert tree.value["routes"] == ["c", "x"]


def test_the_number_of_files_is_bounded() -> None:
    write(main="include: d/*.yaml", **{f"d__f{number:03}": "" for number in range(MAX_FILES + 1)})
    assert len(mistakes()) == 2
    assert mistakes()[0] == f"main.yaml:1:10: more than {MAX_FILES} files"


@pytest.mark.parametrize("file", ["none.yaml", "."])
def test_without_the_first_file_there_is_no_tree(file: str) -> None:
    with pytest.raises(ConfigError, match=f"{file}:1:1: cannot read"):
        read_all(file, {})


def test_a_first_file_that_is_no_yaml_is_no_tree() -> None:
    write(main="{")
    with pytest.raises(ConfigError, match=r"main.yaml:2:1: not YAML"):
        read_all("main.yaml", {})
