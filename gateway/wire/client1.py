"""One HTTP/1.1 connection to an upstream; it carries one call at a time.

It trusts nothing: bytes that nobody asked for, an answer that ends before its request, a call that is given up,
each closes it. It has neither timer nor clock: its owner visits it now and then, and it counts from the first visit
that finds it waiting for something. It knows nothing of pools, retries or statistics.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Protocol, cast

from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway.wire.call import Call
from gateway.wire.incoming import AnswerParser

if TYPE_CHECKING:
    from gateway.core.settings import Timeouts
    from gateway.wire.repeats import Repeats
    from gateway.wire.turn import Turn

# Reading stops while this much of a body waits for a slow client; one read of uvloop is up to 256 KB more.
HIGH_WATER = 64 * 1024


class Owner(Protocol):
    """Who is told what becomes of a connection."""

    def idle(self, connection: Connection) -> None:
        """It may carry another request."""

    def gone(self, connection: Connection) -> None:
        """It is closed."""

    def broke_off(self, error: UpstreamError) -> None:
        """An answer ended early, after its head had been given to the caller."""

    def may_read_ahead(self, connection: Connection) -> bool:
        """Whether all of an answer may be read now, though its caller does not keep up; a yes is for good."""


class Connection(asyncio.Protocol):
    """An open connection is idle, or busy with one call. Times are in seconds."""

    __slots__ = (
        "_call",
        "_congested",
        "_drain",
        "_moved",
        "_name",
        "_owner",
        "_parser",
        "_patience",
        "_paused",
        "_repeats",
        "_served",
        "_since",
        "_timeouts",
        "_transport",
        "_unsent",
        "turn",
    )

    def __init__(self, name: str, timeouts: Timeouts, owner: Owner, turn: Turn, repeats: Repeats) -> None:
        self._name = name
        self.turn = turn
        self._unsent = b""  # a whole request, to be written at the end of the turn
        self._timeouts = timeouts
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._repeats = repeats
        self._parser = AnswerParser(repeats)
        self._drain: asyncio.Future[None] | None = None
        self._served = 0
        self._patience = inf  # how long it may wait for what it waits for now
        self._since = 0.0  # when that began, as a visit saw it; 0: none did
        self._moved = 0  # bytes of a request's body since anything was reckoned
        self._congested = self._paused = False

    def __repr__(self) -> str:
        state = "not open" if not self.open else "idle" if self._call is None else "busy"
        return f"<Connection to {self._name!r}: {state}, {self._served} served>"

    @property
    def open(self) -> bool:
        """Whether a request may be written to it."""
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, method: bytes, request: bytes) -> Call:
        """Write a whole request."""
        call = self._call = Call(method, self, 0, self._parser)
        call.ended = True
        self._patience, self._since = self._timeouts.response, 0.0
        self._unsent = request
        self.turn.put_off(self._flush)
        return call

    def begin(self, method: bytes, head: bytes, left: int | None) -> Call:
        """Write the head of a request whose body of `left` bytes (None: chunked) will follow."""
        call = self._call = Call(method, self, left, self._parser)
        self._patience, self._since = inf, 0.0
        self._moved = 0
        self._write(head)
        return call

    async def send(self, data: bytes) -> None:
        """Write a piece of a body, and wait while the transport holds too much."""
        self._write(data)
        self._moved += len(data)
        if self._congested or self._moved > HIGH_WATER:
            self._reckon()
        if self._congested:
            self._drain = asyncio.get_running_loop().create_future()
            try:
                await self._drain
            finally:
                self._drain = None

    def finish(self, data: bytes) -> None:
        """Write the end of a request."""
        if self._call is not None:
            self._write(data)
            self._call.ended = True
            self._reckon()

    def resume(self) -> None:
        """The caller has room for more of the answer."""
        if self._paused and self._transport is not None:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
            self._reckon()

    def abort(self) -> None:
        """Close now; a call under way is forgotten, not failed."""
        self._call = None
        self._unsent = b""
        self._release_writer()
        if self._transport is not None:
            self._transport.abort()

    def shut(self) -> None:
        """Close now, and fail the call under way."""
        self._fail(UpstreamUnavailable("is no longer used"))

    # While others wait for connections.

    @property
    def call(self) -> Call | None:
        """The call under way."""
        return self._call

    @property
    def client(self) -> str:
        """Whose call it is."""
        return self._call.client if self._call is not None else ""

    def read_ahead(self) -> None:
        """Read what is to come of an answer that the caller does not take, if the owner has room for it."""
        if self._call is not None and self._paused and self._owner.may_read_ahead(self):
            self._call.ahead = True
            self.resume()

    def give_way(self) -> None:
        """Close now, because the caller is slow."""
        self._fail(UpstreamUnavailable("gave a connection, whose client was slow, to others"))

    def held(self, now: float) -> float:
        """For how long the caller has taken nothing of the answer, or sent too little of the request."""
        call = self._call
        if call is None or not self._since:
            return 0.0
        waits = self._paused or not (call.ended or call.headed or self._congested)
        return now - self._since if waits else 0.0

    def visit(self, now: float) -> None:
        """The owner comes by, every now and then."""
        if not self._since:
            self._since = now
        elif now - self._since > self._patience:
            self._expire()
        if self._call is not None:
            self._call.visit()

    def _expire(self) -> None:
        call, limits = self._call, self._timeouts
        if call is None:
            self.abort()
        elif not call.ended:
            self._fail(UpstreamTimeout(f"took no more of the request for {limits.idle:g} s"))
        elif call.headed:
            self._fail(UpstreamTimeout(f"fell silent for {limits.idle:g} s in the middle of an answer"))
        else:
            self._fail(UpstreamTimeout(f"did not answer within {limits.response:g} s"))

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        call = self._call
        if call is None:
            self.abort()
            return
        if self._unsent:  # the request is still here: this cannot be its answer, and may be somebody else's
            self._fail(UpstreamProtocolError("sent what nobody asked for"))
            return
        try:
            call.feed(data)
        except UpstreamProtocolError as error:
            self._fail(error)
            return
        if call.between:
            call.inform()
        if call.complete:
            self._done(call)
        elif call.headed:
            self._hold(call)
        if call.headed:
            call.wake()

    def eof_received(self) -> None:
        call = self._call
        if call is None:
            return
        try:
            call.eof()
        except UpstreamProtocolError as error:
            self._fail(error)
        else:
            self._done(call)
            call.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        call = self._call
        if call is not None:
            where = "in the middle of" if call.headed else "without"
            self._fail(UpstreamProtocolError(f"broke the connection {where} an answer"), exc)
        self._owner.gone(self)

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        self._release_writer()
        if self._call is not None:
            self._reckon()

    def _flush(self) -> None:
        data, self._unsent = self._unsent, b""
        if self.open:
            self._write(data)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _hold(self, call: Call) -> None:
        """More is to come: not faster than the caller takes it."""
        if call.buffered > HIGH_WATER and not (self._paused or call.ahead) and self._transport is not None:
            if self._owner.may_read_ahead(self):
                call.ahead = True
            else:
                self._paused = True
                self._transport.pause_reading()
        self._reckon()

    def _done(self, call: Call) -> None:
        self._call = None
        self._served += 1
        if not self._parser.fresh:
            self._parser = AnswerParser(self._repeats)
        call.done()
        if call.reusable and call.ended and self.open:
            if self._paused:
                self.resume()
            self._patience, self._since = self._timeouts.idle, 0.0
            self._owner.idle(self)
        else:
            self.abort()

    def _fail(self, error: UpstreamError, cause: BaseException | None = None) -> None:
        call = self._call
        self._call = None
        if call is not None:
            named = type(error)(f"upstream {self._name!r} {error}")
            named.__cause__ = cause or error.__cause__
            call.stale = self._served > 0 and not call.begun
            if call.headed:
                self._owner.broke_off(named)
            call.fail(named)
        self.abort()

    def _release_writer(self) -> None:
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    def _reckon(self) -> None:
        """What is waited for has changed. Only what the upstream delays counts, not what a client does."""
        call, limits = self._call, self._timeouts
        if call is None:
            return
        self._since = 0.0
        self._moved = 0
        if not call.ended:
            self._patience = limits.idle if self._congested else inf
        elif not call.headed:
            self._patience = limits.response
        else:
            self._patience = inf if self._paused else limits.idle
