"""Responses as bytes: the head exactly as the application gave it, and what framing needs.

Pure. Names, values, order and duplicates are the application's; `connection` and `transfer-encoding` belong to
this hop and are replaced. Header injection ends here: a line break inside a header is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from gateway.core.asgi import Header
from gateway.core.headers import Rules
from gateway.core.problem import problem
from gateway.errors import ClientError

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
# What the head must know of; what is from _CONNECTION on is never passed on.
_LENGTH, _DATE, _CONNECTION, _TRANSFER = range(1, 5)
_KNOWN = {
    b"content-length": _LENGTH, b"date": _DATE, b"connection": _CONNECTION, b"transfer-encoding": _TRANSFER
}  # fmt: skip
_rules = Rules(lambda name: _KNOWN.get(name, 0))


_line = b": ".join
_BREAKS = b"\r\n\0"  # counted by leaving them out, in one pass: half the cost of looking for each


# RFC 9112 section 4, where it is the rest of the line and means nothing.
_REASON = re.compile(rb"[\t -~\x80-\xff]{1,256}")


def status_line(status: int, reason: bytes = b"") -> bytes:
    """The first line of a response; with the standard phrase where the `reason` is empty or none."""
    if reason and reason != _PHRASES.get(status) and _REASON.fullmatch(reason):
        return b"HTTP/1.1 %d %b\r\n" % (status, reason)
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


class Fields:
    """The first lines of a response: status and headers, each with its line break. `length` is -1 without one."""

    __slots__ = ("close", "data", "dated", "length")

    def __init__(self, status: int, headers: Iterable[Header], reason: bytes = b"") -> None:
        self.length = -1
        self.dated = False
        self.close = False
        rules = _rules
        kept = headers if isinstance(headers, list) else list(headers)
        dropped = False
        for name, value in kept:
            rule = rules[name]
            if not rule:
                continue
            if rule == _LENGTH:
                self._measure(value)
            elif rule == _DATE:
                self.dated = True
            else:
                dropped = True
                self.close = self.close or (rule == _CONNECTION and b"close" in value.lower())
        if dropped:
            kept = [pair for pair in kept if rules[pair[0]] < _CONNECTION]
        usual = _STATUS_LINES.get(status) if not reason or reason == _PHRASES.get(status) else None
        self.data = (usual or status_line(status, reason)) + header_lines(kept)

    def _measure(self, value: bytes) -> None:
        if self.length >= 0 or not value.isdigit():
            raise ValueError(f"content-length {value!r} is not one number")
        self.length = int(value)


def header_lines(headers: Iterable[Header]) -> bytes:
    """Header lines as they are; raises ValueError when one of them holds a line break."""
    lines = list(map(_line, headers))
    if not lines:
        return b""
    data = b"\r\n".join(lines) + b"\r\n"
    if len(data.translate(None, _BREAKS)) != len(data) - 2 * len(lines):
        raise ValueError("a header holds a line break or a NUL")
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
