from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.utils import apply_mask

from gateway.wire.frame_parser import Event, FrameError, FrameParser, parse_close
from gateway.wire.frames import BINARY, CLOSE, PING, PONG, TEXT
from tests.wire.wired import MASK, frame

LIMIT = 1000
CONTINUATION = 0


def raw(first: int, payload: bytes, length: bytes | None = None) -> bytes:
    """A masked frame with any first byte, right or wrong; `length` replaces the length bytes."""
    length = length or bytes([len(payload) | 0x80])
    return bytes([first]) + length + MASK + apply_mask(payload, MASK)


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def thirds(data: bytes) -> list[bytes]:
    return [data[at : at + 3] for at in range(0, len(data), 3)]


def read(pieces: list[bytes], limit: int = LIMIT) -> list[Event]:
    parser = FrameParser(limit)
    events: list[Event] = []
    for piece in pieces:
        parser.feed(piece)
        while (event := parser.next()) is not None:
            events.append(event)
    return events


WAYS = [whole, bytewise, thirds]
Way = Callable[[bytes], list[bytes]]

GOOD: dict[str, tuple[bytes, list[Event]]] = {
    "text": (frame(TEXT, "né".encode()), [(TEXT, "né")]),
    "empty": (frame(TEXT), [(TEXT, "")]),
    "binary": (frame(BINARY, b"\xff\x00"), [(BINARY, b"\xff\x00")]),
    "16-bit length": (frame(BINARY, b"x" * 126), [(BINARY, b"x" * 126)]),
    "at the limit": (frame(BINARY, b"x" * LIMIT), [(BINARY, b"x" * LIMIT)]),
    "two": (frame(TEXT, b"a") + frame(TEXT, b"b"), [(TEXT, "a"), (TEXT, "b")]),
    "fragments": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", fin=False) + frame(CONTINUATION, b"c"),
        [(TEXT, "abc")],
    ),
    "character across fragments": (
        frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\xac"),
        [(TEXT, "€")],
    ),
    "ping inside of a message": (
        frame(BINARY, b"a", fin=False) + frame(PING, b"?") + frame(CONTINUATION, b"b") + frame(PONG),
        [(PING, b"?"), (BINARY, b"ab"), (PONG, b"")],
    ),
    "empty fragments": (frame(BINARY, b"", fin=False) + frame(CONTINUATION), [(BINARY, b"")]),
    "close": (frame(CLOSE, b"\x03\xe8bye"), [(CLOSE, b"\x03\xe8bye")]),
    "control at its limit": (frame(PING, b"x" * 125), [(PING, b"x" * 125)]),
}

BAD: dict[str, tuple[bytes, int, str]] = {
    "not masked": (Frame(Opcode.TEXT, b"hi").serialize(mask=False), 1002, "frame is not masked"),
    "not masked, empty": (b"\x81\x00", 1002, "frame is not masked"),
    "RSV1": (raw(0xC1, b"x"), 1002, "reserved bit set"),
    "RSV2": (raw(0xA1, b"x"), 1002, "reserved bit set"),
    "RSV3": (raw(0x91, b"x"), 1002, "reserved bit set"),
    "opcode 3": (raw(0x83, b"x"), 1002, "unknown opcode"),
    "opcode 11": (raw(0x8B, b"x"), 1002, "unknown opcode"),
    "ping in fragments": (raw(0x09, b"x"), 1002, "fragmented control frame"),
    "long ping": (raw(0x89, b"x" * 126, b"\xfe\x00\x7e"), 1002, "control frame over 125 bytes"),
    "length not minimal": (raw(0x81, b"x", b"\xfe\x00\x01"), 1002, "length not minimal"),
    "64-bit length not minimal": (raw(0x81, b"x", b"\xff" + bytes(7) + b"\x01"), 1002, "length not minimal"),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002, "continuation frame out of place"),
    "message in a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002, "message not ended"),
    "text not UTF-8": (frame(TEXT, b"\xff"), 1007, "text is not UTF-8"),
    "text ends inside of a character": (frame(TEXT, b"\xe2\x82"), 1007, "text is not UTF-8"),
    "fragment not UTF-8": (frame(TEXT, b"\xff", fin=False), 1007, "text is not UTF-8"),
    "fragments end inside of a character": (
        frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82"),
        1007,
        "text is not UTF-8",
    ),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007, "text is not UTF-8"),
    "too big": (frame(BINARY, b"x" * (LIMIT + 1)), 1009, "message over 1000 bytes"),
    "too big by its head alone": (b"\x82\xff" + b"\x7f" * 8, 1009, "message over 1000 bytes"),
    "too big in fragments": (
        frame(BINARY, b"x" * LIMIT, fin=False) + frame(CONTINUATION, b"x"),
        1009,
        "message over 1000 bytes",
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("data", "events"), GOOD.values(), ids=GOOD)
def test_what_a_client_may_send(data: bytes, events: list[Event], way: Way) -> None:
    assert read(way(data)) == events
    assert read(way(data + frame(PING, b"tail"))) == [*events, (PING, b"tail")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("data", "code", "reason"), BAD.values(), ids=BAD)
def test_what_a_client_may_not_send(data: bytes, code: int, reason: str, way: Way) -> None:
    with pytest.raises(FrameError) as caught:
        read(way(data))
    assert (caught.value.code, caught.value.reason) == (code, reason)


def test_parsing_stops_after_each_event() -> None:
    parser = FrameParser(LIMIT)
    parser.feed(frame(TEXT, b"a") + frame(TEXT, b"\xff"))
    assert parser.next() == (TEXT, "a")
    with pytest.raises(FrameError):
        parser.next()


CLOSES = {b"": (1005, ""), b"\x03\xe8": (1000, ""), b"\x11\x38late": (4408, "late"), b"\x0b\xb8": (3000, "")}


@pytest.mark.parametrize(("payload", "said"), CLOSES.items())
def test_close_frames(payload: bytes, said: tuple[int, str]) -> None:
    assert parse_close(payload) == said


BAD_CLOSES = {b"\x03": 1002, b"\x00\x00": 1002, b"\x03\xed": 1002, b"\x13\x88": 1002, b"\x03\xe8\xff": 1007}


@pytest.mark.parametrize(("payload", "code"), BAD_CLOSES.items())
def test_bad_close_frames(payload: bytes, code: int) -> None:
    with pytest.raises(FrameError) as caught:
        parse_close(payload)
    assert caught.value.code == code


# Against another implementation, on streams that are mostly right and somewhere wrong.

pieces = st.one_of(
    st.builds(
        lambda opcode, payload, fin: frame(opcode, payload, fin=fin),
        st.sampled_from([CONTINUATION, TEXT, BINARY]),
        st.text(max_size=40).map(str.encode) | st.binary(max_size=40) | st.just(b"x" * (LIMIT - 20)),
        st.booleans(),
    ),
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.builds(raw, st.integers(0, 255), st.binary(max_size=20)),
)


def read_by_websockets(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """The frames of messages and control frames, messages joined, and the close code of an error."""
    peer = Protocol(SERVER, state=OPEN, max_size=LIMIT)
    peer.receive_data(data)
    events: list[tuple[int, bytes]] = []
    begun: tuple[int, bytes] | None = None
    for event in peer.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (PING, PONG):
            events.append((event.opcode, bytes(event.data)))
            continue
        opcode, payload = begun if begun is not None else (int(event.opcode), b"")
        begun = opcode, payload + bytes(event.data)
        if event.fin:
            events.append(begun)
            begun = None
    error = peer.parser_exc
    assert error is None or isinstance(error, ProtocolError | PayloadTooBig | EOFError)
    return events, {ProtocolError: 1002, PayloadTooBig: 1009}.get(type(error), 0)


@given(st.lists(pieces, max_size=6), st.integers(1, 50))
def test_as_websockets_reads_it(parts: list[bytes], step: int) -> None:
    data = b"".join(parts)
    parser = FrameParser(LIMIT)
    ours: list[tuple[int, bytes]] = []
    code = 0
    try:
        for at in range(0, len(data), step):
            parser.feed(data[at : at + step])
            while (event := parser.next()) is not None:
                opcode, payload = event
                ours.append((opcode, payload.encode() if isinstance(payload, str) else payload))
                if opcode == CLOSE:
                    return  # what follows a close frame is nobody's concern
    except FrameError as error:
        code = error.code
    theirs, their_code = read_by_websockets(data)
    if code == 1007:  # websockets leaves UTF-8 to its caller
        assert ours == theirs[: len(ours)]
    else:
        assert ours == theirs
        assert (code == 0) == (their_code == 0)  # of two mistakes in one frame, either may be named
