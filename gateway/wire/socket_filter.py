"""A listening socket to which some addresses cannot connect, because the kernel drops their packets (Linux).

Accepting a connection in order to hang up on it costs more than making one. The socket's filter (SO_ATTACH_FILTER, for
which no privilege is needed) is a program of the classic BPF; it sees what comes for the listening socket, which is
what opens a connection, and nothing of those that are open. Where there is no such thing, all is as if it did nothing.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from gateway.core.crowd import client_of
from gateway.wire.listener import log

# The first makes room. A connection that is taken meanwhile keeps the filter for its life, and the kernel bounds what a
# socket may keep so: 20 KB before Linux 6.7, of which this takes up to 7.
MOST = 100
# An end is late by so much at most, in seconds: those that end at the same time are let in together.
LATE = 0.25

_ATTACH, _DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER

# Instructions: code, jump if true, jump if false, operand.
_Code = tuple[int, int, int, int]
_LOAD, _RECALL, _STORE, _SHIFT, _JUMP, _EQUALS, _RETURN = 0x20, 0x60, 0x02, 0x74, 0x05, 0x15, 0x06
_NETWORK = 0xFFF00000  # SKF_NET_OFF: where the IP header begins
_VERSION_BITS = 28
_SOURCE4, _SOURCE6 = _NETWORK + 12, _NETWORK + 8
_DROP, _KEEP = (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0xFFFFFFFF)


class SocketFilter:
    """`refuse` says who is not to connect, and until when by the loop's clock; `close` forgets them all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._until: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._works = sys.platform == "linux" and sock.family in (socket.AF_INET, socket.AF_INET6)

    def __len__(self) -> int:
        return len(self._until)

    def refuse(self, address: str, until: float) -> None:
        """Take no connection from an address; for one of IPv6, from its network."""
        key = client_of(address)
        if not self._works or key in self._until:
            return
        self._until[key] = until
        if len(self._until) > MOST:
            del self._until[next(iter(self._until))]
        self._apply()
        if key in self._until:
            log.info("no connection is taken from %s for %.0f s", key, until - self._loop.time())

    def close(self) -> None:
        self._until.clear()
        self._wait()

    def _apply(self) -> None:
        try:
            _attach(self._sock, program(self._until))
        except OSError as error:  # sandboxes may forbid it
            log.debug("the kernel takes no socket filter: %s", error)
            self._works = False
            self._until.clear()
            with contextlib.suppress(OSError):
                _attach(self._sock, b"")
        self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        end = min(self._until.values(), default=None)
        self._timer = None if end is None else self._loop.call_at(end + LATE, self._let_in)

    def _let_in(self) -> None:
        now = self._loop.time()
        self._until = {key: until for key, until in self._until.items() if until > now}
        self._apply()


def program(addresses: Iterable[str]) -> bytes:
    """Instructions that drop packets from these addresses, as `client_of` has them; none for none."""
    old: list[_Code] = []
    new: list[_Code] = []
    for address in addresses:
        if ":" in address:
            network = int(IPv6Address(address)) >> 64
            new += [(_RECALL, 0, 0, 0), (_EQUALS, 0, 3, network >> 32)]
            new += [(_RECALL, 0, 0, 1), (_EQUALS, 0, 1, network & 0xFFFFFFFF), _DROP]
        else:
            old += [(_EQUALS, 0, 1, int(IPv4Address(address))), _DROP]
    if not old and not new:
        return b""
    code: list[_Code] = [(_LOAD, 0, 0, _NETWORK), (_SHIFT, 0, 0, _VERSION_BITS)]
    code += [(_EQUALS, 0, 1, 6), (_JUMP, 0, 0, len(old) + 2)]
    code += [(_LOAD, 0, 0, _SOURCE4), *old, _KEEP]
    code += [(_LOAD, 0, 0, _SOURCE6), (_STORE, 0, 0, 0), (_LOAD, 0, 0, _SOURCE6 + 4), (_STORE, 0, 0, 1), *new, _KEEP]
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def _attach(sock: socket.socket, code: bytes) -> None:
    if not code:
        sock.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
        return
    held = array.array("B", code)
    address, size = held.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("@HP", size // 8, address))
