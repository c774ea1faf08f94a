from __future__ import annotations

import msgspec
import pytest

from gateway.demo.models import Credentials, OrderForm, ShirtEdit, ShirtForm

SHIRT: dict[str, object] = {"name": "Gull", "size": "M", "colour": "white", "price": 1900, "stock": 3}


@pytest.mark.parametrize("text", ["G", "Gull", "Spring tide", "Möwe 🕊", "a" * 80, "a  b"])
def test_text_that_can_be_shown_is_taken(text: str) -> None:
    assert msgspec.convert({**SHIRT, "name": text}, ShirtForm).name == text


@pytest.mark.parametrize("text", ["", " ", " Gull", "Gull ", "Gull\n", "a\nb", "a\x00b", "\x7f", "a" * 81, 7, None])
def test_text_that_cannot_be_shown_is_refused(text: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**SHIRT, "name": text}, ShirtForm)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "m"),
        ("price", -1),
        ("price", 19.0),
        ("price", True),
        ("price", 10**6 + 1),
        ("stock", -1),
        ("stock", "3"),
        ("id", 0),
        ("id", 2**63),
        ("colour", {}),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({**SHIRT, field: value}, ShirtForm)
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: value}, ShirtEdit)


@pytest.mark.parametrize("form", [ShirtForm, ShirtEdit, OrderForm, Credentials])
def test_unknown_fields_are_mistakes(form: type[object]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `nmae`"):
        msgspec.convert({"nmae": 1}, form)


def test_a_long_password_is_refused_before_it_is_hashed() -> None:
    with pytest.raises(msgspec.ValidationError, match="length <= 200"):
        msgspec.convert({"user": "ada", "password": "x" * 201}, Credentials)
