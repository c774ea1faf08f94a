"""A named REST backend: requests over pooled connections, sent again when that is safe, and counted.

A request is sent again, once, only if its method is idempotent, its whole body is at hand, and the kept-alive
connection that it was written to died before a byte of an answer came (RFC 9110 section 9.2.2).
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from gateway.core.http import Answer, header
from gateway.core.settings import Pool as PoolSettings
from gateway.core.settings import Timeouts, UpstreamSettings
from gateway.errors import UpstreamError, UpstreamProtocolError
from gateway.wire.outgoing import framed, header_block, request_head, request_line
from gateway.wire.pool import Pool
from gateway.wire.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.asgi import Headers
    from gateway.core.http import Asker
    from gateway.core.stats import UpstreamStats
    from gateway.wire.call import Call
    from gateway.wire.client1 import Connection
    from gateway.wire.upgrade import Upgraded

IDEMPOTENT = frozenset([b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])

_DEFAULT_PORTS = {"http": 80, "https": 443}


class HttpUpstream:
    """Implements gateway.plugin's StreamingUpstream over HTTP/1.1."""

    def __init__(self, settings: UpstreamSettings, stats: UpstreamStats) -> None:
        self.name = settings.name
        self._settings = settings
        self._stats = stats
        self._pool = Pool(settings, stats)
        self._base = settings.base_path.rstrip("/").encode()
        fixed = None if settings.host_header in ("preserve", "upstream") else settings.host_header.encode()
        self._default_host = fixed or authority(settings)
        self.host = None if settings.host_header == "preserve" else self._default_host

    def __repr__(self) -> str:
        return f"<HttpUpstream {self.name!r}: {self._pool!r}>"

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        asked = await self._begin(method.encode(), target, headers, body, None)
        call = await self._settle(asked, again=True)
        try:
            await call.head()
            answer = call.whole
            if answer is None:
                answer = await self._collect(call, max_body)
            if len(answer) > max_body:
                raise self._too_long(max_body)
        finally:
            call.close()
        return Answer(status=call.status, headers=tuple(call.headers), body=answer)

    async def request(
        self, method: bytes, target: bytes, headers: Headers, body: bytes, asker: Asker | None = None
    ) -> Call:
        return await self.settle(await self._begin(method, target, headers, body, asker))

    async def _begin(self, method: bytes, target: bytes, headers: Headers, body: bytes, asker: Asker | None) -> Call:
        request = self._whole(method, target, headers, body)
        began = monotonic()
        try:
            connection = self._pool.take() or await self._pool.acquire(asker.client if asker is not None else "")
        except UpstreamError as error:
            self._stats.failures[error.code] += 1
            raise
        return self._ask(connection, method, request, began, asker)

    def ready(self, headers: Headers) -> bytes:
        headers, _ = framed(headers, b"", self._default_host)
        return header_block(headers)

    def ask(
        self,
        method: bytes,
        target: bytes,
        ready: bytes,
        asker: Asker,
        then: Callable[[], None],
    ) -> Call | None:
        request = request_line(method, self._target(target)) + ready
        connection = self._pool.take()
        if connection is None:
            return None
        call = self._ask(connection, method, request, monotonic(), asker)
        call.then = then
        return call

    async def settle(self, call: object) -> Call:
        asked = cast("Call", call)
        return await self._settle(asked, again=asked.method in IDEMPOTENT)

    async def _settle(self, asked: Call, *, again: bool) -> Call:
        """`again`: the request may be made twice."""
        try:
            try:
                await asked.soon()
            except UpstreamError:
                if not (asked.stale and again):
                    raise
                asked = await self._again(asked)
        except UpstreamError as error:
            self._stats.failures[error.code] += 1
            raise
        if asked.headed:
            asked.tell(None)
        return asked

    def _whole(self, method: bytes, target: bytes, headers: Headers, body: bytes) -> bytes:
        headers, _ = framed(headers, body, self._default_host)
        return request_head(method, self._target(target), headers) + body

    def _ask(self, connection: Connection, method: bytes, request: bytes, began: float, asker: Asker | None) -> Call:
        call = connection.ask(method, request)
        call.request = request
        call.began = began
        call.asker = asker
        call.on_head = self._count
        return call

    async def _again(self, call: Call) -> Call:
        self._stats.retries += 1
        connection = await self._pool.acquire(call.client)
        again = self._ask(connection, call.method, call.request, call.began, call.asker)
        await again.soon()
        return again

    async def open(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        asker: Asker | None = None,
    ) -> Call:
        headers, length = framed(headers, None, self._default_host)
        head = request_head(method, self._target(target), headers)
        try:
            connection = self._pool.take() or await self._pool.acquire(asker.client if asker is not None else "")
        except UpstreamError as error:
            self._stats.failures[error.code] += 1
            raise
        call = connection.begin(method, head, length)
        call.asker = asker
        call.began = monotonic()
        call.on_head = self._count
        return call

    async def upgrade(self, target: bytes, headers: Headers) -> Upgraded | Answer:
        headers, _ = framed(headers, b"", self._default_host)
        began = monotonic()
        request = request_head(b"GET", self._target(target), headers)
        try:
            key = header(headers, b"sec-websocket-key") or b""
            answer = await upgrade(self._settings, self._pool.connector, request, key)
        except UpstreamError as error:
            self._stats.failures[error.code] += 1
            raise
        self._stats.answers[answer.status] += 1
        self._stats.seconds.observe(monotonic() - began)
        return answer

    @property
    def busy(self) -> bool:
        """Whether a request is under way, or waits to be."""
        return self._pool.busy

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    def _count(self, call: Call, error: UpstreamError | None) -> None:
        """The head of an answer came, or will not."""
        if error is not None:
            self._stats.failures[error.code] += 1
        else:
            self._stats.answers[call.status] += 1
            self._stats.seconds.observe(monotonic() - call.began)

    def _target(self, target: bytes) -> bytes:
        return target if target == b"*" else self._base + target

    async def _collect(self, call: Call, max_body: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await call.read():
            size += len(piece)
            if size > max_body:
                raise self._too_long(max_body)
            pieces.append(piece)
        return b"".join(pieces)

    def _too_long(self, max_body: int) -> UpstreamProtocolError:
        error = UpstreamProtocolError(f"upstream {self.name!r} sent a body above {max_body} bytes")
        self._stats.failures[error.code] += 1
        return error


def authority(settings: UpstreamSettings) -> bytes:
    """The upstream's own name, as in `Host`."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    default = settings.port == _DEFAULT_PORTS[settings.scheme]
    name = host.encode() if host.isascii() else host.encode("idna")
    return name if default else b"%b:%d" % (name, settings.port)


def outside(url: str) -> UpstreamSettings:
    """The upstream at a URL of a plugin's own configuration."""
    parts = urlsplit(url)
    https = parts.scheme == "https"
    return UpstreamSettings(
        name=parts.netloc,
        scheme="https" if https else "http",
        host=parts.hostname or "",
        port=parts.port or (443 if https else 80),
        host_header="upstream",
        timeouts=Timeouts(response=5.0),  # clients wait for it
        pool=PoolSettings(max=4, idle=1),
    )
