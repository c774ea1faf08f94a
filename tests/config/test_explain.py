"""Pydantic's findings as sentences at places; golden files show most of them."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from gateway.config.explain import explain, keys_at, place
from gateway.config.reader import read
from gateway.plugin.options import Duration, Options


class Steps(Options):
    base: Duration
    most: Duration = 1.0


class Part(Options):
    pace: Duration | Steps = 1.0
    kind: Literal["a", "b"] = "a"
    count: Annotated[int, Field(gt=0, lt=10)] = 1
    word: Annotated[str, Field(min_length=2, max_length=3, pattern="^[a-z]+$")] = "ab"
    flag: bool = False
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    items: Annotated[list[int], Field(max_length=2)] = Field(default=[])


class Whole(Options):
    parts: list[Part] = Field(default=[])
    named: dict[str, Part | None] = Field(default={})


def told(text: str) -> list[str]:
    tree, _ = read("f", text.encode())
    with pytest.raises(ValidationError) as wrong:
        Whole.model_validate(tree.value)
    return [str(problem) for problem in explain(wrong.value, tree, Whole)]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("pace: 3", "pace: expected a duration such as 500ms, 2s, 5m or 1h"),
        ("pace: {bse: 3s}", "pace.bse: unknown key 'bse', did you mean 'base'?"),
        ("pace: {base: 3}", "pace.base: expected a duration such as 500ms, 2s, 5m or 1h"),
        ("pace: {most: 3s}", "pace.base: this key is required"),
        ("kind: c", "kind: expected one of a, b, did you mean 'a'?"),
        ("kind: [a]", "kind: expected one of a, b"),
        ("count: 0", "count: must be more than 0"),
        ("count: 10", "count: must be less than 10"),
        ("count: 1.0", "count: expected a whole number, got a number"),
        ("word: a", "word: must have at least 2 characters"),
        ("word: abcd", "word: must have at most 3 characters"),
        ("word: AB", "word: must look like ^[a-z]+$"),
        ("word: 12", "word: expected text, got a number: put it in quotes"),
        ("word: ", "word: is empty: give a value or remove the key"),
        ("flag: yes", "flag: expected true or false, got text"),
        ("share: x", "share: expected a number, got text"),
        ("share: -1", "share: must be at least 0.0"),
        ("share: 2", "share: must be at most 1.0"),
        ("items: [1, 2, 3]", "items: must hold at most 2"),
        ("items: [1, x]", "items[1]: expected a whole number, got text"),
        ("x: 1", "x: unknown key 'x', known here: count, flag, items, kind, pace, share, word"),
    ],
)
def test_one_mistake_is_one_sentence(part: str, message: str) -> None:
    for where, text in (("parts[0]", f"parts:\n  - {part}"), ("named.n", f"named:\n  n:\n    {part}")):
        assert [line.split(": ", 1)[1] for line in told(text)] == [f"{where}.{message}"]


def test_an_unknown_key_is_shown_itself_and_a_missing_one_at_its_mapping() -> None:
    assert told("parts:\n  - kind: a\n    pace: {zzz: 1s}") == [
        "f:3:12: parts[0].pace.zzz: unknown key 'zzz', known here: base, most",
        "f:3:11: parts[0].pace.base: this key is required",
    ]


def test_a_misspelt_key_is_not_told_as_missing_too() -> None:
    assert len(told("parts: [{pace: {bas: 1s}}]")) == 1


def test_place_leaves_out_what_is_no_key() -> None:
    tree, _ = read("f", b"a: [{b: 1}]")
    assert place(tree, ("a", "tag", 0, "Model", "b", "float")) == ("a", 0, "b")


def test_keys_at() -> None:
    assert keys_at(Whole, ()) == {"parts", "named"}
    assert keys_at(Whole, ("parts", 3, "pace")) == {"base", "most"}
    assert keys_at(Whole, ("named", "x", "kind")) == set()
    assert keys_at(Whole, ("nothing", "here")) == set()
