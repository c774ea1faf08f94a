from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.partial import Partial

LIMIT = 1000
Way = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def empty_parts_between(data: bytes) -> list[bytes]:
    return [b"", *(part for byte in data for part in (bytes([byte]), b""))]


WAYS = [whole, bytewise, empty_parts_between]


def deflated(data: bytes, window: int = 15) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -window)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def final(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


def joined(parts: list[bytes], *, text: bool = False, window: int = 0) -> str | bytes:
    message = Partial(text=text, limit=LIMIT, window=window)
    for part in parts:
        message.add(part)
    return message.end()


@pytest.mark.parametrize("way", WAYS)
def test_parts_become_a_message(way: Way) -> None:
    assert joined(way(b"\xff\x00")) == b"\xff\x00"
    assert joined(way("né€".encode()), text=True) == "né€"


@pytest.mark.parametrize("way", WAYS)
def test_compressed_parts_become_a_message(way: Way) -> None:
    assert joined(way(deflated(b"")), window=15) == b""
    assert joined(way(deflated(b"\xff" * 500)), window=15) == b"\xff" * 500
    assert joined(way(deflated("né€".encode())), text=True, window=15) == "né€"


@pytest.mark.parametrize("way", WAYS)
def test_a_last_block(way: Way) -> None:
    """The example of RFC 7692 section 7.2.3.5, and the same without the byte after the block."""
    assert joined(way(bytes.fromhex("f348cdc9c9070000")), text=True, window=15) == "Hello"
    assert joined(way(final(b"Hello")), window=15) == b"Hello"
    with pytest.raises(ValueError, match="goes on after its end"):
        joined(way(final(b"Hello") + deflated(b"more")), window=15)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("data", [b"\xff", b"a\xed\xa0\x80", b"\xe2\x82"], ids=["byte", "surrogate", "end"])
def test_text_that_is_not_utf8(way: Way, data: bytes) -> None:
    with pytest.raises(ValueError, match="not UTF-8"):
        joined(way(data), text=True)
    with pytest.raises(ValueError, match="not UTF-8"):
        joined(way(deflated(data)), text=True, window=15)


def test_text_is_refused_as_soon_as_it_is_wrong() -> None:
    message = Partial(text=True, limit=LIMIT, window=0)
    message.add(b"fine \xe2\x82")
    with pytest.raises(ValueError, match="not UTF-8"):
        message.add(b"!")


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_deflate(way: Way) -> None:
    with pytest.raises(ValueError, match="broken"):
        joined(way(b"\x07\xff\xff"), window=15)


def test_a_window_that_was_not_agreed_on() -> None:
    noise = b"".join(bytes([number, number ^ 0x55]) for number in range(100))
    far = deflated(noise + bytes(600) + noise)  # a repetition over 800 bytes, further than 2^9
    assert joined(bytewise(far), window=15)
    with pytest.raises(ValueError, match="broken"):
        joined(bytewise(far), window=9)


@pytest.mark.parametrize("way", WAYS)
def test_the_limit_is_that_of_the_message(way: Way) -> None:
    assert joined(way(deflated(b"x" * LIMIT)), window=15) == b"x" * LIMIT
    with pytest.raises(OverflowError):
        joined(way(deflated(b"x" * (LIMIT + 1))), window=15)


def test_a_bomb_is_not_inflated() -> None:
    bomb = deflated(bytes(50_000_000))
    assert len(bomb) < 50_000
    message = Partial(text=False, limit=100_000, window=15)
    with pytest.raises(OverflowError):
        message.add(bomb)
    assert len(message._data) <= 100_000


@given(st.binary(max_size=LIMIT))
def test_room_is_left_for_what_does_not_compress(data: bytes) -> None:
    assert len(deflated(data)) <= Partial(text=False, limit=len(data), window=15).room


@given(st.binary(max_size=LIMIT), st.integers(9, 15), st.integers(1, 40))
def test_whatever_zlib_makes_comes_back(data: bytes, window: int, step: int) -> None:
    sent = deflated(data, window)
    assert joined([sent[at : at + step] for at in range(0, len(sent), step)], window=window) == data
