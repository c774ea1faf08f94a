"""What the access log is told; `gateway.admin.accesslog` writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.core.asgi import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """What is known of a stream when it is over: `messages` and `bytes` sent, and messages `received`."""

    code: int
    label: str
    seconds: float
    messages: int
    bytes: int
    received: int


class AccessLog(Protocol):
    """One line for each request; two for each stream, tied together by its id. Never blocks, never raises."""

    def request(self, scope: Scope, route: str, status: int, sent: int, seconds: float) -> None:
        """A request was answered: `sent` body bytes, `seconds` from its head to the last byte."""

    def opened(self, stream: str, scope: Scope, route: str, transport: str) -> None:
        """A stream began."""

    def closed(self, stream: str, route: str, transport: str, end: StreamEnd) -> None:
        """A stream ended."""


class NoAccessLog:
    """Writes nothing."""

    def request(self, scope: Scope, route: str, status: int, sent: int, seconds: float) -> None: ...

    def opened(self, stream: str, scope: Scope, route: str, transport: str) -> None: ...

    def closed(self, stream: str, route: str, transport: str, end: StreamEnd) -> None: ...
