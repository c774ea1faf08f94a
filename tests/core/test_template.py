from __future__ import annotations

import pytest

from gateway.core.event import Json
from gateway.core.template import Values, header_value, parse

VALUES: Values = {
    "claims": {
        "sub": "ada",
        "n": 7,
        "yes": True,
        "none": None,
        "empty": "",
        "roles": ["a,b", "c"],
        "deep": {"x": {"y-z": "found"}},
        "https://example.com/tenant": "t1",
        "smiley": "é",
    },
    "params": {"id": "42"},
}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("", None),
        ("${claims.sub}", "ada"),
        ("u-${claims.sub}/${params.id}!", "u-ada/42!"),
        ("${claims.n}${claims.yes}", "7true"),
        ("${claims.roles}", '["a,b","c"]'),
        ("${claims.deep.x.y-z}", "found"),
        ("${claims.deep}", '{"x":{"y-z":"found"}}'),
        ('${claims."https://example.com/tenant"}', "t1"),
        ("${claims.smiley}", "é"),
        ("${claims.empty}", None),
        ("x${claims.empty}", "x"),
        ("x${claims.none}", None),
        ("x${claims.missing}", None),
        ("${claims.sub.more}", None),
        ("${params.sub}", None),
    ],
)
def test_places_are_filled(text: str, rendered: str | None) -> None:
    assert parse(text)(VALUES) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "${claims}",
        "${claims.}",
        "${claims.a",
        "${CLAIMS.a}",
        "${body.a}",
        "${}",
        "${claims.a b}",
        '${claims."a}',
        "${a.b}",
    ],
)
def test_places_that_name_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\$\{"):
        parse(text)


@pytest.mark.parametrize("text", ["a\r\nX-Admin: 1", "a\nb", "a\0", " a", "a ", "a\tb\x7f", "\u0085\x1b", "\t"])
def test_what_would_be_more_or_less_than_a_header_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be a header"):
        header_value(text)


@pytest.mark.parametrize(("text", "value"), [("ada", b"ada"), ("a b", b"a b"), ("é", "é".encode())])
def test_header_values(text: Json, value: bytes) -> None:
    assert header_value(str(text)) == value
