"""A WebSocket that may yet be given away: before it is answered, its connection can be joined with an upstream's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.asgi import Headers
from gateway.wire.handshake import switched
from gateway.wire.tunnel import Tunnel
from gateway.wire.websocket import WebSocket
from gateway.wire.websocket_line import CLOSED, REFUSING

if TYPE_CHECKING:
    from gateway.core.stats import StreamStats
    from gateway.wire.upgrade import Upgraded


class Spliceable(WebSocket):
    """Implements gateway.core.asgi's Splicing."""

    __slots__ = ()

    whole = True

    def splice(self, headers: Headers, far: Upgraded, stats: StreamStats, /) -> Tunnel | None:
        parser = self._parser
        if self._phase >= REFUSING or parser is None or self._transport.is_closing():
            return None
        self._transport.write(switched(headers))
        self.slot.discard(self)
        self._parser, self._phase = None, CLOSED  # nothing of it is used from here on
        tunnel = Tunnel(self._listener, self._transport, far, stats)
        tunnel.start(parser.unread, far.rest)
        return tunnel
