"""What a client of HTTP/2 may do that asks for nothing: it costs us more than the client, so there is little of it.

Requests that are reset (CVE-2023-44487), pings, settings, priorities and empty frames are counted, heads while they
arrive (CVE-2024-27316). Decides when it is too much; who asks then ends the connection with ENHANCE_YOUR_CALM.
"""

from __future__ import annotations

from collections.abc import Sequence

from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamReset,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import DenialOfServiceError
from h2.frame_buffer import FrameBuffer
from h2.utilities import SizeLimitDict
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame

from gateway.core.rate import Rate

# A page that is left resets all of its requests at once: 100 of them; and perhaps those of the next.
RESETS = Rate(100, 200)
# Clients ping every some seconds; nghttp2 allows 330 a second and 10,000 at once, in C.
CHATTER = Rate(100, 1000)
# Each frame of a body that we send lets a client widen two windows; those that send more at once are rare.
WINDOWS = Rate(100, 1000)
WINDOWS_EACH = 2
# Bytes that are read in one go: so many frames of 9 bytes hold the event loop for some 20 ms.
PIECE = 8 * 1024
# Streams that are remembered so that late frames for them harm nobody; h2 keeps 65,536, of some 130 bytes each.
CLOSED = 1000

_CHATTER = (
    PingAckReceived, PingReceived, PriorityUpdated, RemoteSettingsChanged, SettingsAcknowledged, UnknownFrameReceived
)  # fmt: skip


class Calm:
    """The counts of one connection; times are in seconds."""

    __slots__ = ("_at", "_chatter", "_resets", "_windows")

    def __init__(self, now: float) -> None:
        self._at = now
        self._chatter, self._resets, self._windows = CHATTER.burst, RESETS.burst, WINDOWS.burst

    def sent(self) -> None:
        """A frame of a body went out."""
        self._windows += WINDOWS_EACH

    def reset(self) -> None:
        """A request that is none was refused by a reset."""
        self._resets -= 1

    def lost(self, events: Sequence[Event], now: float) -> str:
        """What there is too much of, now that these events came; nothing while it can be borne."""
        seconds, self._at = now - self._at, now
        self._chatter = CHATTER.refilled(self._chatter, seconds)
        self._resets = RESETS.refilled(self._resets, seconds)
        self._windows = max(self._windows, WINDOWS.refilled(self._windows, seconds))
        for event in events:
            if isinstance(event, StreamReset):
                self._resets -= 1
            elif isinstance(event, WindowUpdated):
                self._windows -= 1
            elif isinstance(event, _CHATTER) or (
                isinstance(event, DataReceived) and not (event.data or event.stream_ended)
            ):
                self._chatter -= 1
        if self._resets < 0:
            return "too many requests were reset"
        if self._chatter < 0:
            return "too many frames that ask for nothing"
        return "too many window updates" if self._windows < 0 else ""


def wanted(events: list[Event]) -> list[Event]:
    """These events without requests that are reset already: what nobody has begun costs next to nothing."""
    reset = {event.stream_id for event in events if isinstance(event, StreamReset)}
    if not reset:
        return events
    begun = {event.stream_id for event in events if isinstance(event, RequestReceived)} & reset
    return [event for event in events if getattr(event, "stream_id", None) not in begun]


class Heads(FrameBuffer):
    """h2's buffer, which counts a head's frames; this counts their bytes, too, before anything is decompressed."""

    def __init__(self, limit: int) -> None:
        super().__init__(server=True)
        self._limit = limit

    def _update_header_buffer(self, f: Frame | None) -> Frame | None:
        if isinstance(f, HeadersFrame | ContinuationFrame):
            held = sum(len(frame.data) for frame in self._headers_buffer)
            if held + len(f.data) > self._limit:
                raise DenialOfServiceError(f"a head over {self._limit} bytes")
        return super()._update_header_buffer(f)


def bound(connection: H2Connection, limit: int) -> None:
    """Bound what a connection that has read nothing yet will keep: of heads, and of streams that there were once."""
    connection.incoming_buffer = Heads(limit)
    connection._closed_streams = SizeLimitDict(size_limit=CLOSED)
