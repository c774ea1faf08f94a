from __future__ import annotations

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.protocol import CLIENT, OPEN, Protocol
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate

from gateway.wire.deflate import THRESHOLD, framings, negotiate
from gateway.wire.frames import binary_frame, ping_frame, text_frame

BASE = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
OFFER = b"permessage-deflate"

AGREED = {
    OFFER: (b"", 15, 15),
    OFFER + b"; client_max_window_bits": (b"; client_max_window_bits=12", 15, 12),
    OFFER + b"; client_max_window_bits=15": (b"; client_max_window_bits=12", 15, 12),
    OFFER + b"; client_max_window_bits=10": (b"; client_max_window_bits=10", 15, 12),
    OFFER + b';server_max_window_bits="10"': (b"; server_max_window_bits=10", 10, 15),
    OFFER + b"; server_no_context_takeover; client_no_context_takeover": (b"", 15, 15),
    b"x-other, permessage-deflate; server_max_window_bits=8, permessage-deflate": (b"", 15, 15),
}


@pytest.mark.parametrize(("offers", "agreed"), AGREED.items())
def test_what_is_agreed_on(offers: bytes, agreed: tuple[bytes, int, int]) -> None:
    deflate = negotiate([(b"Host", b"x"), (b"Sec-WebSocket-Extensions", offers)])
    assert deflate is not None
    assert (deflate.answer, deflate.server_window, deflate.client_window) == (BASE + agreed[0], *agreed[1:])


def test_offers_in_several_lines() -> None:
    name = b"sec-websocket-extensions"
    deflate = negotiate([(name, b"x-other"), (name, OFFER + b"; server_max_window_bits=9")])
    assert deflate is not None
    assert deflate.server_window == 9


DECLINED = [
    b"",
    b"x-webkit-deflate-frame",
    b"permessage-deflate-2",
    OFFER + b"; unknown",
    OFFER + b"; unknown=1",
    OFFER + b"; server_max_window_bits",
    OFFER + b"; server_max_window_bits=8",
    OFFER + b"; server_max_window_bits=16",
    OFFER + b"; server_max_window_bits=+9",
    OFFER + b"; server_max_window_bits=09",
    OFFER + b"; server_max_window_bits=",
    OFFER + b"; client_max_window_bits=7",
    OFFER + b'; client_max_window_bits=""',
    OFFER + b"; server_no_context_takeover=1",
    OFFER + b"; server_no_context_takeover; server_no_context_takeover",
    OFFER + b"; client_max_window_bits; client_max_window_bits=9",
    OFFER + b";",
]


@pytest.mark.parametrize("offer", DECLINED)
def test_what_is_declined(offer: bytes) -> None:
    assert negotiate([(b"sec-websocket-extensions", offer)]) is None


@pytest.mark.parametrize("bits", [None, 9, 12, 15])
def test_other_implementations_take_the_answer(bits: int | None) -> None:
    factory = ClientPerMessageDeflateFactory(client_max_window_bits=True, server_max_window_bits=bits)
    offer = "permessage-deflate; " + "; ".join(
        name if value is None else f"{name}={value}" for name, value in factory.get_request_params()
    )
    deflate = negotiate([(b"sec-websocket-extensions", offer.encode())])
    assert deflate is not None
    answer = [part.strip().partition("=") for part in deflate.answer.decode().split(";")[1:]]
    theirs = factory.process_response_params([(name, value or None) for name, _, value in answer], [])
    assert theirs.remote_no_context_takeover
    assert theirs.remote_max_window_bits == (bits or 15)
    other = WsprotoDeflate(server_max_window_bits=bits, client_max_window_bits=15)
    other.offer()
    other.finalize(deflate.answer.decode())
    assert other.enabled()
    assert other.server_max_window_bits == (bits or 15)


@pytest.mark.parametrize("window", range(9, 16))
def test_compressed_frames_are_read_by_websockets(window: int) -> None:
    peer = Protocol(CLIENT, state=OPEN, max_size=None)
    peer.extensions = [
        PerMessageDeflate(
            remote_no_context_takeover=True,
            local_no_context_takeover=True,
            remote_max_window_bits=window,
            local_max_window_bits=12,
        )
    ]
    payloads = [b"", b"short", b"abc" * 50, bytes(range(256)) * 300]
    ours = framings(window)
    peer.receive_data(b"".join(ours[kind](payload) for payload in payloads for kind in ("text", "binary")))
    assert peer.parser_exc is None
    assert [bytes(event.data) for event in peer.events_received()] == [p for p in payloads for _ in range(2)]  # type: ignore[union-attr]


def test_small_messages_stay_as_they_are() -> None:
    ours, small = framings(15), b"x" * (THRESHOLD - 1)
    assert ours["text"](small) == text_frame(small)
    assert ours["binary"](small) == binary_frame(small)
    assert len(ours["text"](small + b"x")) < THRESHOLD
    assert ours["ping"] is ping_frame


def test_all_who_agreed_on_the_same_share_their_frames() -> None:
    assert framings(15)["text"] is framings(15)["text"]
    assert framings(15)["text"] is not framings(12)["text"]
