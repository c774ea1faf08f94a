"""A stream as a transport: the head translated, credit given for what is read, and both ends of an end."""

from __future__ import annotations

import asyncio

from gateway.core.asgi import Headers
from gateway.wire.stream_transport import StreamTransport
from tests.wire.wired import settle

OPEN = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: \r\nX-Own: 1\r\n\r\n"
)


class Carrier:
    """Remembers; sends nothing until the test takes it."""

    def __init__(self) -> None:
        self.begun: list[tuple[bytes, Headers]] = []
        self.data = b""
        self.credits = 0
        self.finishing = self.cancelled = self.released = self.over = False

    def begin(self, stream: int, status: bytes, headers: Headers) -> None:
        self.begun.append((status, headers))

    def put(self, stream: int, data: bytes) -> None:
        self.data += data

    def finish(self, stream: int) -> None:
        self.finishing = True

    def cancel(self, stream: int) -> None:
        self.cancelled = True

    def release(self, stream: int) -> None:
        self.released = True

    def credit(self, stream: int, size: int) -> None:
        self.credits += size

    def waiting(self, stream: int) -> int:
        return len(self.data)

    def gone(self, stream: int) -> None:
        self.over = True


class Heard(asyncio.Protocol):
    def __init__(self, *, stays: bool = False) -> None:
        self.got = b""
        self.full: list[bool] = []
        self.lost: list[Exception | None] = []
        self.ended = 0
        self._stays = stays

    def data_received(self, data: bytes) -> None:
        self.got += data

    def pause_writing(self) -> None:
        self.full.append(True)

    def resume_writing(self) -> None:
        self.full.append(False)

    def eof_received(self) -> bool:
        self.ended += 1
        return self._stays

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


def made(*, stays: bool = False) -> tuple[StreamTransport, Carrier, Heard]:
    carrier, heard = Carrier(), Heard(stays=stays)
    transport = StreamTransport(carrier, 1, asyncio.get_running_loop(), {"peername": ("192.0.2.1", 1)})
    transport.set_protocol(heard)
    return transport, carrier, heard


async def test_the_head_is_translated_and_the_rest_is_bytes() -> None:
    transport, carrier, _ = made()
    transport.write(OPEN + b"early")
    transport.write(b" late")
    assert carrier.begun == [(b"200", [(b"x-own", b"1")])]
    assert carrier.data == b"early late"
    assert transport.get_extra_info("peername") == ("192.0.2.1", 1)


async def test_a_refusal_keeps_its_status() -> None:
    transport, carrier, _ = made()
    transport.write(b"HTTP/1.1 401 \r\nWWW-Authenticate: Bearer: x\r\nconnection: close\r\n\r\nno")
    transport.close()
    assert carrier.begun == [(b"401", [(b"www-authenticate", b"Bearer: x")])]
    assert (carrier.data, carrier.finishing) == (b"no", True)


async def test_what_is_not_read_earns_no_credit() -> None:
    transport, carrier, heard = made()
    transport.received(b"one", 10)
    transport.pause_reading()
    transport.received(b"two", 10)
    transport.received(b"three", 10)
    assert (heard.got, carrier.credits) == (b"one", 10)
    transport.resume_reading()
    assert heard.got == b"one", "never within the protocol's own call"
    await settle()
    assert (heard.got, carrier.credits) == (b"onetwothree", 30)


async def test_an_end_waits_for_what_came_before_it() -> None:
    transport, _, heard = made(stays=True)
    transport.pause_reading()
    transport.received(b"last", 4)
    transport.ended()
    assert not heard.ended
    transport.resume_reading()
    await settle()
    assert (heard.got, heard.ended) == (b"last", 1)
    assert not transport.is_closing()


async def test_marks() -> None:
    transport, carrier, heard = made()
    transport.set_write_buffer_limits(10, 5)
    transport.write(OPEN + b"x" * 11)
    assert heard.full == [True]
    carrier.data = b"x" * 6
    transport.sent()
    assert heard.full == [True]
    carrier.data = b"x" * 5
    transport.sent()
    assert heard.full == [True, False]


async def test_it_is_gone_when_all_is_sent() -> None:
    transport, carrier, heard = made()
    transport.write(OPEN)
    transport.close()
    transport.write(b"too late")
    transport.received(b"dropped", 7)
    await settle()
    assert (carrier.data, heard.got, carrier.credits, heard.lost) == (b"", b"", 7, [])
    assert not transport.can_write_eof()
    transport.finished()
    await settle()
    assert heard.lost == [None]
    assert carrier.over
    assert carrier.released
    assert not carrier.cancelled


async def test_a_peer_that_ends_first() -> None:
    transport, carrier, heard = made()
    transport.write(OPEN)
    transport.ended()
    assert carrier.finishing
    transport.finished()
    await settle()
    assert heard.lost == [None]
    assert not carrier.released


async def test_an_abort_resets_and_a_loss_is_told_once() -> None:
    transport, carrier, heard = made()
    transport.abort()
    transport.abort()
    transport.lost(ConnectionResetError())
    await settle()
    assert carrier.cancelled
    assert heard.lost == [None]
    error = ConnectionResetError()
    transport, carrier, heard = made()
    transport.pause_reading()
    transport.received(b"x", 1)
    transport.lost(error)
    transport.resume_reading()
    await settle()
    assert heard.lost == [error]
    assert heard.got == b""
    assert not carrier.cancelled


async def test_without_a_protocol_nobody_waits_for_the_peer() -> None:
    carrier = Carrier()
    transport = StreamTransport(carrier, 1, asyncio.get_running_loop(), {})
    transport.write(b"HTTP/1.1 503 \r\n\r\n")
    transport.close()
    transport.finished()
    assert carrier.released
    assert carrier.over
