"""The short way of most requests: no body, an idle upstream connection, an answer that comes in one piece.

Asked and answered without a task, a coroutine or a message, which together cost a fifth of a request. It decides
only whether the way is open; a request that meets anything else goes on the long way, from where it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from gateway.core.headers import OWN
from gateway.core.http import IDENTITY
from gateway.errors import ClientError
from gateway.proxy.reply import answered

if TYPE_CHECKING:
    from gateway.core.asgi import Header, HttpExchange
    from gateway.plugin import StreamingUpstream, UpstreamCall
    from gateway.proxy.visit import Visit

Detour: TypeAlias = "Callable[[Visit, UpstreamCall | None], Awaitable[None]]"
Answered: TypeAlias = "Callable[[Visit, int, int], None]"


# What is noted of one client's headers: a line for each upstream, and those that a reload has replaced are not kept.
_NOTES = 16


class Express:
    """A request on the short way. `detour` is the long way, `answered` is told (visit, status, body bytes)."""

    __slots__ = ("_answered", "_call", "_detour", "_visit", "_wire")

    def __init__(self, visit: Visit, wire: HttpExchange, detour: Detour, answered: Answered) -> None:
        self._visit = visit
        self._wire = wire
        self._detour = detour
        self._answered = answered
        self._call: UpstreamCall | None = None

    def start(self, upstream: StreamingUpstream) -> bool:
        """Ask the upstream; False when the short way is closed, or will say what is wrong with the request."""
        inbound = self._visit.inbound
        identity = self._visit.scope.get(IDENTITY)
        told = identity.headers if identity is not None else ()
        notes = self._wire.notes
        try:
            known: tuple[tuple[Header, ...], bytes, frozenset[bytes]] | None = notes.get(upstream)
            # what an identity adds does not follow from the headers alone, nor what nobody else may add
            if known is None or known[0] != told or known[2] is not OWN.names:
                if len(notes) >= _NOTES:
                    notes.clear()
                known = notes[upstream] = told, upstream.ready(inbound.headers(upstream.host)), OWN.names
            call = upstream.ask(inbound.method.encode(), inbound.target, known[1], inbound, self._arrived)
        except ClientError:
            return False
        if call is None:
            return False
        self._call = call
        self._wire.take()
        return True

    def _arrived(self) -> None:
        """The upstream has something to tell."""
        call, visit = self._call, self._visit
        body = call.whole if call is not None and not call.trailers else None
        if call is None or body is None:
            self._wire.carry(self._detour(visit, call))
            return
        notes = {} if visit.added else call.notes
        self._wire.answer(call.status, answered(call, visit.added), body, notes, call.reason)
        self._answered(visit, call.status, len(body))
