"""References to the environment and to files: inside strings, after parsing, secrets remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.expand import MAX_FILE, expand
from gateway.config.reader import read
from gateway.config.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"NAME": "world", "EMPTY": "", "API_TOKEN": "s3cr3t", "PIN_KEY": "77", "STRUCTURE": "x, y: [1]\nz: 2"}


def expanded(text: str, file: str = "f") -> tuple[Tree, list[str]]:
    tree, problems = read(file, text.encode())
    assert problems == []
    return tree, [str(problem) for problem in expand(tree, ENVIRON)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("hello", "hello"),
        ("hello ${NAME}", "hello world"),
        ("${NAME}${NAME}", "worldworld"),
        ("${UNSET:-there}", "there"),
        ("${UNSET:-}", ""),
        ("${EMPTY:-there}", "there"),
        ("${EMPTY}", ""),
        ("${NAME:-there}", "world"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME $ $$", "$NAME $ $$"),
        ("${STRUCTURE}", "x, y: [1]\nz: 2"),
    ],
)
def test_expands(text: str, value: str) -> None:
    tree, problems = expanded(f"a: ['{text}']")
    assert problems == []
    assert tree.value == {"a": [value]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${UNSET}", "the environment variable UNSET is not set"),
        ("${NAME", "without its }"),
        ("${}", "expected ${NAME}"),
        ("${bodies.type}", "expected ${NAME}"),
        ("${1A}", "expected ${NAME}"),
        ("${NAME-x}", "expected ${NAME}"),
        ("${file:}", "cannot read"),
        ("${file:/none}", "cannot read /none: No such file"),
    ],
)
def test_cannot_expand(text: str, words: str) -> None:
    _, problems = expanded(f"a: x\nb:\n  - '{text}'")
    assert len(problems) == 1
    assert problems[0].startswith("f:3:5: b[0]: ")
    assert words in problems[0]


def test_keys_are_left_alone() -> None:
    tree, _ = expanded("${NAME}: 1")
    assert tree.value == {"${NAME}": 1}


def test_a_file_is_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    tree, problems = expanded("a: 'x-${file:token}'", str(tmp_path / "c.yaml"))
    assert problems == []
    assert tree.value == {"a": "x-from-file"}
    assert (tree.hidden, tree.secrets) == ({("a",)}, {"from-file"})


@pytest.mark.parametrize(("content", "words"), [(b"\xff", "not UTF-8"), (b"x" * (MAX_FILE + 1), "larger than 64 KB")])
def test_a_file_is_bounded_text(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "token").write_bytes(content)
    _, problems = expanded("a: '${file:token}'", str(tmp_path / "c.yaml"))
    assert words in problems[0]


def test_secrets_are_remembered() -> None:
    tree, _ = expanded("a: '${API_TOKEN}'\nb: '${NAME}'\nc: '${PIN_KEY}'\nd: '${DB_PASSWORD:-changeme}'")
    assert tree.expanded == {("a",), ("b",), ("c",), ("d",)}
    assert tree.hidden == {("a",), ("c",), ("d",)}
    assert tree.secrets == {"s3cr3t"}


@given(st.text(max_size=20))
def test_a_value_never_changes_the_structure(value: str) -> None:
    tree, _ = read("f", b"a: {b: '${X}', c: [1]}")
    assert expand(tree, {"X": value}) == []
    assert tree.value == {"a": {"b": value, "c": [1]}}
