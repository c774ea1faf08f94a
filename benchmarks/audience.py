"""Many WebSocket clients in one process: they connect, and count what arrives.

Plain sockets and one epoll, because the load must be cheaper than the server it measures.
"""

from __future__ import annotations

import os
import select
import socket
import time
from types import TracebackType

from benchmarks.frames import COUNTERS, PONG, Closed
from benchmarks.processes import BenchmarkError

_HOST = "127.0.0.1"
_TIMEOUT = 20.0
_CHUNK = 65536
_TOGETHER = 128  # handshakes under way at once: well below any listen backlog
_QUIET = 0.4  # seconds without a message after which greetings (snapshots) are over
_ACCEPT = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Audience:
    """`clients` connections to one path; an empty path means that they only listen, without a handshake.

    `stalled` more of them never read what comes after their handshake.
    """

    def __init__(self, port: int, path: str, clients: int, transport: str = "websocket", stalled: int = 0) -> None:
        self._request = request(path) if transport == "websocket" else reading(path, transport)
        self._status = b" 101 " if transport == "websocket" else b" 200 "
        self.total = 0
        self.bytes = 0
        self._epoll = select.epoll()
        self._sockets: list[socket.socket] = []
        self._counts: dict[int, int] = {}
        self._pending: dict[int, bytes] = {}
        self._counter = COUNTERS[transport]()
        for start in range(0, clients, _TOGETHER):
            self._join(port, path, min(_TOGETHER, clients - start))
        for _ in range(stalled):
            self._stall(port)

    def __enter__(self) -> Audience:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._epoll.close()
        for client in self._sockets:
            client.close()

    def _join(self, port: int, path: str, count: int) -> None:
        fresh = [socket.create_connection((_HOST, port), _TIMEOUT) for _ in range(count)]
        self._sockets += fresh
        for client in fresh if path else ():
            client.sendall(self._request)
        for client in fresh:
            fd = client.fileno()
            rest = upgraded(client, self._status) if path else b""
            self._counts[fd] = self._counter.feed(b"", rest)
            self._pending[fd] = self._counter.pending
            self._epoll.register(fd, select.EPOLLIN)

    def _stall(self, port: int) -> None:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((_HOST, port))
        client.sendall(self._request)
        upgraded(client, self._status)
        self._sockets.append(client)

    def settle(self) -> None:
        """Take in the messages that newcomers are sent, then count from zero."""
        quiet = time.monotonic() + _QUIET
        while time.monotonic() < quiet:
            before = self.total
            self.pump(_QUIET / 4)
            if self.total > before:
                quiet = time.monotonic() + _QUIET
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self.total = self.bytes = 0
        self._counts = dict.fromkeys(self._counts, 0)

    @property
    def least(self) -> int:
        """How many messages everyone has."""
        return min(self._counts.values())

    @property
    def most(self) -> int:
        """How many messages somebody has."""
        return max(self._counts.values())

    @property
    def everyone(self) -> list[int]:
        """The descriptors of all connections."""
        return list(self._counts)

    def write(self, data: bytes, to: list[int]) -> None:
        """Send the same to these connections; little enough for their buffers to take it."""
        for fd in to:
            if os.write(fd, data) != len(data):
                raise BenchmarkError("the server does not read what it is sent")

    def pump(self, timeout: float) -> list[int]:
        """Read what is there, or wait for it; answer pings. Returns a descriptor for each message."""
        told: list[int] = []
        counter, pending, counts = self._counter, self._pending, self._counts
        for fd, _ in self._epoll.poll(timeout):
            data = os.read(fd, _CHUNK)
            if not data:
                raise Closed("the server closed a connection")
            frames = counter.feed(pending[fd], data)
            pending[fd] = counter.pending
            if counter.pings:
                os.write(fd, PONG * counter.pings)
            counts[fd] += frames
            self.total += frames
            self.bytes += len(data)
            told += [fd] * frames
        return told


def upgraded(client: socket.socket, status: bytes = b" 101 ") -> bytes:
    """Wait for the head of the answer to a handshake; returns the bytes after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(_CHUNK)
        if not more:
            raise BenchmarkError(f"the server closed during the handshake: {data[:200]!r}")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    if status not in head.split(b"\r\n")[0]:
        raise BenchmarkError(f"the server refused the handshake: {head[:200]!r}")
    return rest


def request(path: str) -> bytes:
    """The request of a handshake."""
    return _REQUEST.format(path=path).encode()


def reading(path: str, transport: str) -> bytes:
    """The request of a stream over HTTP."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {_ACCEPT[transport]}\r\n\r\n".encode()
