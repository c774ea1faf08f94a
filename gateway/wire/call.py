"""A call: one request on an upstream connection and its answer, as gateway.plugin's UpstreamCall.

It owns what was read and the one waiter; the connection owns the transport. They part as soon as the answer is
complete, so that the connection can serve another request while this answer is still being read. Whoever has a
call must close it, however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from gateway.core.http import Asker, header
from gateway.errors import ClientError
from gateway.wire.incoming import Incoming
from gateway.wire.outgoing import chunk, last_chunk

if TYPE_CHECKING:
    from gateway.core.asgi import Headers
    from gateway.errors import UpstreamError
    from gateway.wire.client1 import Connection
    from gateway.wire.incoming import AnswerParser

Headed: TypeAlias = "Callable[[Call, UpstreamError | None], None]"  # is told of the final head, or why none will come

# What is read ahead is taken piece by piece, so that a client's write buffer does not hold all of it as well.
_PIECE = 64 * 1024


class Call(Incoming):
    """`ended`: the request is sent. `stale`: a kept-alive connection died before a byte of an answer came.

    `slow`: the owner of the connection has come by more than once since the call began. `ahead`: all of the answer is
    read, however slowly it is taken. `then` is called once in place of a waiter, when there is something to tell.
    `method`, `request` and `began` are the asker's, who may want to ask again.
    """

    __slots__ = (
        "_connection",
        "_error",
        "_left",
        "_loop",
        "_taken",
        "_visited",
        "_waiter",
        "ahead",
        "asker",
        "began",
        "ended",
        "method",
        "on_head",
        "request",
        "slow",
        "stale",
        "then",
    )

    def __init__(self, method: bytes, connection: Connection, left: int | None, parser: AnswerParser) -> None:
        super().__init__(method, parser)
        self._loop = connection.turn.loop
        self.ended = self.stale = self.slow = self.ahead = self._visited = False
        self.asker: Asker | None = None
        self.on_head: Headed | None = None
        self.then: Callable[[], None] | None = None
        self.method = method
        self.request = b""
        self.began = 0.0
        self._connection: Connection | None = connection
        self._taken = 0  # bytes by `read`
        self._left = left  # bytes of the body to come; None: it is chunked
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def soon(self) -> None:
        """Wait for the head, or until the call is slow. Raises UpstreamError; closes the call when cancelled."""
        try:
            while not (self.headed or self.slow):
                if self._error is not None:
                    raise self._error
                await self._news()
        except asyncio.CancelledError:
            self.close()
            raise

    async def head(self) -> None:
        while not self.headed and self._error is None:
            await self._news()
        self.tell(None if self.headed else self._error)
        if not self.headed and self._error is not None:
            raise self._error

    def tell(self, error: UpstreamError | None) -> None:
        """Tell `on_head`, once."""
        on_head, self.on_head = self.on_head, None
        if on_head is not None:
            on_head(self, error)

    @property
    def whole(self) -> bytes | None:
        return self.take() if self.complete else None

    async def read(self) -> bytes:
        while not self.buffered:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            await self._news()
        data = self.take_some(_PIECE)
        self._taken += len(data)
        if self._connection is not None:
            self._connection.resume()
        return data

    @property
    def client(self) -> str:
        """Who waits for it; empty where that is nobody's client."""
        return self.asker.client if self.asker is not None else ""

    @property
    def rest(self) -> int | None:
        """Bytes of the answer that are still to come; None where it does not say."""
        length = header(self.headers, b"content-length")
        return None if length is None else int(length) - self._taken - self.buffered

    @property
    def outstanding(self) -> int:
        """Bytes that are here, or are to come, for the caller to take."""
        return self.buffered + ((self.rest or 0) if self._connection is not None else 0)

    async def write(self, data: bytes) -> bool:
        if self._connection is not None and data:
            await self._connection.send(chunk(data) if self._left is None else self._counted(data))
        return self._connection is not None

    def end(self, trailers: Headers) -> None:
        if self._connection is None or self.ended:
            return
        if self._left:
            self.close()
            raise ClientError(400, "bad_framing", "the body is shorter than its content-length says")
        self._connection.finish(last_chunk(trailers) if self._left is None else b"")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._pieces, self.buffered = [], 0
        if connection is not None:
            connection.abort()

    # For the connection.

    def done(self) -> None:
        """The answer is complete: the connection may serve others."""
        self._connection = None

    def fail(self, error: UpstreamError) -> None:
        """The answer will not become complete."""
        self._error = error
        self._connection = None
        self.wake()

    def wake(self) -> None:
        """Something happened that `head`, `read` or `then` may wait for."""
        then, waiter = self.then, self._waiter
        if then is not None:
            self.then = None
            if self.headed:
                self.tell(None)
            then()
        elif waiter is not None and not waiter.done():
            waiter.set_result(None)

    def visit(self) -> None:
        """Time goes by."""
        self.slow = self._visited
        self._visited = True
        if self.slow and not self.headed:
            self.wake()

    def inform(self) -> None:
        """Pass the 1xx answers on."""
        between, self.between = self.between, []
        if self.asker is not None:
            for status, headers in between:
                self.asker.informational(status, headers)

    def _counted(self, data: bytes) -> bytes:
        self._left = (self._left or 0) - len(data)
        if self._left < 0:
            self.close()
            raise ClientError(400, "bad_framing", "the body is longer than its content-length says")
        return data

    def _news(self) -> asyncio.Future[None]:
        waiter = self._waiter = self._loop.create_future()
        return waiter
