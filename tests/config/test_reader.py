"""YAML to a tree: version 1.2, strict, bounded, every place known."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.reader import MAX_BYTES, MAX_DEPTH, read, resolve, scalar
from gateway.config.tree import Path, Tree, Value
from gateway.errors import ConfigError


def tree(text: str) -> Tree:
    made, problems = read("f", text.encode())
    assert problems == []
    return made


def refusal(data: str | bytes) -> str:
    """The only mistake, whether or not there is something to go on with."""
    try:
        _, problems = read("f", data if isinstance(data, bytes) else data.encode())
    except ConfigError as error:
        problems = error.problems
    assert len(problems) == 1
    return str(problems[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'null'", "null"),
        ("012", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0xff", 255),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        ("1.2.3", "1.2.3"),
        ("2026-01-02", "2026-01-02"),
        ("=", "="),
        ("'<<'", "<<"),
        ("|\n  a\n  b", "a\nb"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Value) -> None:
    assert tree(f"a: {text}").value == {"a": value}


def test_every_value_and_key_has_its_place() -> None:
    made = tree("a:\n  - b: 1\n    c: [x, y]\n")
    places: dict[Path, tuple[int, int]] = {path: mark[1:] for path, mark in made.marks.items()}
    assert places[("a", 0, "c", 1)] == (3, 12)
    assert places[("a", 0, "b")] == (2, 8)
    assert made.keys[("a", 0, "c")][1:] == (3, 5)
    assert made.marks[()] == ("f", 1, 1)


def test_columns_count_characters() -> None:
    assert tree("a: {é: x, b: y}").marks[("a", "b")].column == 14


def test_an_alias_has_the_place_of_its_anchor_under_every_path() -> None:
    made = tree("a: &x {b: 1}\nc: *x\n")
    assert made.value == {"a": {"b": 1}, "c": {"b": 1}}
    assert made.marks[("c", "b")] == made.marks[("a", "b")]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert tree(text).value == {}


def test_a_byte_order_mark_is_no_matter() -> None:
    assert read("f", b"\xef\xbb\xbfa: 1")[0].value == {"a": 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a: 1\na: 2", "f:2:1: a: duplicate key 'a', first at line 1"),
        ("a: !!python/name:os.system x", "f:1:4: tags are not used here"),
        ("a: !include x", "f:1:4: tags are not used here"),
        ("{[1]: 2}", "f:1:2: a key must be text"),
        ("1: 2", 'f:1:1: a key must be text: write "1" in quotes'),
        ("<<: {a: 1}", "f:1:1: merge keys (<<) are not used here"),
        ("a: 99999999999999999999", "f:1:4: a: this number is too large"),
        ("a: " + "9" * 5000, "f:1:4: a: this number is too large"),
        ("- a", "f:1:1: expected a mapping"),
        ("a: [", "f:2:1: not YAML"),
        ("a: @b", "f:1:4: not YAML: a value begins with"),
        ("a: *b", "f:1:4: not YAML: an alias"),
        ("a: 1\n--- \nb: 2", "f:2:1: a second document"),
        (b"a: \xff", "f:1:4: the file is not UTF-8 text"),
        (b"ab: x\nc: \xc3\x28", "f:2:4: the file is not UTF-8 text"),
        ("a: \x00", "not YAML"),
        ("a: \x1b", "not YAML"),
        (b"#" * (MAX_BYTES + 1), "larger than 1024 KB"),
        ("a: &a [*a]", "an alias inside itself"),
        ("a: &a {b: *a}", "an alias inside itself"),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 32"),
        ("a: " + "[" * 500_000, "nested deeper than 32"),
        ("- " * 200_000, "nested deeper than 32"),
    ],
)
def test_refused(data: str | bytes, words: str) -> None:
    assert words in refusal(data)


def test_a_billion_laughs_are_cut_short() -> None:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "more than 100000 values, aliases included" in refusal("\n".join(lines))


def test_the_rest_of_a_bad_mapping_is_read() -> None:
    made, problems = read("f", b"a: 1\na: 2\n3: 4\nb: !x y\n")
    assert made.value == {"a": 1, "b": "y"}
    assert len(problems) == 3


@given(st.text(max_size=60) | st.text("{}[]&*!:-,#|>'\"%@ \n\tab1~<", max_size=40))
def test_any_text_is_a_tree_or_a_refusal(text: str) -> None:
    try:
        made, _ = read("f", text.encode("utf-8", "surrogatepass"))
    except ConfigError:
        return
    assert isinstance(made.value, dict)


KEYS = st.text("abcé ", min_size=1, max_size=4)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text("ab:#-{ 1é\n", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_what_yaml_writes_is_read_back(value: dict[str, Value]) -> None:
    made = tree(yaml.safe_dump(value, allow_unicode=True))
    assert made.value == value
    assert {path for path in made.marks if path} >= set(made.keys)


def test_text_from_outside_is_read_as_unquoted_text_is() -> None:
    assert [resolve(text) for text in ("64", "true", "", "1.5", "x", "9" * 30)] == [64, True, None, 1.5, "x", "9" * 30]
    assert scalar("a", "tag:yaml.org,2002:str") == "a"
