"""Places of values, and secrets that no message shows."""

from __future__ import annotations

import pytest

from gateway.config.tree import Mark, Path, Tree, kind, listing, map_text, mapping, show


def tree() -> Tree:
    return Tree(
        file="a.yaml",
        marks={(): Mark("a.yaml", 1, 1), ("b",): Mark("d/b.yaml", 2, 4), ("b", 0): Mark("d/b.yaml", 3, 5)},
        keys={("b",): Mark("d/b.yaml", 2, 1)},
    )


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        (("b", 0), False, "d/b.yaml:3:5"),
        (("b", 0, "x", "y"), False, "d/b.yaml:3:5"),
        (("b",), True, "d/b.yaml:2:1"),
        (("z",), False, "a.yaml:1:1"),
    ],
)
def test_a_value_without_a_place_has_its_parents(path: Path, key: bool, place: str) -> None:
    assert str(tree().mark(path, key=key)) == place


def test_a_problem_has_place_path_and_message() -> None:
    assert str(tree().problem(("b", 0, "c"), "is odd")) == "d/b.yaml:3:5: b[0].c: is odd"


def test_files_are_beside_the_file_that_names_them() -> None:
    assert tree().beside(("b",), "cert.pem") == "d/cert.pem"
    assert tree().beside((), "cert.pem") == "cert.pem"
    assert tree().beside(("b",), "/etc/cert.pem") == "/etc/cert.pem"


def test_no_message_holds_a_secret() -> None:
    one = tree()
    one.secrets |= {"hunter2", "hunter2-long"}
    assert one.problem((), "no 'hunter2-long' nor hunter2").message == "no '***' nor ***"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a", 0, "b"), "a[0].b"),
        (("a", "b c", 'd"e', "f.g"), 'a."b c"."d\\"e"."f.g"'),
    ],
)
def test_show(path: Path, text: str) -> None:
    assert show(path) == text


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "nothing"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "text"),
        ([], "a list"),
        ({}, "a mapping"),
        (object(), "something else"),
    ],
)
def test_kind(value: object, name: str) -> None:
    assert kind(value) == name


def test_looking_for_what_is_not_there_finds_nothing() -> None:
    assert mapping([]) == {}
    assert listing({}) == []
    assert map_text({"a": ["b", 1, None]}, str.upper) == {"a": ["B", 1, None]}
