"""One client over QUIC: from its datagrams to requests of HTTP/3, and back.

What is aioquic's own: QUIC, QPACK, frames. What is ours: how much a client may have us keep (aioquic grants and
buffers without end), and how a connection ends. There is no dynamic QPACK table in either direction: a byte of a
request must not become 4 KB of headers. `tests/wire/test_quic.py` checks each name of aioquic's that is used here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, FrameType, H3Connection, Setting, encode_frame
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic import events
from aioquic.quic.connection import MAX_STREAM_DATA_FRAME_CAPACITY, QuicConnection
from aioquic.quic.packet import QuicFrameType
from pylsqpack import Decoder

from gateway.core.asgi import Headers
from gateway.core.stats import TlsStats
from gateway.errors import ClientError
from gateway.wire.asgi import Ends
from gateway.wire.http3 import HIGH_WATER, Request, refused, scope_of
from gateway.wire.listener import Listener, log
from gateway.wire.sweep import LINGER_VISITS, STALL_VISITS, Member
from gateway.wire.tls import Extension, Served

Address = tuple[Any, ...]  # (host, port), and two numbers more for IPv6

# Of each stream: a body that nobody receives costs so much, and one that is uploaded over 50 ms goes at 2.6 MB/s.
WINDOW = 128 * 1024
_STREAMS = 100  # as over HTTP/2


class Endpoint(Protocol):
    """The UDP socket, as its connections see it. `unproven` are those in their handshakes."""

    listener: Listener
    stats: TlsStats
    served: Served
    transport: asyncio.DatagramTransport
    unproven: int
    routes: dict[bytes, Connection]


class Bounded(QuicConnection):
    """Lets a client send more of a stream unless its request has enough; aioquic's own doubles a limit each time."""

    held: Callable[[int], bool]

    def _write_stream_limits(self, builder: Any, space: Any, stream: Any) -> None:
        seen = stream.receiver.highest_offset
        if 0 < stream.max_stream_data_local < seen + WINDOW // 2 and not self.held(stream.stream_id):
            stream.max_stream_data_local = seen + WINDOW
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            frame = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            frame.push_uint_var(stream.stream_id)
            frame.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local


class _H3(H3Connection):
    """Without dynamic tables, and without the WebSockets that nobody takes here."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self._decoder = Decoder(0, 0)

    def _get_local_settings(self) -> dict[int, int]:
        return {Setting.QPACK_MAX_TABLE_CAPACITY: 0, Setting.QPACK_BLOCKED_STREAMS: 0}

    def _validate_settings(self, settings: dict[int, int]) -> None:
        super()._validate_settings(settings)
        settings[Setting.QPACK_MAX_TABLE_CAPACITY] = 0  # what the client would remember, we should have to as well


class Connection:
    """One client; the Carrier of its requests, and a Member of the sweep."""

    def __init__(self, endpoint: Endpoint, quic: Bounded, addr: Address) -> None:
        self.cids: set[bytes] = set()
        self.requests: dict[int, Request] = {}
        self._endpoint = endpoint
        self._listener = listener = endpoint.listener
        self._quic = quic
        self._h3: H3Connection | None = None
        self._proven = self._closed = self._draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._soon: asyncio.Handle | None = None
        self._age = self._life = self._waiting = 0
        server = endpoint.transport.get_extra_info("sockname")
        self._ends = Ends.of(addr[:2], server[:2], _extension(endpoint.served, None))
        quic.held = self._held
        endpoint.unproven += 1
        listener.arrived(self, addr[0])
        self.slot: set[Member] = listener.sweep.exchanges.place()
        self.slot.add(self)

    # Datagrams and time.

    def received(self, data: bytes, addr: Address) -> None:
        self._drive(lambda now: self._quic.receive_datagram(data, addr, now))

    def _late(self) -> None:
        at, self._timer, self._timer_at = self._timer_at or 0.0, None, None
        self._drive(lambda now: self._quic.handle_timer(max(at, now)))

    def _drive(self, step: Any) -> None:
        """Whatever a client can make of aioquic is its own connection's end, and nobody else's."""
        try:
            step(self._listener.loop.time())
            while not self._closed and (event := self._quic.next_event()) is not None:
                self._heard(event)
            for request in self.requests.values():
                request.flowing()
            self._transmit()
            if self._draining and not self.requests and not any(map(self.waiting, self._quic._streams)):
                self.close(ErrorCode.H3_NO_ERROR)
        except Exception as error:
            log.log(logging.WARNING if self._proven else logging.DEBUG, "an HTTP/3 connection failed: %r", error)
            self._lost("other")

    def _transmit(self) -> None:
        self._soon = None
        if self._closed:
            return
        quic, send = self._quic, self._endpoint.transport.sendto
        for data, addr in quic.datagrams_to_send(self._listener.loop.time()):
            send(data, addr)
        due = quic.get_timer()
        if due != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None if due is None else self._listener.loop.call_at(due, self._late)
            self._timer_at = due

    def _flush(self) -> None:
        if self._soon is None and not self._closed:
            self._soon = self._listener.loop.call_soon(self._drive, lambda now: None)

    def _held(self, stream: int) -> bool:
        request = self.requests.get(stream)
        return request is not None and request.unread > HIGH_WATER

    # What was heard.

    def _heard(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.ConnectionIdIssued):
            self._endpoint.routes[event.connection_id] = self
            self.cids.add(event.connection_id)
        elif isinstance(event, events.ConnectionIdRetired):
            self._endpoint.routes.pop(event.connection_id, None)
            self.cids.discard(event.connection_id)
        elif isinstance(event, events.ConnectionTerminated):
            self._lost("client_alert" if event.error_code else "disconnected")
        elif isinstance(event, events.HandshakeCompleted):
            self._proven = True
            self._endpoint.unproven -= 1
            self._endpoint.stats.handshakes += 1
        elif isinstance(event, events.ProtocolNegotiated):
            self._h3 = _H3(self._quic)
            self._ends.tls = _extension(self._endpoint.served, self._quic.tls.key_schedule)
        elif self._h3 is not None:
            self._heard_of_stream(self._h3, event)

    def _heard_of_stream(self, h3: H3Connection, event: events.QuicEvent) -> None:
        for told in h3.handle_event(event):
            self._told(told)
        stream: int | None = getattr(event, "stream_id", None)
        if stream is None:
            return
        request = self.requests.get(stream)
        if isinstance(event, events.StreamDataReceived):
            kept = h3._stream.get(stream)
            if kept is not None and len(kept.buffer) > self._listener.limits.header_bytes:
                self.close(ErrorCode.H3_EXCESSIVE_LOAD)  # a head that does not end
        elif request is not None:
            request.gone()
            if isinstance(event, events.StreamReset):
                self._end_sending(stream, ErrorCode.H3_REQUEST_CANCELLED)

    def _told(self, told: H3Event) -> None:
        if isinstance(told, HeadersReceived):
            if any(name == b":method" for name, _ in told.headers):
                self._begin(told.stream_id, told.headers, whole=told.stream_ended)
                return
        elif not isinstance(told, DataReceived):
            return
        request = self.requests.get(told.stream_id)
        if request is not None:
            if isinstance(told, DataReceived):
                request.feed(told.data)
            if told.stream_ended:
                request.end()

    def _begin(self, stream: int, fields: Headers, *, whole: bool) -> None:
        listener = self._listener
        request = self.requests[stream] = Request(listener, self, stream, fields, whole=whole)
        if listener.closing or self._draining or len(self.requests) > _STREAMS:
            self._end_sending(stream, ErrorCode.H3_REQUEST_REJECTED)  # which says that it may be sent elsewhere
            self.over(stream)
            return
        try:
            scope = scope_of(listener, self._ends, fields)
        except ClientError as error:
            listener.refused(error, refused(self._ends, fields), request.refuse(error))
            self.over(stream)
        else:
            listener.spawn(request.run(scope))

    # The Carrier.

    def fields(self, stream: int, fields: Headers, /, *, last: bool) -> None:
        if self._h3 is not None and not self._closed:
            self._h3.send_headers(stream, fields, last)
            self._flush()

    def data(self, stream: int, data: bytes, /, *, last: bool) -> None:
        if self._h3 is not None and not self._closed:
            self._h3.send_data(stream, data, last)
            self._flush()

    def reset(self, stream: int, /) -> None:
        self._end_sending(stream, ErrorCode.H3_INTERNAL_ERROR)

    def waiting(self, stream: int, /) -> int:
        found = self._quic._streams.get(stream)
        return 0 if found is None or self._closed else len(found.sender._buffer)

    def more(self) -> None:
        self._flush()

    def over(self, stream: int, /) -> None:
        request = self.requests.pop(stream, None)
        if self._closed or request is None:
            return
        if not request.whole:
            with contextlib.suppress(ValueError):  # the client has ended it in another way
                self._quic.stop_stream(stream, ErrorCode.H3_NO_ERROR)
        self._flush()

    def _end_sending(self, stream: int, code: int) -> None:
        if self._h3 is not None and not self._closed:
            self._quic.reset_stream(stream, code)
            # It is told as if the client had asked for it, or it would remember the stream for good.
            self._h3.handle_event(events.StopSendingReceived(error_code=code, stream_id=stream))
            self._flush()

    # The end.

    def close(self, code: int) -> None:
        """End now, and tell the client; what it still sends then is nobody's."""
        if not self._closed:
            self._quic.close(error_code=code)
            with contextlib.suppress(Exception):  # before the first packet was understood there is nobody to tell
                self._transmit()
            self._lost("timeout")

    def _lost(self, why: str) -> None:
        """Leave nothing behind; `why` it failed, if that was in its handshake."""
        if self._closed:
            return
        self._closed = True
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        for request in self.requests.values():
            request.gone()
        for cid in self.cids:
            self._endpoint.routes.pop(cid, None)
        self.slot.discard(self)
        self._listener.left(self)
        if not self._proven:
            self._endpoint.unproven -= 1
            self._endpoint.stats.failures[why] += 1
            log.debug("a QUIC handshake failed (%s)", why)

    def visit(self) -> None:
        """Count how long nothing has happened that should have."""
        patience = self._listener.patience
        waiting = sum(map(self.waiting, self.requests))
        idle = not self.requests
        due = idle or not self._proven or (waiting > 0 and waiting == self._waiting)
        self._age = self._age + 1 if due else 0
        self._waiting = waiting
        self._life += 1
        if self._life > patience.life and not self._draining:
            self.drain()
        limit = LINGER_VISITS if not self._proven or (idle and self._draining) else patience.idle
        if self._age > (limit if idle or not self._proven else STALL_VISITS):
            self.close(ErrorCode.H3_NO_ERROR)

    def drain(self) -> None:
        """Begin nothing more (RFC 9114 section 5.2), and end with the last request."""
        if self._draining:
            return
        self._draining = True
        if self.requests and self._h3 is not None:
            begun = encode_uint_var(max(self.requests) + 4)
            control = self._h3._local_control_stream_id
            assert control is not None
            self._quic.send_stream_data(control, encode_frame(FrameType.GOAWAY, begun))
            self._flush()
        else:
            self.close(ErrorCode.H3_NO_ERROR)

    def abort(self) -> None:
        self.close(ErrorCode.H3_NO_ERROR)


def _extension(served: Served, schedule: Any) -> Extension:
    """The ASGI extension `tls`; QUIC has TLS 1.3 alone, and we ask no client for a certificate there."""
    return {
        "server_cert": served.pem,
        "client_cert_chain": (),
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": None if schedule is None else int(schedule.cipher_suite),
    }
