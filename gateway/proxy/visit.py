"""One request at the proxy: what it is, whom it is answered to, and where it is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.proxy.inbound import Inbound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.asgi import Header, Receive, Scope, Send
    from gateway.core.settings import Route
    from gateway.core.stats import RouteStats


class Visit:
    """A record; `began` is the clock's time, `added` the headers that a good answer gets."""

    __slots__ = ("added", "began", "counted", "inbound", "receive", "route", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, route: Route, counted: RouteStats) -> None:
        self.inbound = Inbound(scope)
        self.scope = scope
        self.receive = receive
        self.send = send
        self.route = route
        self.counted = counted
        self.began = 0.0
        self.added: Sequence[Header] = ()
