from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugin import MAX_DEPTH, Codec, Context, Json
from gateway.testing.clock import ManualClock
from gateway_plugins.codecs.msgpack import MsgpackOptions, plugin

CODEC: Codec = plugin.make(MsgpackOptions(), Context(clock=ManualClock()))

FITTING = st.integers(-(2**63), 2**64 - 1)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | FITTING | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_what_it_is() -> None:
    assert (CODEC.name, CODEC.binary) == ("msgpack", True)


@given(VALUES)
def test_round_trip(value: Json) -> None:
    assert repr(CODEC.decode(CODEC.encode(value))) == repr(value)


@pytest.mark.parametrize(
    ("number", "arrives"),
    [
        (2**64 - 1, 2**64 - 1),
        (2**64, "18446744073709551616"),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, "-9223372036854775809"),
        (10**40, "1" + "0" * 40),
    ],
)
def test_integers_beyond_64_bits_are_decimal_strings(number: int, arrives: Json) -> None:
    assert CODEC.decode(CODEC.encode({"a": [number, 1.5, None, True], "b": "x"})) == {
        "a": [arrives, 1.5, None, True],
        "b": "x",
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        b"\x81\xa1a",
        b"\xd9\x05ab",
        b"\xda\xff\xffab",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\x01\x02",
        b"\x81\xc0\x02",
        b"\x81\x90\x02",
        b"\xd4\x01\x00",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xc7\x00\x05",
        b"\xc9\xff\xff\xff\xff\x05",
    ],
)
def test_what_is_not_messagepack_or_not_json(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not MessagePack: ."):
        CODEC.decode(data)


@pytest.mark.parametrize(
    "value", [b"", b"bin", [b"x"], {"a": {"b": b"x"}}, {b"key": 1}, [float("nan")], {"a": float("-inf")}]
)
def test_what_json_does_not_have(value: object) -> None:
    with pytest.raises(ValueError, match=r"^MessagePack holds what JSON does not"):
        CODEC.decode(msgpack.packb(value))


def test_a_short_float_that_is_not_a_number() -> None:
    with pytest.raises(ValueError, match="NaN"):
        CODEC.decode(b"\xca" + struct.pack(">f", float("nan")))


def test_text_that_is_not_utf_8() -> None:
    with pytest.raises(ValueError, match=r"^MessagePack holds text that is not UTF-8$"):
        CODEC.decode(b"\xa1\xff")


def test_text_is_not_messagepack() -> None:
    with pytest.raises(ValueError, match=r"^MessagePack is binary, not text$"):
        CODEC.decode("1")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 1_000_000])
def test_what_is_nested_too_deeply(depth: int) -> None:
    for step in (b"\x91", b"\x81\xa1a"):
        with pytest.raises(ValueError, match=r"^MessagePack is nested too deeply$"):
            CODEC.decode(step * depth + b"\x01")


@given(VALUES)
def test_every_beginning_and_every_tail_is_refused(value: Json) -> None:
    data = CODEC.encode(value)
    for end in range(len(data)):
        with pytest.raises(ValueError, match="MessagePack"):
            CODEC.decode(data[:end])
    with pytest.raises(ValueError, match=r"^MessagePack goes on after the value$"):
        CODEC.decode(data + b"\x00")


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        value = CODEC.decode(data)
    except ValueError as error:
        assert "MessagePack" in str(error)  # noqa: PT017 - either way is right here
    else:
        assert repr(CODEC.decode(CODEC.encode(value))) == repr(value)
