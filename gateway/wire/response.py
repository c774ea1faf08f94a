"""Responses as bytes: the head exactly as the application gave it, and what framing needs.

Pure. Names, values, order and duplicates are the application's; `connection` and `transfer-encoding` belong to
this hop and are replaced. Header injection ends here: a line break inside a header is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from gateway.core.asgi import Header
from gateway.core.problem import problem
from gateway.errors import ClientError

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
# What the head must know of; the last two are never passed on.
_KNOWN = frozenset({b"content-length", b"date", b"connection", b"transfer-encoding"})


def status_line(status: int) -> bytes:
    """The first line of a response."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


class Fields:
    """The first lines of a response: status and headers, each with its line break. `length` is -1 without one."""

    __slots__ = ("close", "data", "dated", "length")

    def __init__(self, status: int, headers: Iterable[Header]) -> None:
        self.length = -1
        self.dated = False
        self.close = False
        lines = [_STATUS_LINES.get(status) or status_line(status)]
        for name, value in headers:
            lower = name.lower()
            if lower in _KNOWN:
                if lower == b"content-length":
                    self._measure(value)
                elif lower == b"date":
                    self.dated = True
                else:
                    self.close = self.close or (lower == b"connection" and b"close" in value.lower())
                    continue
            lines.append(b"%b: %b\r\n" % (name, value))
        self.data = join_lines(lines)

    def _measure(self, value: bytes) -> None:
        if self.length >= 0 or not value.isdigit():
            raise ValueError(f"content-length {value!r} is not one number")
        self.length = int(value)


def header_lines(headers: Iterable[Header]) -> bytes:
    """Header lines as they are; raises ValueError when one of them holds a line break."""
    return join_lines([b"%b: %b\r\n" % (name, value) for name, value in headers])


def join_lines(lines: list[bytes]) -> bytes:
    data = b"".join(lines)
    count = len(lines)
    if data.count(b"\n") != count or data.count(b"\r") != count or b"\0" in data:
        raise ValueError("a response header holds a line break or a NUL")
    return data


def chunk(payload: bytes, /) -> bytes:
    """One chunk of a chunked body; nothing for nothing, because an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def identity(payload: bytes, /) -> bytes:
    """A piece of a body that the end of the connection delimits, or that another server frames."""
    return payload


def refusal(error: ClientError, date: bytes) -> tuple[bytes, bytes]:
    """Head and body of an answer that the server makes itself, after which it closes."""
    headers, body = problem(error.status, error.code, error.detail, error.headers)
    head = status_line(error.status) + header_lines(headers) + date + b"connection: close\r\n\r\n"
    return head, body
