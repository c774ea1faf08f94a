from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.core.settings import Timeouts
from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway.wire.client1 import HIGH_WATER, Connection
from gateway.wire.repeats import Repeats
from gateway.wire.turn import Turn
from tests.wire.scripted import OK, Peer, Script, answers, says, until, upstream

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

NOW = 1000.0
LATER = 1e12  # a time at which all patience is over


class Owner:
    def __init__(self) -> None:
        self.ahead = False
        self.told: list[str] = []
        self.errors: list[UpstreamError] = []

    def idle(self, connection: Connection) -> None:
        self.told.append("idle")

    def may_read_ahead(self, connection: Connection) -> bool:
        return self.ahead

    def gone(self, connection: Connection) -> None:
        self.told.append("gone")

    def broke_off(self, error: UpstreamError) -> None:
        self.errors.append(error)


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[tuple[Connection, Owner]]:
    owner = Owner()
    async with upstream(script) as this:
        loop = asyncio.get_running_loop()
        limits = Timeouts(connect=1, response=2, idle=3)
        _, connection = await loop.create_connection(
            lambda: Connection("shop", limits, owner, Turn(loop), Repeats()), "127.0.0.1", this.port
        )
        try:
            yield connection, owner
        finally:
            connection.abort()
            await until(lambda: "gone" in owner.told)
            assert owner.told.count("gone") == 1


async def rest(call: object) -> bytes:
    data = b""
    while piece := await call.read():  # type: ignore[attr-defined]
        data += piece
    return data


async def test_one_request_after_the_other() -> None:
    async with connected(answers(OK)) as (connection, owner):
        for _ in range(3):
            call = connection.ask(b"GET", ASK)
            assert "busy" in repr(connection)
            await call.head()
            assert call.status == 200
            assert call.whole == b"ok"
        assert owner.told == ["idle", "idle", "idle"]
        assert repr(connection) == "<Connection to 'shop': idle, 3 served>"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\n",
        OK + b"garbage",
        OK + OK,
    ],
)
async def test_answers_after_which_a_connection_is_not_used_again(answer: bytes) -> None:
    async with connected(answers(answer)) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        await call.head()
        assert call.whole == b"ok"
        await until(lambda: owner.told == ["gone"])
        assert not connection.open


async def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    sent = asyncio.Event()

    async def and_more(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await sent.wait()
        await peer.send(OK)
        await peer.closed()

    async with connected(and_more) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        await call.head()
        assert owner.told == ["idle"]
        sent.set()
        await until(lambda: "gone" in owner.told)
        assert not connection.open


async def test_a_body_streams_no_faster_than_it_is_read() -> None:
    size = 16 * 1024 * 1024
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while written < size:
            await peer.send(b"x" * 65536)
            written += 65536
        await peer.head()

    async with connected(script) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        await call.head()
        assert call.whole is None
        await until(lambda: call.buffered > HIGH_WATER)
        before = -1
        while written != before:  # until the kernel's buffers are full as well
            before = written
            for _ in range(100):
                await asyncio.sleep(0)
        assert call.buffered < HIGH_WATER + 512 * 1024
        assert written < size
        connection.visit(NOW)
        connection.visit(LATER)  # a client's slowness is not the upstream's
        assert connection.open
        assert len(await rest(call)) == size
        assert owner.told == ["idle"]


LARGE = 4 * 1024 * 1024


async def large(peer: Peer) -> None:
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    for _ in range(LARGE // 65536):
        await peer.send(b"x" * 65536)
    await peer.head()


@pytest.mark.parametrize("early", [True, False], ids=["from the start", "after a while"])
async def test_an_answer_may_be_read_ahead_of_a_slow_client(early: bool) -> None:
    async with connected(large) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        owner.ahead = early
        await call.head()
        if not early:
            await until(lambda: call.buffered > HIGH_WATER)
            connection.read_ahead()
            assert connection.held(LATER) == 0
            owner.ahead = True
            connection.read_ahead()
        await until(lambda: owner.told == ["idle"])
        assert call.outstanding == call.buffered == LARGE
        piece = await call.read()
        assert HIGH_WATER <= len(piece) <= HIGH_WATER + 512 * 1024
        assert call.outstanding == LARGE - len(piece)
        assert len(await rest(call)) == LARGE - len(piece)
        assert call.outstanding == 0


async def test_how_much_is_to_come() -> None:
    async with connected(large) as (connection, _):
        call = connection.ask(b"GET", ASK)
        assert call.rest is None
        await call.head()
        await until(lambda: connection.held(LATER) == 0 and call.buffered > HIGH_WATER)
        assert call.rest == LARGE - call.buffered
        assert call.outstanding == LARGE
        taken = len(await call.read())
        assert call.outstanding == LARGE - taken
        call.close()
        assert call.outstanding == 0
    async with connected(says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")) as (other, _):
        call = other.ask(b"GET", ASK)
        await call.head()
        assert call.rest is None
        assert call.outstanding == 5


async def test_how_long_a_client_has_held_a_connection() -> None:
    async with connected(large) as (connection, _):
        assert connection.held(LATER) == 0
        call = connection.ask(b"GET", ASK)
        await call.head()
        await until(lambda: call.buffered > HIGH_WATER)
        assert connection.held(NOW) == 0  # nobody has come by yet
        connection.visit(NOW)
        assert connection.held(NOW + 3) == 3
        await call.read()
        assert connection.held(NOW + 3) == 0
        connection.give_way()
        with pytest.raises(UpstreamUnavailable, match="gave a connection, whose client was slow, to others"):
            await rest(call)


async def test_a_client_that_sends_slowly_holds_a_connection() -> None:
    async with connected(silent) as (connection, _):
        connection.visit(NOW)
        call = connection.begin(b"POST", POST, None)
        assert connection.held(LATER) == 0
        connection.visit(NOW)
        assert await call.write(b"hello")
        assert connection.held(NOW + 3) == 3  # a drip is not enough
        assert await call.write(b"x" * HIGH_WATER)
        assert connection.held(NOW + 3) == 0
        connection.visit(NOW)
        call.end([])
        assert connection.held(NOW + 3) == 0
        connection.visit(NOW)
        assert connection.held(NOW + 3) == 0  # now it is the upstream's turn


async def test_an_answer_that_is_complete_but_unread_frees_the_connection() -> None:
    body = b"y" * (HIGH_WATER * 2)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with connected(answers(answer)) as (connection, owner):
        first = connection.ask(b"GET", ASK)
        await first.head()
        data = await first.read()
        while not first.complete:
            data += await first.read()
        assert owner.told[-1] == "idle"
        second = connection.ask(b"GET", ASK)
        await second.head()
        assert data + await rest(first) == body
        assert await rest(second) == body


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], "closed the connection without an answer"),
        ([b"HTTP/1.1 2"], "closed the connection without an answer"),
        ([b"garbage"], "sent what is not HTTP/1.1"),
        (
            [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
            "switched protocols unasked",
        ),
        ([b"HTTP/1.1 200 OK\r\nA: ", b"x" * 100_000], "sent headers above 65536 bytes"),
    ],
)
async def test_no_answer(pieces: list[bytes], words: str) -> None:
    async with connected(says(*pieces)) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        with pytest.raises(UpstreamProtocolError, match=f"upstream 'shop' {words}"):
            await call.head()
        assert not call.stale
        assert owner.errors == []
        assert not connection.open


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nhel\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nhel\r\n", b"nonsense"],
    ],
)
async def test_an_answer_that_breaks_off(pieces: list[bytes]) -> None:
    async with connected(says(*pieces)) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        await call.head()
        with pytest.raises(UpstreamProtocolError):
            await rest(call)
        assert call.whole is None
        assert len(owner.errors) == 1


async def test_what_came_before_the_break_is_given_first() -> None:
    async with connected(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        await call.head()
        await until(lambda: "gone" in owner.told)
        assert await call.read() == b"hel"
        for _ in range(2):
            with pytest.raises(UpstreamProtocolError, match="in the middle of an answer"):
                await call.read()


async def test_a_reset_is_not_the_end_of_a_body_without_a_length() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await peer.body(1)  # so that the reset comes after the data
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.reset()

    async with connected(script) as (connection, _):
        call = connection.begin(b"POST", POST, None)
        await call.head()
        assert await call.read() == b"hello"
        await call.write(b"x")
        with pytest.raises(UpstreamProtocolError, match="broke the connection in the middle of an answer"):
            await call.read()


async def test_a_body_that_ends_with_the_connection() -> None:
    async with connected(says(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        await call.head()
        assert await rest(call) == b"hello"
        assert owner.errors == []


async def test_a_kept_connection_that_closes_before_a_byte_is_stale() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()

    async with connected(script) as (connection, _):
        first = connection.ask(b"GET", ASK)
        await first.head()
        second = connection.ask(b"GET", ASK)
        with pytest.raises(UpstreamProtocolError):
            await second.head()
        assert second.stale


async def test_a_kept_connection_that_closes_after_a_byte_is_not_stale() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.head()
        await peer.send(b"H")

    async with connected(script) as (connection, _):
        first = connection.ask(b"GET", ASK)
        await first.head()
        second = connection.ask(b"GET", ASK)
        with pytest.raises(UpstreamProtocolError):
            await second.head()
        assert not second.stale


async def silent(peer: Peer) -> None:
    await peer.closed()


async def test_an_answer_in_time() -> None:
    async with connected(silent) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        connection.visit(NOW)
        connection.visit(NOW + 1.9)
        assert connection.open
        connection.visit(NOW + 2.1)
        with pytest.raises(UpstreamTimeout, match="upstream 'shop' did not answer within 2 s"):
            await call.head()
        assert owner.errors == []


async def test_silence_in_the_middle_of_an_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
        await peer.closed()

    async with connected(script) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        await call.head()
        assert await call.read() == b"hel"
        connection.visit(NOW)
        connection.visit(NOW + 2.9)
        assert connection.open
        connection.visit(NOW + 3.1)
        with pytest.raises(UpstreamTimeout, match="fell silent for 3 s in the middle of an answer"):
            await call.read()
        assert len(owner.errors) == 1


async def test_waiting_for_the_clients_body_is_not_the_upstreams_fault() -> None:
    async with connected(silent) as (connection, _):
        call = connection.begin(b"POST", POST, None)
        assert await call.write(b"hello")
        connection.visit(NOW)
        connection.visit(LATER)
        assert connection.open
        call.end([])
        connection.visit(NOW)
        connection.visit(LATER)
        with pytest.raises(UpstreamTimeout, match="did not answer"):
            await call.head()


async def test_an_upstream_that_takes_no_more_of_a_body() -> None:
    wait = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await wait.wait()

    async with connected(deaf) as (connection, _):
        call = connection.begin(b"POST", POST, None)
        async with asyncio.TaskGroup() as group:
            pumping = group.create_task(pump(call))
            await until(lambda: connection._drain is not None)
            connection.visit(NOW)
            connection.visit(NOW + 2.9)
            assert connection.open
            connection.visit(NOW + 3.1)
            assert await pumping == "told to stop"
        with pytest.raises(UpstreamTimeout, match="took no more of the request for 3 s"):
            await call.head()
        wait.set()


async def pump(call: object) -> str:
    while await call.write(b"x" * 65536):  # type: ignore[attr-defined]
        pass
    return "told to stop"


async def test_a_slow_answer_is_noticed() -> None:
    async with connected(silent) as (connection, _):
        call = connection.ask(b"GET", ASK)
        for _ in range(2):
            assert not call.slow
            connection.visit(NOW)
        await call.soon()
        assert call.slow
        assert not call.headed


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with connected(answers(OK)) as (connection, owner):
        connection.visit(NOW)
        connection.visit(LATER)
        assert connection.open, "it was never used, and belongs to somebody"
        call = connection.ask(b"GET", ASK)
        await call.head()
        connection.visit(NOW)
        connection.visit(NOW + 2.9)
        assert connection.open
        connection.visit(NOW + 3.1)
        await until(lambda: "gone" in owner.told)


async def test_every_byte_is_a_sign_of_life() -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh")
        await go.wait()
        await peer.send(b"e")
        await peer.closed()

    async with connected(script) as (connection, _):
        call = connection.ask(b"GET", ASK)
        await call.head()
        assert await call.read() == b"h"
        connection.visit(NOW)
        go.set()
        assert await call.read() == b"e"
        connection.visit(NOW + 3.1)
        assert connection.open


async def test_giving_up_closes_the_connection() -> None:
    async with connected(silent) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        call.close()
        call.close()
        await until(lambda: "gone" in owner.told)


async def test_a_cancelled_wait() -> None:
    async with connected(silent) as (connection, owner):
        call = connection.ask(b"GET", ASK)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await call.head()
        assert connection.open, "it is its holder's to close"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await call.soon()
        await until(lambda: "gone" in owner.told)


async def test_shutting_down_fails_the_call() -> None:
    async with connected(silent) as (connection, _):
        call = connection.ask(b"GET", ASK)
        connection.shut()
        with pytest.raises(UpstreamUnavailable, match="upstream 'shop' is no longer used"):
            await call.head()


async def test_an_answer_before_the_end_of_the_request_closes_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too big\r\nContent-Length: 2\r\n\r\nno")
        await peer.closed()

    async with connected(script) as (connection, owner):
        call = connection.begin(b"POST", POST, None)
        await call.head()
        assert (call.status, call.whole) == (413, b"no")
        assert not await call.write(b"more")
        call.end([])
        await until(lambda: "gone" in owner.told)
        assert "idle" not in owner.told


async def test_both_ways_at_once() -> None:
    async def echo(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            line = await peer.reader.readline()
            data = await peer.body(int(line, 16) + 2)
            await peer.send(line + data)
            if data == b"\r\n":
                break
        await peer.closed()

    async with connected(echo) as (connection, owner):
        call = connection.begin(b"POST", POST, None)
        await call.head()
        for piece in (b"one", b"two", b"three"):
            assert await call.write(piece)
            assert await call.read() == piece
        call.end([])
        assert await call.read() == b""
        assert owner.told == ["idle"]
