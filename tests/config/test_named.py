"""Files and upstreams that options name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.config.named import located, mistakes, upstreams
from gateway.config.tree import Mark, Path, Tree
from gateway.plugin.options import File, Options, UpstreamName


class Inner(Options):
    file: File | None = None
    upstream: UpstreamName | None = None

    def mistakes(self) -> Iterator[str]:
        if self.file == "conf.d/bad":
            yield "is bad"


class Outer(Options):
    file: File = "main"
    text: str = "plain"
    one: Inner = Inner()
    some: list[Inner] = []  # noqa: RUF012 - pydantic copies it
    named: dict[str, Inner] = {}  # noqa: RUF012 - pydantic copies it


@pytest.fixture
def tree() -> Tree:
    marks: dict[Path, Mark] = {(): Mark("gateway.yaml", 1, 1), ("named", "x"): Mark("conf.d/a.yaml", 2, 1)}
    return Tree(file="gateway.yaml", marks=marks)


def test_files_are_seen_from_the_file_that_names_them(tree: Tree) -> None:
    outer = Outer(some=[Inner(file="b")], named={"x": Inner(file="c")})
    found = located(outer, tree)
    assert (found.file, found.text, found.one.file) == ("main", "plain", None)
    assert (found.some[0].file, found.named["x"].file) == ("b", "conf.d/c")
    assert outer.named["x"].file == "c", "what was read stays as it is"


def test_mistakes_are_told_with_their_place() -> None:
    outer = Outer(
        one=Inner(upstream="shop"), some=[Inner(upstream="shpo")], named={"x": Inner(file="conf.d/bad", upstream="y")}
    )
    assert list(mistakes(outer, {"shop"})) == [
        (("some", 0, "upstream"), "no upstream is called 'shpo', did you mean 'shop'?"),
        (("named", "x"), "is bad"),
        (("named", "x", "upstream"), "no upstream is called 'y'"),
    ]


def test_nothing_is_wrong() -> None:
    assert list(mistakes(Outer(one=Inner(upstream="shop")), {"shop"})) == []


def test_upstreams_that_are_named() -> None:
    assert upstreams(None) == ()
    outer = Outer(one=Inner(upstream="shop"), some=[Inner(upstream="id"), Inner()], named={"x": Inner(upstream="shop")})
    assert upstreams(outer) == ("shop", "id")
