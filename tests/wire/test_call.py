from __future__ import annotations

import asyncio

import pytest

from gateway.core.asgi import Headers
from gateway.core.settings import Timeouts
from gateway.errors import ClientError, UpstreamError, UpstreamUnavailable
from gateway.wire.call import Call
from gateway.wire.client1 import HIGH_WATER, Connection
from gateway.wire.repeats import Repeats
from gateway.wire.turn import Turn


class Wire(asyncio.Transport):
    """A transport that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.aborted = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Asker:
    def __init__(self, told: list[tuple[int, Headers]]) -> None:
        self.client = "192.0.2.1"
        self._told = told

    def informational(self, status: int, headers: Headers) -> None:
        self._told.append((status, headers))


class Owner:
    ahead = False

    def may_read_ahead(self, connection: Connection) -> bool:
        return self.ahead

    def idle(self, connection: Connection) -> None: ...
    def gone(self, connection: Connection) -> None: ...
    def broke_off(self, error: UpstreamError) -> None: ...


def begin(left: int | None) -> tuple[Call, Wire, Connection]:
    connection = Connection("shop", Timeouts(), Owner(), Turn(asyncio.get_running_loop()), Repeats())
    wire = Wire()
    connection.connection_made(wire)
    return connection.begin(b"POST", b"HEAD ", left), wire, connection


async def test_a_body_of_known_length() -> None:
    call, wire, _ = begin(5)
    assert await call.write(b"hel")
    assert await call.write(b"")
    assert await call.write(b"lo")
    call.end([])
    assert call.ended
    assert wire.sent == b"HEAD hello"


async def test_a_chunked_body_with_trailers() -> None:
    call, wire, _ = begin(None)
    assert await call.write(b"hello")
    assert await call.write(b"")
    call.end([(b"X-Sum", b"1")])
    call.end([])
    assert wire.sent == b"HEAD 5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"


async def test_a_body_longer_than_it_said() -> None:
    call, wire, _ = begin(5)
    assert await call.write(b"hel")
    with pytest.raises(ClientError, match="longer"):
        await call.write(b"lo GET /evil")
    assert wire.aborted
    assert wire.sent == b"HEAD hel"


async def test_a_body_shorter_than_it_said() -> None:
    call, wire, _ = begin(5)
    assert await call.write(b"hel")
    with pytest.raises(ClientError, match="shorter"):
        call.end([])
    assert wire.aborted


async def test_writing_waits_while_the_upstream_is_slow() -> None:
    call, wire, connection = begin(None)
    connection.pause_writing()
    done: list[bool] = []

    async def write() -> None:
        done.append(await call.write(b"x"))

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(5):
            await asyncio.sleep(0)
        assert wire.sent.endswith(b"x\r\n")
        assert done == []
        connection.resume_writing()
    assert done == [True]


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "answered"])
async def test_writing_ends_when_there_is_nobody_to_write_to(lost: bool) -> None:
    call, _, connection = begin(None)
    connection.pause_writing()
    done: list[bool] = []

    async def write() -> None:
        done.append(await call.write(b"x"))

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(5):
            await asyncio.sleep(0)
        if lost:
            connection.connection_lost(ConnectionResetError())
        else:
            connection.data_received(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
    assert done == [False]
    assert not await call.write(b"y")


async def test_informational_answers_are_told_as_they_come() -> None:
    call, _, connection = begin(0)
    told: list[tuple[int, Headers]] = []
    call.asker = Asker(told)
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 1")
    assert told == [(103, [(b"Link", b"</a>")])]
    connection.data_received(b"00 Continue\r\n\r\n")
    assert told[1:] == [(100, [])]
    assert not call.headed


async def test_whose_call_it_is() -> None:
    call, _, connection = begin(0)
    assert call.client == connection.client == ""
    call.asker = Asker([])
    assert call.client == connection.client == "192.0.2.1"
    connection.abort()
    assert connection.client == ""


async def test_a_connection_reads_again_when_the_answer_that_stopped_it_is_complete() -> None:
    call, wire, connection = begin(0)
    call.end([])
    half = b"x" * HIGH_WATER
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(half)) + half + b"x")
    assert not wire.reading
    connection.data_received(half[1:])  # TLS may have had it at hand already
    assert wire.reading, "or it would not hear of its end"
    assert call.whole == half + half


async def test_the_head_is_counted_once() -> None:
    call, _, connection = begin(0)
    counted: list[tuple[int, UpstreamError | None]] = []
    call.on_head = lambda told, error: counted.append((told.status, error))
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    await call.head()
    await call.head()
    assert counted == [(200, None)]


async def test_a_head_that_does_not_come_is_counted_once() -> None:
    call, _, connection = begin(0)
    counted: list[tuple[int, UpstreamError | None]] = []
    call.on_head = lambda told, error: counted.append((told.status, error))
    connection.shut()
    for _ in range(2):
        with pytest.raises(UpstreamUnavailable):
            await call.head()
    [(status, error)] = counted
    assert status == 0
    assert isinstance(error, UpstreamUnavailable)


async def test_what_comes_before_the_request_is_written_is_nobodys_answer() -> None:
    connection = Connection("shop", Timeouts(), Owner(), Turn(asyncio.get_running_loop()), Repeats())
    wire = Wire()
    connection.connection_made(wire)
    call = connection.ask(b"GET", b"REQUEST")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
    with pytest.raises(UpstreamError, match="sent what nobody asked for"):
        await call.head()
    await asyncio.sleep(0)
    assert (wire.sent, wire.aborted) == (b"", True)


async def test_a_request_is_written_at_the_end_of_the_turn() -> None:
    connection = Connection("shop", Timeouts(), Owner(), Turn(asyncio.get_running_loop()), Repeats())
    wire = Wire()
    connection.connection_made(wire)
    connection.ask(b"GET", b"REQUEST")
    assert wire.sent == b""
    await asyncio.sleep(0)
    assert wire.sent == b"REQUEST"
