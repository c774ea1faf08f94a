"""Forms as JSON."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event import Json
from gateway.core.form import form

decode = msgspec.json.decode


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"", {}),
        (b"From=%2B4930&Body=gr%C3%BCn+und+blau&Media=", {"From": "+4930", "Body": "gr\u00fcn und blau", "Media": ""}),
        (b"a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        (b"payload=%7B%22id%22%3A7%7D", {"id": 7}),
        (b"payload=%7B%7D&a=b", {"payload": "{}", "a": "b"}),
        (b"payload=1&payload=2", {"payload": ["1", "2"]}),
    ],
)
def test_fields_by_name(body: bytes, document: Json) -> None:
    assert form(body, decode) == document


@pytest.mark.parametrize(
    "body", [b"{}", b"a=%FF", b"\xff=1", b"payload=%7B", b"a&b", b"&".join([b"a=b"] * 1001)], ids=range(6)
)
def test_what_is_no_form(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        form(body, decode)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8")).filter("payload".__ne__),
        st.text(st.characters(codec="utf-8")),
        max_size=5,
    )
)
def test_any_fields(fields: dict[str, str]) -> None:
    assert form(urlencode(fields).encode(), decode) == fields
