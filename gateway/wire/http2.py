"""One connection of HTTP/2: Hypercorn's protocol, corrected, and WebSockets in it that are our own.

A late frame for a stream that has ended harms nobody, a response that breaks off resets its stream, frames that are too
long are not collected, and a client that takes nothing of a response holds neither memory nor an upstream for long.
A connection that is to end says so, and ends when what was asked until then is answered (RFC 9113 section 6.8).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.settings import SettingCodes, Settings
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.events import Event as TransportEvent
from hypercorn.protocol.events import EndBody, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BUFFER_LOW_WATER, BufferCompleteError, H2Protocol, StreamBuffer
from hyperframe.frame import GoAwayFrame
from priority.priority import DuplicateStreamError, MissingStreamError

from gateway.core.asgi import Headers
from gateway.core.flood import ANSWERED, GARBLED, RESET, SENT, Allowance
from gateway.wire.connect_websocket import Take
from gateway.wire.http2_calm import PIECE, bound, wanted
from gateway.wire.http2_frames import Frames
from gateway.wire.stream_transport import StreamTransport

_FRAME_HEAD = 9
# Seconds between the last word and the end: a request that crosses with it is refused, so that its client knows that it
# may be sent again. It would not after a reset, which is what comes of an end with something unread.
LINGER = 1.0
# And between the last answer and the last word: httpx has read what came with it only when it has been scheduled.
QUIET = 0.1


class Settled(Config):
    """Hypercorn's configuration; `websockets` says whether they are offered over HTTP/2."""

    websockets = False

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        return []


class _Lane:
    """A WebSocket's stream, as Hypercorn sees it."""

    idle = False

    def __init__(self, transport: StreamTransport) -> None:
        self.transport = transport

    async def handle(self, event: StreamEvent) -> None:
        if isinstance(event, EndBody):
            self.transport.ended()
        elif isinstance(event, StreamClosed):
            self.transport.lost(ConnectionResetError("the stream was reset"))


class Outbox(StreamBuffer):
    """What waits of a response. Hypercorn's lets more in whenever little goes out, so also when nothing can."""

    age = 0  # visits since there was little of it

    async def push(self, data: bytes) -> None:
        if self._complete:
            raise BufferCompleteError
        self.buffer += data
        await self._is_empty.clear()
        if len(self.buffer) >= BUFFER_HIGH_WATER:
            await self._paused.clear()
            await self._paused.wait()

    async def pop(self, max_length: int) -> bytes:
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if data and len(self.buffer) < BUFFER_LOW_WATER:
            self.age = 0
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


class Http2Protocol(H2Protocol):
    """A connection; also the Carrier of its WebSockets."""

    take: Take
    config: Settled
    allowance: Allowance  # of the client, who may have other connections
    refused: Callable[[str, str], None]  # is told of what is refused: a metric's label, and why

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        settings = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self.config.h2_max_concurrent_streams,
            SettingCodes.MAX_HEADER_LIST_SIZE: self.config.h2_max_header_list_size,
        }
        if self.config.websockets:
            settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.connection.local_settings = Settings(client=False, initial_values=settings)
        self._heads = bound(self.connection, self.config.h2_max_header_list_size)
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._over = False
        self._handling = False
        self._last = 0  # the last stream whose request was taken
        self._retiring = self._told = False
        self._ending: asyncio.TimerHandle | None = None

    async def handle(self, event: TransportEvent) -> None:
        if not isinstance(event, RawData):
            await super().handle(event)
            await self._forget()
            return
        if self._over or not await self._afford(self._frames.points(event.data)):
            return
        self._handling = True
        try:
            for at in range(0, len(event.data), PIECE):
                if not self._over:
                    await self._read(event.data[at : at + PIECE])
        finally:
            self._handling = False

    async def _forget(self) -> None:
        """The connection is over: nothing waits until something of it has gone out."""
        if self._ending is not None:
            self._ending.cancel()
        for buffer in list(self.stream_buffers.values()):
            await buffer.close()

    async def _read(self, data: bytes) -> None:
        try:
            events = self.connection.receive_data(data)
        except ProtocolError as error:
            if isinstance(error, DenialOfServiceError):
                self.allowance.pause(self._loop.time())
                await self._end("http2_flood", str(error))
            else:
                await self._garbled(str(error))
            return
        await self._handle_events(wanted(events))
        if self._heads.leaving:
            self.retire()
        # h2 refuses a frame that is too long only when it has all of it, and that may be 16 MB.
        if len(self.connection.incoming_buffer._data) > self.config.h2_max_inbound_frame_size + _FRAME_HEAD:
            await self._garbled("a frame that is too long")

    async def _garbled(self, words: str) -> None:
        self.allowance.spend(GARBLED, self._loop.time())
        await self._end("http2_protocol", words)

    async def _afford(self, points: int) -> bool:
        """Whether the client may send frames of so many points; if not, that was the last."""
        if not points or self.allowance.spend(points, self._loop.time()):
            return True
        self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
        await self._end("http2_flood", "too many frames that ask for nothing")
        return False

    async def _end(self, code: str, words: str) -> None:
        """Refuse the connection; what h2 has to say of it goes first."""
        self._over = True
        self.refused(code, words)
        await self._flush()
        await self.send(Closed())

    @property
    def wasted(self) -> bool:
        """Whether nothing was asked for, nor refused."""
        return not (self._last or self._over)

    def retire(self) -> None:
        """Take no more requests, and end with the last that was taken.

        The client is told so when that is over, or when it asks for more: h2's own clients (httpx) give up whatever is
        under way as soon as they hear of it.
        """
        if not self._retiring:
            self._retiring = True
            self._part()

    def _part(self) -> None:
        over = self._retiring and not (self.streams or self.stream_buffers or self.closed)
        if over and self._ending is None:
            self._ending = self._loop.call_later(QUIET, self._spawn, self._leave)

    async def _leave(self) -> None:
        self._ending = self._loop.call_later(LINGER, self._spawn, self.send, Closed())
        await self._say_goodbye()

    def _spawn(self, do: Callable[..., Awaitable[None]], *args: object) -> None:
        if not self.closed:
            self.task_group.spawn(do, *args)

    async def _turn_away(self, stream: int) -> None:
        """A request comes too late, and may be sent elsewhere: a retry cannot do anything twice."""
        if await self._afford(1):
            self.refused("going_away", "a request when the connection takes no more")
            await self._say_goodbye()
            self.connection.reset_stream(stream, ErrorCodes.REFUSED_STREAM)

    async def _say_goodbye(self) -> None:
        """Tell the client, once, which requests were taken."""
        if not self._told:
            self._told = True
            # Not h2's own, after which it would send nothing more.
            goaway = GoAwayFrame(stream_id=0, last_stream_id=self._last, error_code=ErrorCodes.NO_ERROR)
            await self._flush()
            await self.send(RawData(data=goaway.serialize()))

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, StreamClosed):
            buffer = self.stream_buffers.get(event.stream_id)
            if buffer is not None and not buffer._complete:  # the application gave up: the client must not wait
                with contextlib.suppress(ProtocolError):
                    self.connection.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
                await self._flush()
        await super().stream_send(event)
        if isinstance(event, StreamClosed):
            self._part()
        elif isinstance(event, EndBody) and event.stream_id in self.streams:  # all of it went out, and nobody reset it
            self.allowance.earn(ANSWERED)

    async def _handle_events(self, events: list[Event]) -> None:
        for event in events:
            if self._over:
                return
            if isinstance(event, DataReceived):
                await self._receive(event)
            elif isinstance(event, RequestReceived) and self._retiring:
                await self._turn_away(event.stream_id)
            elif isinstance(event, RequestReceived) and not _acceptable(event, self.config.websockets):
                if await self._afford(RESET):
                    self.refused("http2_request", "a path or a method that HTTP/2 does not have")
                    self.connection.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
            else:
                await super()._handle_events([event])
        await self._flush()

    async def _receive(self, event: DataReceived) -> None:
        stream = self._lane(event.stream_id)
        if stream is not None:
            stream.transport.received(event.data, event.flow_controlled_length)
        elif event.stream_id in self.streams:
            await super()._handle_events([event])
        else:
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    async def _create_stream(self, request: RequestReceived) -> None:
        self._last = request.stream_id
        fields = [(bytes(name), bytes(value)) for name, value in request.headers]
        if (b":method", b"CONNECT") not in fields:
            await super()._create_stream(request)
            if request.stream_id in self.stream_buffers:  # nothing is in it: the application has yet to be called
                self.stream_buffers[request.stream_id] = Outbox(self.context.event_class)
            return
        stream = request.stream_id
        self.stream_buffers[stream] = StreamBuffer(self.context.event_class)
        with contextlib.suppress(DuplicateStreamError):  # a PRIORITY frame came before
            self.priority.insert_stream(stream)
        self.priority.block(stream)
        transport = StreamTransport(self, stream, asyncio.get_running_loop(), {})
        self.streams[stream] = _Lane(transport)  # type: ignore[assignment]  # it asks for `handle` and `idle` alone
        self.keep_alive_requests += 1
        self.take(transport, fields)

    async def _send_data(self, stream_id: int) -> None:
        buffer = self.stream_buffers.get(stream_id)
        before = len(buffer.buffer) if buffer is not None else 0
        await super()._send_data(stream_id)
        if buffer is not None and len(buffer.buffer) < before and stream_id in self.streams:  # sent, and not reset
            self.allowance.earn(SENT)
        lane = self._lane(stream_id)
        if lane is not None:
            if stream_id in self.stream_buffers:
                lane.transport.sent()
            else:
                lane.transport.finished()
        self._part()

    def visit(self, patience: int) -> int:
        """Time goes by: give up responses that the client takes nothing of for so many visits; how many there were."""
        late = 0
        for stream, buffer in self.stream_buffers.items():
            if isinstance(buffer, Outbox) and buffer.buffer:
                buffer.age += 1
                if buffer.age == patience + 1:
                    late += 1
                    self.task_group.spawn(self._give_up, stream)
        return late

    async def _give_up(self, stream: int) -> None:
        with contextlib.suppress(ProtocolError):
            self.connection.reset_stream(stream, ErrorCodes.CANCEL)
        await self._flush()
        await self._close_stream(stream)
        self._ready(stream)  # the sending task takes its buffer away

    def _lane(self, stream: int) -> _Lane | None:
        found: object = self.streams.get(stream)
        return found if isinstance(found, _Lane) else None

    # The Carrier of WebSockets.

    def begin(self, stream: int, status: bytes, headers: Headers) -> None:
        with contextlib.suppress(ProtocolError):  # the client has reset it meanwhile, and we shall hear of it
            self.connection.send_headers(stream, [(b":status", status), *headers])
        self._flush_soon()

    def put(self, stream: int, data: bytes) -> None:
        buffer = self.stream_buffers.get(stream)
        if buffer is not None:
            buffer.buffer += data
            self._ready(stream)

    def finish(self, stream: int) -> None:
        buffer = self.stream_buffers.get(stream)
        if buffer is not None:
            buffer.set_complete()
            self._ready(stream)

    def cancel(self, stream: int) -> None:
        self._reset(stream, ErrorCodes.CANCEL)

    def release(self, stream: int) -> None:
        self._reset(stream, ErrorCodes.NO_ERROR)

    def _reset(self, stream: int, code: ErrorCodes) -> None:
        with contextlib.suppress(ProtocolError):
            self.connection.reset_stream(stream, code)
        self._flush_soon()

    def credit(self, stream: int, size: int) -> None:
        with contextlib.suppress(ProtocolError):
            self.connection.acknowledge_received_data(size, stream)
        if not self._handling:
            self._flush_soon()

    def waiting(self, stream: int) -> int:
        buffer = self.stream_buffers.get(stream)
        return 0 if buffer is None else len(buffer.buffer)

    def gone(self, stream: int) -> None:
        self._spawn(self.stream_send, StreamClosed(stream_id=stream))

    def _ready(self, stream: int) -> None:
        with contextlib.suppress(MissingStreamError):
            self.priority.unblock(stream)
        self.has_data._event.set()  # type: ignore[attr-defined]  # Hypercorn's own `set` must be awaited

    def _flush_soon(self) -> None:
        self._spawn(self._flush)


def _acceptable(request: RequestReceived, websockets: bool) -> bool:
    """Whether a scope can be made of it: a path of ASCII, and no CONNECT but for a WebSocket where they are offered."""
    pseudo = {bytes(name): bytes(value) for name, value in request.headers if bytes(name[:1]) == b":"}
    path = pseudo.get(b":path", b"")
    connects = pseudo.get(b":method") == b"CONNECT"
    return (not connects or (websockets and b":protocol" in pseudo)) and path.isascii() and path != b""
