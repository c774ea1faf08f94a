from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.proxy_protocol import LONGEST, Told, told

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(addresses: bytes, *, command: int = 0x21, family: int = 0x11, more: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses + more)) + addresses + more


V4 = bytes([192, 0, 2, 7, 10, 0, 0, 2]) + struct.pack("!HH", 4711, 443)
V6 = bytes.fromhex("20010db8" + "00" * 11 + "07") + bytes(15) + b"\1" + struct.pack("!HH", 4711, 443)

GOOD = {
    b"PROXY TCP4 192.0.2.7 10.0.0.2 4711 443\r\n": (("192.0.2.7", 4711), ("10.0.0.2", 443)),
    b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n": (("2001:db8::7", 4711), ("::1", 443)),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n": (("255.255.255.255", 65535), ("255.255.255.255", 0)),
    b"PROXY UNKNOWN\r\n": (None, None),
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n": (None, None),
    binary(V4): (("192.0.2.7", 4711), ("10.0.0.2", 443)),
    binary(V4, more=b"\x03\0\x04abcd"): (("192.0.2.7", 4711), ("10.0.0.2", 443)),
    binary(V6, family=0x21): (("2001:db8::7", 4711), ("::1", 443)),
    binary(b"", command=0x20, family=0): (None, None),
    binary(V4, command=0x20): (None, None),
    binary(bytes(216), family=0x31): (None, None),
    binary(V4, family=0x12): (None, None),
    binary(b"", family=0): (None, None),
}


@pytest.mark.parametrize("data", GOOD, ids=repr)
def test_headers(data: bytes) -> None:
    expected = Told(len(data), *GOOD[data])
    assert told(data) == expected
    assert told(data + b"GET / HTTP/1.1\r\n\r\n") == expected, "what follows is not part of it"
    for size in range(1, len(data)):
        assert told(data[:size]) is None, "not whole yet"


BAD = {
    "a request": b"GET / HTTP/1.1\r\n",
    "TLS": b"\x16\x03\x01",
    "lower case": b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
    "two blanks": b"PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
    "LF alone": b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
    "an unknown family": b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
    "IPv6 as TCP4": b"PROXY TCP4 ::1 ::1 1 1\r\n",
    "IPv4 as TCP6": b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n",
    "no address": b"PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n",
    "an address too much": b"PROXY TCP4 1.1.1.1 1.1.1.1 1.1.1.1 1 1\r\n",
    "no ports": b"PROXY TCP4 1.1.1.1 1.1.1.1\r\n",
    "a port above": b"PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n",
    "a port with a zero": b"PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
    "a port with a sign": b"PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n",
    "a line without end": b"PROXY TCP4 " + b"1" * 100,
    "an unknown one without end": b"PROXY UNKNOWN " + b"1" * 100,
    "another signature": b"\r\n\r\n\0\r\nQUIT\r",
    "version 1 in binary": binary(V4, command=0x11),
    "version 3": binary(V4, command=0x31),
    "an unknown command": binary(V4, command=0x22),
    "no room for addresses": binary(V4[:-1]),
    "no room for addresses of IPv6": binary(V4, family=0x21),
    "a length beyond all": binary(bytes(LONGEST + 1)),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_header(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        told(data)


@given(st.sampled_from(list(GOOD)), st.integers(0, 60), st.binary(min_size=1, max_size=3), st.binary(max_size=5))
def test_mutated_headers(header: bytes, at: int, new: bytes, tail: bytes) -> None:
    data = header[:at] + new + header[at + len(new) :] + tail
    try:
        got = told(data)
    except ValueError:
        return
    if got is None:
        assert len(data) < 16 + LONGEST
    else:
        assert got.size <= len(data)
        assert told(data[: got.size]) == got
