"""The floor of fan-out in Python: one `write()` for each message and client, and nothing else.

The same program as `loop.c`: prints the ports for clients and for the publisher; clients connect first, then
a publisher sends one message a line; when it leaves, everyone is closed and the next round begins.
"""

from __future__ import annotations

import os
import select
import socket

from benchmarks.frames import server_frame
from benchmarks.processes import raise_file_limit


def _gather(clients: socket.socket, entrance: socket.socket) -> tuple[list[socket.socket], socket.socket]:
    audience: list[socket.socket] = []
    poll = select.poll()
    poll.register(clients, select.POLLIN)
    poll.register(entrance, select.POLLIN)
    while True:
        if any(fd == clients.fileno() for fd, _ in poll.poll()):
            audience.append(clients.accept()[0])
        else:
            return audience, entrance.accept()[0]


def _fan_out(audience: list[socket.socket], publisher: socket.socket) -> None:
    fds = [client.fileno() for client in audience]
    rest = b""
    while data := publisher.recv(65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            frame = server_frame(line)
            for fd in fds:
                os.write(fd, frame)


def main() -> None:
    raise_file_limit()
    clients, entrance = (socket.create_server(("127.0.0.1", 0), backlog=4096) for _ in range(2))
    print(clients.getsockname()[1], entrance.getsockname()[1], flush=True)
    while True:
        audience, publisher = _gather(clients, entrance)
        _fan_out(audience, publisher)
        for each in (publisher, *audience):
            each.close()


if __name__ == "__main__":
    main()
