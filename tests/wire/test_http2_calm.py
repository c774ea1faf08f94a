from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, PingReceived, RequestReceived, StreamReset
from h2.exceptions import DenialOfServiceError

from gateway.wire.http2_calm import CLOSED, bound, wanted
from gateway.wire.http2_frames import PREFACE


def reset(stream: int = 1) -> Event:
    return StreamReset(stream_id=stream, error_code=ErrorCodes.CANCEL)


def data(payload: bytes) -> Event:
    return DataReceived(stream_id=1, data=payload, flow_controlled_length=len(payload))


def test_what_is_reset_already_is_not_begun() -> None:
    first, second = RequestReceived(stream_id=1, headers=[]), RequestReceived(stream_id=3, headers=[])
    ping = PingReceived(ping_data=bytes(8))
    assert wanted([first, ping, second]) == [first, ping, second]
    assert wanted([first, data(b"x"), second, ping, reset(1)]) == [second, ping]
    assert wanted([second, reset(1)]) == [second, reset(1)]  # one that was begun before has to hear of it


def connection(limit: int = 1000) -> H2Connection:
    made = H2Connection(H2Configuration(client_side=False))
    made.initiate_connection()
    bound(made, limit)
    made.receive_data(PREFACE + bytes(3) + b"\4\0" + bytes(4))
    return made


def part(payload: bytes, *, first: bool = False) -> bytes:
    return len(payload).to_bytes(3) + bytes([1 if first else 9, 0]) + (1).to_bytes(4) + payload


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_head_is_counted_while_it_arrives(size: int) -> None:
    head = part(b"x" * 500, first=True) + part(b"x" * 500)
    one = connection()
    for at in range(0, len(head), size):
        one.receive_data(head[at : at + size])
    with pytest.raises(DenialOfServiceError, match="a head over 1000 bytes"):
        one.receive_data(part(b"x"))
    with pytest.raises(DenialOfServiceError):
        connection().receive_data(part(b"x" * 1001, first=True))


def test_old_streams_are_forgotten() -> None:
    one = connection()
    for stream in range(1, 3 * CLOSED, 2):
        one._closed_streams[stream] = None
    assert len(one._closed_streams) == CLOSED
