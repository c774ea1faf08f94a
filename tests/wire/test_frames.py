from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from gateway.wire.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    binary_frame,
    close_frame,
    is_close_code,
    ping_frame,
    pong_frame,
    split,
    text_frame,
)

SIZES = (0, 1, 125, 126, 127, 0xFFFF, 0x10000)


def read_by_websockets(data: bytes) -> list[tuple[int, bytes]]:
    peer = Protocol(CLIENT, state=OPEN, max_size=None)
    peer.receive_data(data)
    assert peer.parser_exc is None
    return [(frame.opcode, bytes(frame.data)) for frame in peer.events_received()]  # type: ignore[union-attr]


@pytest.mark.parametrize("size", SIZES)
def test_messages_of_every_length_form_are_understood(size: int) -> None:
    payload = b"x" * size
    assert read_by_websockets(text_frame(payload)) == [(Opcode.TEXT, payload)]
    assert read_by_websockets(binary_frame(payload)) == [(Opcode.BINARY, payload)]


def test_control_frames_are_understood() -> None:
    assert read_by_websockets(ping_frame(b"p") + pong_frame(b"q")) == [(Opcode.PING, b"p"), (Opcode.PONG, b"q")]
    assert read_by_websockets(close_frame(4408, "gone")) == [(Opcode.CLOSE, b"\x11\x38gone")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
def test_codes_that_never_travel_are_refused(code: int) -> None:
    assert not is_close_code(code)
    with pytest.raises(ValueError, match=f"close code {code} may not be sent"):
        close_frame(code, "")


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1012, 3000, 4413, 4999])
def test_codes_that_may_travel(code: int) -> None:
    assert is_close_code(code)


def test_a_long_reason_is_cut_between_characters() -> None:
    frame = close_frame(1000, "é" * 100)
    assert len(frame) == 2 + 2 + 122
    assert frame[4:].decode() == "é" * 61


def test_a_long_ping_is_refused() -> None:
    assert len(ping_frame(b"x" * 125)) == 127
    with pytest.raises(ValueError, match="over 125"):
        ping_frame(b"x" * 126)


frames = st.tuples(st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=70_000))
MAKE = {TEXT: text_frame, BINARY: binary_frame, PING: ping_frame, PONG: pong_frame, CLOSE: None}


@given(st.lists(frames, max_size=5))
def test_split_undoes_joined_frames(wanted: list[tuple[int, bytes]]) -> None:
    wanted = [(opcode, data[:125] if opcode & 8 else data) for opcode, data in wanted]
    joined = b"".join(MAKE[opcode](data) for opcode, data in wanted)  # type: ignore[misc]
    assert list(split(joined)) == wanted
