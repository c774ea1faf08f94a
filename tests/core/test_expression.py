"""JMESPath as closures gives what the library gives, for written cases and for generated ones."""

from __future__ import annotations

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from gateway.core.event import Json
from gateway.core.expression import compile_expression

DOCUMENT: Json = {
    "a": {"b": {"c": 1, "d": [1, 2, 3, None]}, "e": "text"},
    "list": [{"id": 2, "n": "x", "tags": ["p"]}, {"id": 1, "n": "y", "tags": []}, {"id": 3}, 7, None, ["in"]],
    "claims": {"sub": "u1", "roles": ["staff", "admin"], "age": 41, "zero": 0, "yes": True, "no": False, "n": None},
    "params": {"id": "u1"},
    "empty": [],
    "odd name": {"x.y": 5},
}
CASES = [
    "@", "a", "a.b.c", "a.b.missing.c", "a.e.length", "missing", '"odd name"."x.y"',
    "a.b.d[0]", "a.b.d[-1]", "a.b.d[9]", "a.b.d[-9]", "a.b.d[1:3]", "a.b.d[::-1]", "a.e[0]", "a.e[1:2]",
    "list[*].id", "list[].tags", "list[].tags[]", "list[*].tags[*]", "a.*", "a.*.d", "claims.*", "empty.*", "empty[*]",
    "list[?id > `1`].n", "list[?id > `1`]", "list[?n == 'x'].id | [0]", "list[?tags].id", "a[?b]", "list[?!id]",
    "list[?id == `1` || id == `3`].id", "list[?id >= `1` && id <= `2`].id", "list[?n < 'y']",
    "list[?n != 'x'] | [0].id",
    "claims.age == `41`", "claims.zero == `false`", "claims.yes == `1`", "claims.no == `0`", "claims.yes == `true`",
    "claims.n == missing", "claims.n == `null`", "claims.roles == ['staff', 'admin']", "claims.age > claims.sub",
    "!claims.zero", "!claims.no", "!empty", "!claims.roles", "claims.zero || 'x'", "empty || 'x'", "missing && a",
    "claims.sub == params.id", "claims.role == 'staff' || claims.sub == params.id",
    "{x: a.b.c, y: list[0].id}", "[a.b.c, missing]", "missing.{x: a}", "missing.[a]", "list[*].{i: id}",
    "contains(claims.roles, 'admin')", "contains(a.e, 'ex')", "length(list)", "keys(claims)", "join(',', claims.roles)",
    "sort(claims.roles)", "sort_by(list[:3], &id)[*].id", "max_by(list[:3], &id).n", "map(&id, list[:3])",
    "to_string(a)",
    "min(a.b.d[:3])", "not_null(missing, claims.n, 'x')", "type(claims.yes)", "starts_with(claims.sub, 'u')",
    "merge(a, params)", "reverse(claims.roles)", "sum(a.b.d[:3])", "abs(`-1`)", "`{\"a\": 1}`.a", "'raw'",
    "list | length(@)",
    "length(missing)", "contains(claims.age, 'x')", "sum(claims.roles)", "sort_by(list, &id)", "to_number('x')",
]  # fmt: skip


def theirs(text: str, value: Json) -> object:
    try:
        return jmespath.search(text, value)
    except (JMESPathError, TypeError, AttributeError):
        return ValueError


def ours(text: str, value: Json) -> object:
    try:
        return compile_expression(text)(value)
    except ValueError:
        return ValueError


@pytest.mark.parametrize("text", CASES)
def test_each_case_is_what_the_library_says(text: str) -> None:
    found = ours(text, DOCUMENT)
    assert (type(found), found) == (type(theirs(text, DOCUMENT)), theirs(text, DOCUMENT))


_NAMES = st.sampled_from(["a", "b", "c", "list", "id", "claims", "@"])
_LITERALS = st.sampled_from(["`1`", "`0`", "`true`", "`null`", "`[]`", "'x'", "`[1, [2]]`"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, _NAMES).map(lambda two: f"{two[0]}.{two[1]}" if two[1] != "@" else two[0]),
        pairs.map(lambda two: f"{two[0]} | {two[1]}"),
        st.tuples(inner, st.sampled_from(["==", "!=", "<", ">="]), inner).map(" ".join),
        pairs.map(lambda two: f"({two[0]}) && ({two[1]})"),
        pairs.map(lambda two: f"({two[0]}) || ({two[1]})"),
        inner.map(lambda one: f"!({one})"),
        inner.map(lambda one: f"({one})[*]"),
        inner.map(lambda one: f"({one})[]"),
        inner.map(lambda one: f"({one})[0]"),
        inner.map(lambda one: f"({one})[::2]"),
        inner.map(lambda one: f"({one}).*"),
        pairs.map(lambda two: f"({two[0]})[?{two[1]}]"),
        pairs.map(lambda two: f"[{two[0]}, {two[1]}]"),
        inner.map(lambda one: f"{{k: {one}}}"),
        inner.map(lambda one: f"length({one})"),
        inner.map(lambda one: f"type({one})"),
        pairs.map(lambda two: f"map(&{two[0]}, {two[1]})"),
    )


EXPRESSIONS = st.recursive(_NAMES | _LITERALS, _grown, max_leaves=6)
KEYS = st.sampled_from(["a", "b", "c", "list", "id", "claims"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x", "y", 0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(EXPRESSIONS, VALUES)
def test_whatever_is_asked_of_whatever(text: str, value: Json) -> None:
    try:
        jmespath.compile(text)
    except JMESPathError:
        return
    expected = theirs(text, value)
    assert repr(ours(text, value)) == repr(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a[", "not a JMESPath expression"),
        ("", "not a JMESPath expression"),
        ("nosuch(a)", "there is no function nosuch()"),
        ("a[?nosuch(b)]", "there is no function nosuch()"),
        ("length()", "length() takes 1, not 0"),
        ("length(a, b)", "length() takes 1, not 2"),
        ("not_null()", "not_null() takes at least 1, not 0"),
        ("a[::0]", "the step of a slice is not 0"),
        ("(" * 3000 + "a" + ")" * 3000, "nested too deeply"),
    ],
)
def test_mistakes_are_found_when_it_is_compiled(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="not a JMESPath expression") as wrong:
        compile_expression(text)
    assert words in str(wrong.value)


def test_a_failure_tells_nothing_of_the_data() -> None:
    with pytest.raises(ValueError, match=r"^'sum\(a\)' cannot be applied$"):
        compile_expression("sum(a)")({"a": ["s3cret"]})
