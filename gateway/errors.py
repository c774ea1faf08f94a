"""Every error the gateway raises on purpose, classed by whose fault it is.

TidegateError
├── ClientError          the client's: an HTTP status, a WebSocket close code, a machine-readable code
├── UpstreamError        the backend's
│   ├── UpstreamUnavailable   no connection could be made                     → 502
│   ├── UpstreamTimeout       connected or connecting, but no answer in time  → 504
│   └── UpstreamProtocolError what came back is not HTTP, or ended too early  → 502
└── ConfigError          the operator's: every problem of a file at once

Anything else that escapes is a bug: it is logged with its traceback and shown to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

# A WebSocket's close code for an HTTP status, where the one given with the error says no better.
_CLOSES = {401: 4401, 403: 4403, 404: 4404, 410: 4404, 429: 4429, 503: 1012}
_POLICY = 1008  # RFC 6455 section 7.4.1: when there is no other more suitable


class TidegateError(Exception):
    """Base of all errors raised on purpose."""


class ClientError(TidegateError):
    """A request that the gateway refuses.

    `status` is the HTTP answer before an upgrade, `close_code` the WebSocket close after it, or where a server can't
    answer an upgrade; `code` a short machine-readable word that clients may switch on and metrics count.
    """

    def __init__(self, status: int, code: str, detail: str, *, close_code: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.close_code = close_code or _CLOSES.get(status, _POLICY)
        self.headers: tuple[tuple[bytes, bytes], ...] = ()

    def with_headers(self, *headers: tuple[bytes, bytes]) -> ClientError:
        """The same error, answered with these response headers as well (`Allow`, `Retry-After`)."""
        self.headers = headers
        return self


class UpstreamError(TidegateError):
    """The backend failed; `status` is what a REST client is answered, `code` the machine-readable word."""

    status = 502
    code = "upstream_error"


class UpstreamUnavailable(UpstreamError):
    """No connection to the backend could be made."""

    code = "upstream_unavailable"


class UpstreamTimeout(UpstreamError):
    """The backend did not connect or answer in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamProtocolError(UpstreamError):
    """What the backend sent is not HTTP, breaks a limit, or ended too early."""

    code = "upstream_protocol"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a configuration file: where it is, and what would be right."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(TidegateError):
    """A configuration that cannot be used; `problems` holds every mistake, in file order."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in sorted(problems)))
        self.problems = sorted(problems)
