from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugin import MAX_DEPTH, Codec, Context, Json
from gateway.testing.clock import ManualClock
from gateway_plugins.codecs.json import JsonOptions, plugin

CODEC: Codec = plugin.make(JsonOptions(), Context(clock=ManualClock()))

VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_what_it_is() -> None:
    assert (CODEC.name, CODEC.binary) == ("json", False)


@given(VALUES)
def test_round_trip(value: Json) -> None:
    data = CODEC.encode(value)
    assert b"\n" not in data
    assert repr(CODEC.decode(data)) == repr(value)
    assert repr(CODEC.decode(data.decode())) == repr(value)


@given(st.integers(-(10**4000), 10**4000))
def test_integers_of_any_size_are_exact(number: int) -> None:
    assert CODEC.decode(CODEC.encode([number])) == [number]


def test_it_is_compact() -> None:
    assert CODEC.encode({"a": [1, "é\n"], "b": None}) == '{"a":[1,"é\\n"],"b":null}'.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"[1,",
        b"[1]x",
        b"1 2",
        b"{'a':1}",
        b"[1,]",
        b"NaN",
        b"[Infinity]",
        b"-",
        b"01",
        b"1e400",
        b'"\\ud800"',
        b'"a\nb"',
        b"\xef\xbb\xbf1",
        b"9" * 5000,
        "\ufeff1",
        "nul",
    ],
)
def test_what_is_not_one_whole_value(data: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"^not JSON: "):
        CODEC.decode(data)


@pytest.mark.parametrize("data", [b'"\xff"', b'["\xc3"]', b'{"\xed\xa0\x80":1}', '"\ud800"'])
def test_what_is_not_utf_8(data: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"^JSON is not UTF-8$"):
        CODEC.decode(data)


@pytest.mark.parametrize("data", [b'{"SECRET":1e400}', b'["SECRET', b'{"SECRET":SECRET}', b'{"a":"SECRET\x01"}'])
def test_a_reason_holds_nothing_of_the_data(data: bytes) -> None:
    with pytest.raises(ValueError, match="JSON") as caught:
        CODEC.decode(data)
    assert "SECRET" not in str(caught.value)
    assert len(str(caught.value)) < 100
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 1_000_000])
def test_what_is_nested_too_deeply(depth: int) -> None:
    for data in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        with pytest.raises(ValueError, match=r"^JSON is nested too deeply$"):
            CODEC.decode(data)
        with pytest.raises(ValueError, match=r"^JSON is nested too deeply$"):
            CODEC.decode(data.decode())


def test_what_is_wide_or_just_deep_enough() -> None:
    assert CODEC.decode(b"[" + b"[]," * 10_000 + b"[]]") == [[]] * 10_001
    CODEC.decode(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@given(VALUES.filter(lambda value: isinstance(value, (list, dict)) and bool(value)))
def test_every_beginning_is_refused(value: Json) -> None:
    data = CODEC.encode(value)
    for end in range(len(data)):
        with pytest.raises(ValueError, match="JSON"):
            CODEC.decode(data[:end])


def test_of_equal_names_the_last_wins() -> None:
    assert CODEC.decode(b'{"a":1,"a":2}') == {"a": 2}


def test_signs_and_zeros() -> None:
    zero = CODEC.decode(b"-0.0")
    assert isinstance(zero, float)
    assert math.copysign(1, zero) == -1
