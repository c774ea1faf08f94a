"""What h2 is kept from: heads are bounded while they arrive (CVE-2024-27316), and what it keeps of old streams.

What asks for nothing is counted before h2 reads it, in `http2_frames`.
"""

from __future__ import annotations

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, RequestReceived, StreamReset
from h2.exceptions import DenialOfServiceError
from h2.frame_buffer import FrameBuffer
from h2.utilities import SizeLimitDict
from hyperframe.frame import ContinuationFrame, Frame, GoAwayFrame, HeadersFrame

# Bytes that are read in one go: what they hold may take the event loop for some 10 ms.
PIECE = 8 * 1024
# Streams that are remembered so that late frames for them harm nobody; h2 keeps 65,536, of some 130 bytes each.
CLOSED = 1000


def wanted(events: list[Event]) -> list[Event]:
    """These events without requests that are reset already: what nobody has begun costs next to nothing."""
    reset = {event.stream_id for event in events if isinstance(event, StreamReset)}
    if not reset:
        return events
    begun = {event.stream_id for event in events if isinstance(event, RequestReceived)} & reset
    return [event for event in events if getattr(event, "stream_id", None) not in begun]


class Heads(FrameBuffer):
    """h2's buffer, which counts a head's frames; this counts their bytes, too, before anything is decompressed.

    `leaving` says that the client will ask for nothing more (GOAWAY without an error). h2 is not told of that: it would
    send nothing more either, and what was asked before is to be answered (RFC 9113 section 6.8).
    """

    def __init__(self, limit: int) -> None:
        super().__init__(server=True)
        self._limit = limit
        self.leaving = False

    def _update_header_buffer(self, f: Frame | None) -> Frame | None:
        if isinstance(f, HeadersFrame | ContinuationFrame):
            held = sum(len(frame.data) for frame in self._headers_buffer)
            if held + len(f.data) > self._limit:
                raise DenialOfServiceError(f"a head over {self._limit} bytes")
        found = super()._update_header_buffer(f)
        if isinstance(found, GoAwayFrame) and found.error_code == ErrorCodes.NO_ERROR:
            self.leaving = True
            return None
        return found


def bound(connection: H2Connection, limit: int) -> Heads:
    """Bound what a connection that has read nothing yet will keep: of heads, and of streams that there were once."""
    heads = connection.incoming_buffer = Heads(limit)
    connection._closed_streams = SizeLimitDict(size_limit=CLOSED)
    return heads
