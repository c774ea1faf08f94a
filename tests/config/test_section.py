"""What sections have in common."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.section import Count, Memory, Patience, Section, Time


class One(Section):
    number: int = 1
    """a number"""


def test_the_text_under_a_key_is_its_description() -> None:
    assert One.model_fields["number"].description == "a number"


def test_unknown_keys_are_mistakes() -> None:
    with pytest.raises(ValidationError):
        One.model_validate({"numbre": 2})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [(Count, 1, 0), (Time, "1ms", "0s"), (Patience, "5s", "4s"), (Memory, "1KB", "1B")],
    ids=["count", "time", "patience", "memory"],
)
def test_bounds(kind: Any, good: object, bad: object) -> None:
    adapter: TypeAdapter[float] = TypeAdapter(kind)
    assert adapter.validate_python(good) > 0
    with pytest.raises(ValidationError):
        adapter.validate_python(bad)
