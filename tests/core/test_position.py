from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.position import Position, parse_position

EPOCHS = st.text("0123456789abcdefXYZ_-", min_size=1, max_size=32)


@given(EPOCHS, st.integers(0, 10**18 - 1))
def test_its_string_form_reads_back(epoch: str, offset: int) -> None:
    position = Position(epoch, offset)
    assert parse_position(str(position)) == position


@given(st.text())
def test_nothing_but_its_string_form_is_a_position(text: str) -> None:
    try:
        assert str(parse_position(text)) == text
    except ValueError as error:
        assert "expected EPOCH.OFFSET" in str(error)  # noqa: PT017 - either is right, and both are checked


LOOK_ALIKES = ["", ".", "a.", ".1", "a.1.2", "a.-1", "a.+1", "a.01", "a. 1", "a.1\n", "ä.1", "a.\uff11"]


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_look_alikes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        parse_position(text)
