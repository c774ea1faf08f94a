"""The kernel's own view of who may connect: real sockets of loopback, and a machine for the programs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from gateway.wire import socket_filter
from gateway.wire.socket_filter import LATE, MOST, SocketFilter, program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")
SOON = 3600.0


class Clock(asyncio.SelectorEventLoop):
    """A loop that runs nothing: timers are kept, and rung by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """To a time, and through all timers that are due by then."""
        self.now += seconds
        self.call_soon(self.stop)
        self.run_forever()


@pytest.fixture
def clock() -> Iterator[Clock]:
    loop = Clock()
    yield loop
    loop.close()


@pytest.fixture(params=["127.0.0.1", "::1", "::"])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    host = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        if host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            sock.bind((host, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        sock.listen(MOST)
        yield sock


def connects(to: socket.socket, source: str) -> bool:
    """Whether a connection is there at once, as it is on loopback."""
    port = to.getsockname()[1]
    v6 = ":" in source
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET) as sock:
        sock.bind((source, 0))
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(("::1" if v6 else "127.0.0.1", port))
        _, ready, _ = select.select([], [sock], [], 0)
        return bool(ready) and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def sources(listening: socket.socket) -> list[str]:
    host = listening.getsockname()[0]
    return {"127.0.0.1": ["127.0.0.7"], "::1": ["::1"], "::": ["127.0.0.7", "::1"]}[host]


def test_who_is_refused_cannot_connect_until_then(listening: socket.socket, clock: Clock) -> None:
    one = SocketFilter(clock, listening)
    for source in sources(listening):
        assert connects(listening, source)
        one.refuse(source, 60)
        assert not connects(listening, source)
    clock.advance(59)
    assert not any(connects(listening, source) for source in sources(listening))
    clock.advance(1 + LATE)
    assert all(connects(listening, source) for source in sources(listening))
    assert len(one) == 0


def test_others_connect_and_who_is_connected_stays(clock: Clock) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname(), source_address=("127.0.0.7", 0)) as client,
    ):
        served, _ = listening.accept()
        one = SocketFilter(clock, listening)
        one.refuse("127.0.0.7", SOON)
        assert connects(listening, "127.0.0.8")
        with served:
            client.sendall(b"hello")
            assert served.recv(5) == b"hello"
        one.close()


def test_each_has_an_end_of_its_own(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = SocketFilter(clock, listening)
        one.refuse("127.0.0.7", 10)
        one.refuse("127.0.0.8", 20)
        one.refuse("127.0.0.7", SOON)  # it is already
        clock.advance(10 + LATE)
        assert [connects(listening, f"127.0.0.{last}") for last in (7, 8)] == [True, False]
        clock.advance(10)
        assert connects(listening, "127.0.0.8")


@pytest.mark.parametrize("make", ["127.{}.0.7", "2001:db8:{:x}::1"])
def test_there_is_a_bound(make: str, clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = SocketFilter(clock, listening)
        for number in range(MOST + 1):
            one.refuse(make.format(number), SOON)
        assert len(one) == MOST
        if ":" not in make:
            assert [connects(listening, make.format(number)) for number in (0, 1, MOST)] == [True, False, False]
        one.close()


def test_it_is_told(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidegate.wire")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = SocketFilter(clock, listening)
        one.refuse("127.0.0.7", 8.0)
        assert caplog.messages == ["no connection is taken from 127.0.0.7 for 8 s"]
        one.close()


def test_where_it_is_forbidden_nothing_happens(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def attach(sock: socket.socket, code: bytes) -> None:
        asked.append(code)
        raise PermissionError

    monkeypatch.setattr(socket_filter, "_attach", attach)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = SocketFilter(clock, listening)
        one.refuse("127.0.0.7", SOON)
        one.refuse("127.0.0.8", SOON)
        assert connects(listening, "127.0.0.7")
    assert len(one) == 0
    assert [bool(code) for code in asked] == [True, False], "what was there before is taken away, and no more is tried"


def test_unix_sockets_have_none(clock: Clock) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        one = SocketFilter(clock, sock)
        one.refuse("127.0.0.7", SOON)
        assert len(one) == 0


def test_a_closed_socket_is_no_error(clock: Clock) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    one = SocketFilter(clock, listening)
    one.refuse("127.0.0.7", 10)
    listening.close()
    clock.advance(11)
    assert len(one) == 0


def run(code: bytes, header: bytes) -> bool:
    """Whether a packet with this header is kept."""
    instructions = list(struct.iter_unpack("=HBBI", code))
    at, value = 0, 0
    memory = [0] * 16
    while True:
        kind, yes, no, operand = instructions[at]
        at += 1
        if kind == 0x20:
            (value,) = struct.unpack_from("!I", header, operand - 0xFFF00000)
        elif kind == 0x60:
            value = memory[operand]
        elif kind == 0x02:
            memory[operand] = value
        elif kind == 0x74:
            value >>= operand
        elif kind == 0x05:
            at += operand
        elif kind == 0x15:
            at += yes if value == operand else no
        else:
            assert kind == 0x06
            return bool(operand)


def header(source: str) -> bytes:
    if ":" in source:
        return b"\x60" + bytes(7) + socket.inet_pton(socket.AF_INET6, source) + bytes(16)
    return b"\x45" + bytes(11) + socket.inet_aton(source) + bytes(4)


REFUSED = ["192.0.2.7", "255.255.255.255", "2001:db8:1:2::", "2001:db8:1:3::", "fe80::"]
DROPPED = ["192.0.2.7", "255.255.255.255", "2001:db8:1:2:ffff::1", "2001:db8:1:3::7", "fe80::1"]
KEPT = ["192.0.2.8", "193.0.2.7", "0.0.0.0", "2001:db8:1:4::1", "2001:db9:1:2::1", "::1", "::ffff:192.0.2.7"]


def test_programs() -> None:
    for refused in (REFUSED, REFUSED[:2], REFUSED[2:]):
        code = program(refused)
        version6 = {":" in address for address in refused}
        for source in DROPPED:
            assert run(code, header(source)) is not ((":" in source) in version6), source
        for source in KEPT:
            assert run(code, header(source)), source
    assert program([]) == b""
