from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.utils import apply_mask
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from gateway.core.settings import Limits
from gateway.wire.frame_parser import Event, FrameError, FrameParser, parse_close
from gateway.wire.frames import BINARY, CLOSE, PING, PONG, TEXT
from tests.wire.wired import MASK, frame

LIMIT = 1000
LIMITS = Limits(message=LIMIT)
ENOUGH = 10_000
CONTINUATION = 0
RSV1 = 0x40


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


def parser_for(limits: Limits = LIMITS, *, allowance: int = ENOUGH, window: int = 0) -> FrameParser:
    parser = FrameParser(limits, allowance)
    if window:
        parser.inflate(window)
    return parser


def read(pieces: list[bytes], parser: FrameParser | None = None) -> list[Event]:
    """As a line reads: what is no message by itself is fed."""
    parser = parser or parser_for()
    events: list[Event] = []
    for piece in pieces:
        message = parser.alone(piece)
        if message is not None:
            events.append((TEXT if isinstance(message, str) else BINARY, message))
            continue
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


ALONE = [frame(TEXT, "né".encode()), frame(TEXT), frame(BINARY, b"\xff" * 125)]
NOT_ALONE = {
    "more than one": ALONE[0] * 2,
    "not all of it": ALONE[0][:-1],
    "no frame": b"",
    "long": frame(BINARY, b"x" * 126),
    "a fragment": frame(TEXT, b"a", fin=False),
    "a ping": frame(PING),
    "a close": frame(CLOSE),
    "not masked": b"\x81\x04\0\0\0\0",
    "not UTF-8": frame(TEXT, b"\xff"),
}


@pytest.mark.parametrize("data", ALONE)
def test_a_short_message_alone_is_taken_without_being_fed(data: bytes) -> None:
    parser = parser_for(allowance=1)
    parser.feed(data)
    [(_, message)] = [parser.next()]  # type: ignore[misc]  # there is one
    parser.allowance += 1
    assert parser.alone(data) == message
    assert (parser.allowance, parser.more, parser.next()) == (0, False, None)
    assert parser.alone(data) is None, "it is one too many, and next says so"


@pytest.mark.parametrize("data", NOT_ALONE.values(), ids=NOT_ALONE)
def test_anything_else_is_to_be_fed(data: bytes) -> None:
    parser = parser_for()
    assert parser.alone(data) is None
    assert (parser.allowance, parser.unread) == (ENOUGH, b"")


@pytest.mark.parametrize(
    "before", [b"\x81", ALONE[0], frame(TEXT, b"a", fin=False)], ids=["head", "message", "fragment"]
)
def test_no_message_is_alone_after_what_is_not_at_its_end(before: bytes) -> None:
    parser = parser_for()
    parser.feed(before)
    if not before[0] & 0x80:
        assert parser.next() is None
    assert parser.alone(ALONE[0]) is None


def test_no_message_is_alone_that_is_over_a_limit() -> None:
    assert parser_for(Limits(message=4)).alone(frame(TEXT, b"12345")) is None
    assert parser_for(Limits(message=LIMIT, frame=4)).alone(frame(TEXT, b"12345")) is None


def test_parsing_stops_after_each_event() -> None:
    parser = parser_for()
    parser.feed(frame(TEXT, b"a") + frame(TEXT, b"\xff"))
    assert parser.next() == (TEXT, "a")
    with pytest.raises(FrameError):
        parser.next()


def test_text_is_checked_before_its_frame_is_whole() -> None:
    parser = parser_for()
    parser.feed(frame(TEXT, b"a\xff" + b"b" * 100)[:8])
    with pytest.raises(FrameError, match="not UTF-8"):
        parser.next()


def test_nothing_is_held_of_what_has_been_read() -> None:
    parser = parser_for(Limits())
    parser.feed(frame(BINARY, b"x" * 50_000)[:40_000])
    assert parser.next() is None
    assert parser._data == b""
    parser.feed(frame(BINARY, b"x" * 50_000)[40_000:])
    assert parser.next() == (BINARY, b"x" * 50_000)
    assert parser.next() is None
    assert parser._data == b""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fin", [True, False])
def test_frames_have_a_limit_of_their_own(way: Way, *, fin: bool) -> None:
    limits = Limits(message=LIMIT, frame=50)
    assert read(way(frame(BINARY, b"x" * 50)), parser_for(limits)) == [(BINARY, b"x" * 50)]
    with pytest.raises(FrameError) as caught:
        read(way(frame(BINARY, b"x" * 51, fin=fin)), parser_for(limits))
    assert (caught.value.code, caught.value.reason, caught.value.label) == (1009, "frame over 50 bytes", "too_big")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "each",
    [frame(TEXT, b"a"), frame(TEXT, b"a" * 200), frame(PING, b"a"), frame(PONG), frame(CONTINUATION, b"", fin=False)],
    ids=["short", "long", "ping", "pong", "empty fragment"],
)
def test_every_frame_is_of_the_allowance(each: bytes, way: Way) -> None:
    first = frame(TEXT, b"", fin=False) if not each[0] else frame(PING)
    parser = parser_for(allowance=4)
    read(way(first + each * 3), parser)
    assert parser.allowance == 0
    parser.allowance += 1
    read(way(each), parser)
    with pytest.raises(FrameError) as caught:
        read(way(each), parser)
    assert (caught.value.code, caught.value.reason, caught.value.label) == (4429, "too many messages", "too_many")


# Compressed messages.


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


HELLO = deflated(b"Hello Hello Hello")

COMPRESSED: dict[str, tuple[bytes, list[Event]]] = {
    "text": (raw(0xC0 | TEXT, HELLO), [(TEXT, "Hello Hello Hello")]),
    "binary": (raw(0xC0 | BINARY, HELLO), [(BINARY, b"Hello Hello Hello")]),
    "not compressed": (frame(TEXT, b"Hello"), [(TEXT, "Hello")]),
    "in fragments": (
        raw(RSV1 | TEXT, HELLO[:3]) + frame(PING) + raw(0, b"") + raw(0x80, HELLO[3:]),
        [(PING, b""), (TEXT, "Hello Hello Hello")],
    ),
    "one after the other": (raw(0xC0 | TEXT, HELLO) * 2, [(TEXT, "Hello Hello Hello")] * 2),
    "at the limit": (raw(0xC0 | BINARY, deflated(b"x" * LIMIT)), [(BINARY, b"x" * LIMIT)]),
}

BADLY_COMPRESSED: dict[str, tuple[bytes, int, str]] = {
    "RSV1 in a continuation": (raw(RSV1 | TEXT, HELLO[:3]) + raw(0xC0, HELLO[3:]), 1002, "reserved bit set"),
    "RSV1 in a ping": (raw(0xC0 | PING, b""), 1002, "reserved bit set"),
    "RSV1 and RSV2": (raw(0xE0 | TEXT, HELLO), 1002, "reserved bit set"),
    "no deflate": (raw(0xC0 | TEXT, b"\x07\xff\xff"), 1007, "compressed data is broken"),
    "no UTF-8": (raw(0xC0 | TEXT, deflated(b"\xff")), 1007, "text is not UTF-8"),
    "over the limit": (raw(0xC0 | BINARY, deflated(b"x" * (LIMIT + 1))), 1009, "message over 1000 bytes"),
    "over the limit by its head": (b"\xc2\xfe\xff\xff" + MASK, 1009, "message over 1000 bytes"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("data", "events"), COMPRESSED.values(), ids=COMPRESSED)
def test_what_may_be_compressed(data: bytes, events: list[Event], way: Way) -> None:
    assert read(way(data), parser_for(window=12)) == events
    assert read(way(data + frame(PING, b"tail")), parser_for(window=12)) == [*events, (PING, b"tail")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("data", "code", "reason"), BADLY_COMPRESSED.values(), ids=BADLY_COMPRESSED)
def test_what_may_not_be_compressed(data: bytes, code: int, reason: str, way: Way) -> None:
    with pytest.raises(FrameError) as caught:
        read(way(data), parser_for(window=12))
    assert (caught.value.code, caught.value.reason) == (code, reason)


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


# Against other implementations, on streams that are mostly right and somewhere wrong.

payloads = st.text(max_size=40).map(str.encode) | st.binary(max_size=40) | st.just(b"x" * (LIMIT - 20))
pieces = st.one_of(
    st.builds(
        lambda opcode, payload, fin: frame(opcode, payload, fin=fin),
        st.sampled_from([CONTINUATION, TEXT, BINARY]),
        payloads,
        st.booleans(),
    ),
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125)),
    st.builds(raw, st.integers(0, 255), st.binary(max_size=20)),
)
compressed_pieces = st.builds(
    lambda first, payload: raw(first, payload, length_of(payload)),
    st.sampled_from([0xC0 | TEXT, 0xC0 | BINARY, RSV1 | TEXT, RSV1 | BINARY, 0x80, 0]),
    payloads.map(deflated) | payloads.map(lambda payload: deflated(payload)[:3]) | st.binary(max_size=5),
)


def length_of(payload: bytes) -> bytes:
    size = len(payload)
    return bytes([size | 0x80]) if size < 126 else b"\xfe" + size.to_bytes(2)


@st.composite
def streams(draw: st.DrawFn, parts: st.SearchStrategy[bytes]) -> bytes:
    """Frames one after the other, of which here and there a bit or a byte is not what it was."""
    data = bytearray(b"".join(draw(st.lists(parts, max_size=6))))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 255)), max_size=2)):
        if at < len(data):
            data[at] ^= byte
    return bytes(data)


Said = list[tuple[int, bytes]]


def read_by_us(data: bytes, step: int, window: int) -> tuple[Said, int]:
    """Messages and control frames, up to a close frame, and the close code of an error."""
    parser = parser_for(window=window)
    said: Said = []
    try:
        for at in range(0, len(data), step):
            parser.feed(data[at : at + step])
            while (event := parser.next()) is not None:
                opcode, payload = event
                said.append((opcode, payload.encode() if isinstance(payload, str) else payload))
                if opcode == CLOSE:
                    parse_close(said[-1][1])
                    return said, 0
    except FrameError as error:
        return [each for each in said if each[0] != CLOSE], error.code
    return said, 0


def fault(data: bytes, window: int) -> str:
    """What we say is wrong with it."""
    parser = parser_for(window=window)
    parser.feed(data)
    try:
        while (event := parser.next()) is not None:
            if event[0] == CLOSE:
                break
    except FrameError as error:
        return str(error)
    return ""


def read_by_websockets(data: bytes, window: int) -> tuple[Said, int]:
    """The same; it leaves UTF-8 to its caller, and calls deflate that is broken a protocol error."""
    peer = Protocol(SERVER, state=OPEN, max_size=LIMIT)
    if window:
        peer.extensions = [PerMessageDeflate(True, True, window, window)]
    peer.receive_data(data)
    said: Said = []
    begun: tuple[int, bytes] | None = None
    for event in peer.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (PING, PONG, CLOSE):
            said.append((event.opcode, bytes(event.data)))
            continue
        opcode, payload = begun if begun is not None else (int(event.opcode), b"")
        begun = opcode, payload + bytes(event.data)
        if event.fin:
            said.append(begun)
            begun = None
    error = peer.parser_exc
    if str(error) == "incomplete fragmented message":  # a close frame between, which RFC 6455 section 5.4 allows
        return [*said, (CLOSE, b"")], 0
    return said, {ProtocolError: 1002, PayloadTooBig: 1009}.get(type(error), 0)


def read_by_wsproto(data: bytes, window: int) -> tuple[Said, int]:
    """The same; it has no limits and does not notice a length that is not minimal in every case."""
    deflate = WsprotoDeflate(client_no_context_takeover=True, client_max_window_bits=window or None)
    deflate._enabled = True
    peer = FrameProtocol(client=False, extensions=[deflate] if window else [])
    said: Said = []
    message: bytes = b""
    try:
        peer.receive_bytes(data)
        for got in peer.received_frames():
            opcode = int(got.opcode)
            if isinstance(got.payload, tuple):
                code, reason = got.payload
                said.append((CLOSE, b"" if code == 1005 else code.to_bytes(2) + (reason or "").encode()))
                return said, 0
            payload = got.payload.encode() if isinstance(got.payload, str) else bytes(got.payload)
            if opcode in (PING, PONG):
                said.append((opcode, payload))
                continue
            message += payload
            if got.message_finished:
                said.append((opcode, message))
                message = b""
    except ParseFailed as error:
        return said, int(error.code)
    return said, 0


def until_close(said: Said) -> Said:
    kinds = [opcode for opcode, _ in said]
    return said[: kinds.index(CLOSE) + 1] if CLOSE in kinds else said


def as_websockets_reads_it(stream: bytes, step: int, window: int) -> None:
    ours, code = read_by_us(stream, step, window)
    theirs, their_code = read_by_websockets(stream, window)
    theirs = until_close(theirs)
    if their_code == 1009:  # it counts control frames as parts of the message around, and what is still compressed
        both = min(len(ours), len(theirs)) if code == 1007 else len(theirs)
        assert theirs[:both] == ours[:both]
        return
    if code == 1007 or fault(stream, window) == "length not minimal":  # which it allows
        assert ours == theirs[: len(ours)]
        return
    if theirs[-1:] == [(CLOSE, b"")] and ours[-1:] != theirs[-1:]:
        assert code or ours[-1][0] == CLOSE
        ours, theirs = [each for each in ours if each[0] != CLOSE], theirs[:-1]
    assert ours == theirs
    if CLOSE not in dict(ours):  # what follows a close frame is nobody's concern
        assert code or not their_code  # we may know sooner, and of two mistakes name the other


@pytest.mark.parametrize("window", [0, 12])
@given(data=st.data())
def test_as_websockets_reads_it(window: int, data: st.DataObject) -> None:
    stream = data.draw(streams(pieces | compressed_pieces if window else pieces))
    as_websockets_reads_it(stream, data.draw(st.integers(1, 50)), window)


@pytest.mark.parametrize("window", [0, 12])
@given(data=st.data())
def test_as_wsproto_reads_it(window: int, data: st.DataObject) -> None:
    stream = data.draw(streams(pieces | compressed_pieces if window else pieces))
    ours, code = read_by_us(stream, data.draw(st.integers(1, 50)), window)
    theirs, their_code = read_by_wsproto(stream, window)
    if window and {PING, PONG} & {*dict(ours), *dict(theirs)}:
        return  # it forgets at a control frame that the message around that is compressed
    if code == 1009:  # it has no limits
        assert ours == theirs[: len(ours)]
    else:
        assert ours == theirs
        assert code or not their_code


@pytest.mark.parametrize("window", [0, 12])
@given(data=st.data())
def test_every_chunking_reads_the_same(window: int, data: st.DataObject) -> None:
    stream = data.draw(streams(pieces | compressed_pieces if window else pieces))
    assert read_by_us(stream, data.draw(st.integers(1, 50)), window) == read_by_us(stream, len(stream) or 1, window)
