from __future__ import annotations

import pytest
from hyperframe.frame import Frame, GoAwayFrame, SettingsFrame
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.flood import RESET
from gateway.wire.http2_frames import CALM, PREFACE, Frames

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, PADDED = 1, 8


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


CASES = [
    (frame(PING, bytes(8)), 1),
    (frame(PING, bytes(8), 1), 1),
    (frame(SETTINGS), 1),
    (frame(SETTINGS, b"", 1), 1),
    (frame(PRIORITY, bytes(5)), 1),
    (frame(WINDOW, bytes(4)), 1),
    (frame(CONTINUATION), 1),
    (frame(CONTINUATION, b"x" * 10_000), 1),
    (frame(0x10, b"\0\0\0\1u=3"), 1),  # PRIORITY_UPDATE, and whatever will be invented
    (frame(0xFA), 1),
    (frame(RST, bytes(4)), RESET),
    (frame(DATA), 1),
    (frame(DATA, b"\0", PADDED), 1),
    (frame(DATA, b"\7" + bytes(7), PADDED), 1),
    (frame(DATA, b"\xff" * 3, PADDED), 1),  # more padding than there is: refused later
    (frame(DATA, b"\2x\0\0", PADDED), 0),
    (frame(DATA, b"x"), 0),
    (frame(DATA, b"", END_STREAM), 0),
    (frame(DATA, b"\2\0\0", END_STREAM | PADDED), 0),
    (frame(HEADERS, b"\x82"), 0),
    (frame(GOAWAY, bytes(8)), 1),
]


@pytest.mark.parametrize(("data", "points"), CASES)
def test_what_a_frame_takes(data: bytes, points: int) -> None:
    assert Frames().points(PREFACE + data) == points
    assert Frames().points(PREFACE + data + data) == 2 * points
    assert Frames().points(PREFACE + data + frame(PING, bytes(8))[:8]) == points


@pytest.mark.parametrize("size", [1, 2, 5, 9, 10, 33, 1000])
def test_however_they_are_cut(size: int) -> None:
    cases = [pair for pair in CASES if not pair[0][4] & PADDED]
    data = PREFACE + b"".join(data for data, _ in cases)
    one = Frames()
    assert sum(one.points(data[at : at + size]) for at in range(0, len(data), size)) == sum(
        points for _, points in cases
    )


def test_padding_that_is_cut_off_counts() -> None:
    one = Frames()
    assert one.points(PREFACE + frame(DATA, b"\2x\0\0", PADDED)[:9]) == 1
    assert one.points(b"\2x\0\0" + frame(PING, bytes(8))) == 1


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Cut or whole they are the same frames, and nothing is kept but the beginning of a head."""
    cut, whole = Frames(), Frames()
    points = sum(cut.points(piece) for piece in [PREFACE, *pieces])
    assert points >= whole.points(PREFACE + b"".join(pieces))
    assert (cut._skip, cut._rest) == (whole._skip, whole._rest)
    assert len(cut._rest) < 9


def test_what_is_said_to_who_comes_too_soon() -> None:
    at = 0
    said: list[Frame] = []
    while at < len(CALM):
        one, size = Frame.parse_frame_header(memoryview(CALM)[at : at + 9])
        one.parse_body(memoryview(CALM)[at + 9 : at + 9 + size])
        said.append(one)
        at += 9 + size
    settings, goaway = said
    assert isinstance(settings, SettingsFrame)
    assert not settings.flags
    assert isinstance(goaway, GoAwayFrame)
    assert (goaway.error_code, goaway.last_stream_id) == (11, 0)
