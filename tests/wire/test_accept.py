"""Accepting by hand: everyone who comes, nobody after the end, and no storm of errors when files run out."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from gateway.wire import accept
from gateway.wire.accept import Acceptor
from tests.wire.wired import soon


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


async def test_everyone_who_comes(listening: socket.socket) -> None:
    taken: list[socket.socket] = []
    acceptor = Acceptor(asyncio.get_running_loop(), listening, taken.append)
    acceptor.start()
    clients = [socket.create_connection(listening.getsockname()) for _ in range(100)]
    await soon(lambda: len(taken) == 100)
    assert {one.getpeername() for one in taken} == {one.getsockname() for one in clients}
    assert not any(one.getblocking() for one in taken)
    address = listening.getsockname()
    acceptor.close()
    acceptor.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    for one in [*taken, *clients]:
        one.close()


class Poor:
    """A listening socket of a process that may have no more files, `times` times."""

    def __init__(self, sock: socket.socket, times: int) -> None:
        self._sock, self._times = sock, times
        self.asked = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self.asked <= self._times:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._sock.accept()


async def test_no_files_left(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accept, "_PAUSE", 0.01)
    taken: list[socket.socket] = []
    poor = Poor(listening, 2)
    acceptor = Acceptor(asyncio.get_running_loop(), poor, taken.append)  # type: ignore[arg-type]
    acceptor.start()
    with socket.create_connection(listening.getsockname()):
        await soon(lambda: taken)
    assert caplog.text.count("cannot accept connections: Too many open files") == 2
    acceptor.close()
    taken[0].close()


async def test_the_end_while_there_are_no_files(listening: socket.socket) -> None:
    poor = Poor(listening, 1_000_000)
    acceptor = Acceptor(asyncio.get_running_loop(), poor, lambda _: None)  # type: ignore[arg-type]
    acceptor.start()
    with socket.create_connection(listening.getsockname()):
        await soon(lambda: poor.asked)
    acceptor.close()
    assert poor.asked == 1  # it waits, rather than asking again in each turn
