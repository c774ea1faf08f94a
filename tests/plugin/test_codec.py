"""The codec contract, on every installed codec."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugin import Codec, Json
from tests.plugin.installed import make, names

VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def codec(name: str) -> Codec:
    return cast("Codec", make("codecs", name))


@pytest.mark.parametrize("name", names("codecs"))
@given(value=VALUES)
def test_what_is_encoded_reads_back(name: str, value: Json) -> None:
    assert codec(name).decode(codec(name).encode(value)) == value


@pytest.mark.parametrize("name", names("codecs"))
def test_it_is_called_as_it_is_installed_and_text_is_one_line(name: str) -> None:
    assert codec(name).name == name
    if not codec(name).binary:
        assert b"\n" not in codec(name).encode({"a": "\n", "b": [1, 2]})


@pytest.mark.parametrize("name", names("codecs"))
@given(data=st.binary(max_size=40))
def test_garbage_is_a_value_error(name: str, data: bytes) -> None:
    try:
        codec(name).decode(data)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right: some bytes are values
