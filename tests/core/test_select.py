from __future__ import annotations

import pytest

from gateway.core.event import Json
from gateway.core.select import compiled, select
from gateway.core.settings import Items


def at(expression: str | None) -> Items:
    return Items(at=expression)


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        (None, {"data": {"rows": [{"id": 1}, {"id": 2}]}}),
        ("data.rows", [{"id": 1}, {"id": 2}]),
        ("data.rows[?id > `1`]", [{"id": 2}]),
        ("nothing.there", None),
    ],
)
def test_selects(expression: str | None, selected: Json) -> None:
    assert select({"data": {"rows": [{"id": 1}, {"id": 2}]}}, at(expression)) == selected


def test_an_expression_is_compiled_once() -> None:
    assert compiled("a.b") is compiled("a.b")


def test_what_is_no_expression() -> None:
    with pytest.raises(ValueError, match=r"a\.\["):
        compiled("a.[")


@pytest.mark.parametrize("document", [["SECRET"], {"a": "SECRET"}, "SECRET"])
def test_a_failing_expression_does_not_show_the_data(document: Json) -> None:
    with pytest.raises(ValueError, match="cannot be applied to the answer") as caught:
        select(document, at("sum(@)"))
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("expression", "document"),
    [
        ("[].to_number(@)", ["nan"]),
        ("[].to_number(@)", ["1.5", "nan", "2.5"]),
        ("[].{price: to_number(price)}", [{"price": "1"}, {"price": "-inf"}]),
        ("sum(@)", [1e308, 1e308]),
        ("avg(@)", [1e308, 1e308]),
    ],
)
def test_numbers_that_json_does_not_have(expression: str, document: Json) -> None:
    with pytest.raises(ValueError, match="makes a number that JSON does not have"):
        select(document, at(expression))


def test_functions_that_make_good_numbers() -> None:
    assert select(["1.5", "2"], at("[].to_number(@)")) == [1.5, 2]
