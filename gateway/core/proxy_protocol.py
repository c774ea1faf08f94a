"""The PROXY protocol, versions 1 and 2: the line or the bytes by which a proxy tells who connected to it.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Pure, and strict: whatever is not exactly such a header
raises ValueError, since a receiver must not guess.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = tuple[str, int]

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = 16
# Addresses take 216 bytes at most; what follows them are extensions, for which AWS, the most talkative, takes 100.
LONGEST = 2048
_LINE = 107  # of version 1, with its line break
_START = b"PROXY "
_V1 = re.compile(rb"PROXY (TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_FAMILIES = {0x11: (4, IPv4Address), 0x21: (16, IPv6Address)}
_LOCAL, _PROXY = 0x20, 0x21


@dataclass(frozen=True, slots=True)
class Told:
    """The header took `size` bytes; both ends of the connection, None when it tells of none (a health check)."""

    size: int
    client: Address | None = None
    server: Address | None = None


def told(data: bytes) -> Told | None:
    """What the header at the start of `data` tells; None as long as all of `data` is the beginning of one."""
    if _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        return _binary(data)
    if _START.startswith(data[: len(_START)]):
        return _line(data)
    raise ValueError("no header of the PROXY protocol")


def _line(data: bytes) -> Told | None:
    end = data.find(b"\n", 0, _LINE) + 1
    if not end:
        if len(data) >= _LINE:
            raise ValueError("the line is too long")
        return None
    line = data[:end]
    if _UNKNOWN.fullmatch(line):
        return Told(end)
    match = _V1.fullmatch(line)
    if match is None:
        raise ValueError("a malformed line")
    version = 4 if match[1] == b"TCP4" else 6
    ends = [ip_address(text.decode()) for text in (match[2], match[3])]
    ports = int(match[4]), int(match[5])
    if any(address.version != version for address in ends) or max(ports) > 65535:
        raise ValueError("addresses of another family, or ports that are none")
    return Told(end, (str(ends[0]), ports[0]), (str(ends[1]), ports[1]))


def _binary(data: bytes) -> Told | None:
    if len(data) < _FIXED:
        return None
    command, family, length = struct.unpack_from("!BBH", data, len(_SIGNATURE))
    if command not in (_LOCAL, _PROXY) or length > LONGEST:
        raise ValueError("an unknown version or command, or a header that is too long")
    size = _FIXED + length
    if len(data) < size:
        return None
    if command == _LOCAL or family not in _FAMILIES:  # not TCP: the connection is told of as it is
        return Told(size)
    width, kind = _FAMILIES[family]
    if length < 2 * width + 4:
        raise ValueError("no room for the addresses")
    at = _FIXED + width
    client, server = kind(data[_FIXED:at]), kind(data[at : at + width])
    ports = struct.unpack_from("!HH", data, at + width)
    return Told(size, (str(client), ports[0]), (str(server), ports[1]))
