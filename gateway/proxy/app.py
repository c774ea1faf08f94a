"""REST pass-through: answers the requests of routes from their upstreams, and accounts for them.

Knows what a failure means to the client and to the books; how an exchange goes is in `passage`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from gateway.core.asgi import NOTHING
from gateway.core.writes import SAFE, succeeded
from gateway.errors import ClientError, UpstreamError
from gateway.proxy.body import ClientGone
from gateway.proxy.express import Express
from gateway.proxy.passage import Passage
from gateway.proxy.reply import Reply
from gateway.proxy.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gateway.core.access import AccessLog
    from gateway.core.asgi import Header, Message, Receive, Scope, Send
    from gateway.core.settings import Route
    from gateway.core.stats import Stats
    from gateway.plugin import StreamingUpstream, UpstreamCall

_log = logging.getLogger("tidegate.proxy")

# What nginx logs for a client that left before it was answered; nobody receives it.
CLIENT_GONE = 499


class Proxy:
    """Passes requests through. Made once; holds nothing of a single request.

    `written` is told of each write that was done, before its answer goes to the client.
    """

    def __init__(
        self,
        upstreams: Mapping[str, StreamingUpstream],
        stats: Stats,
        access: AccessLog,
        clock: Callable[[], float],
        written: Callable[[Scope, Route], None] | None = None,
    ) -> None:
        self._upstreams = upstreams
        self._stats = stats
        self._access = access
        self._clock = clock
        self._written = written

    def forward(
        self, scope: Scope, receive: Receive, send: Send, route: Route, added: Sequence[Header] = ()
    ) -> Awaitable[None]:
        """Answer one request; a good answer gets the headers `added`."""
        visit = Visit(scope, receive, send, route, self._stats.routes[route.name])
        visit.began, visit.added = self._clock(), added
        visit.counted.in_flight += 1
        wire = visit.inbound.wire
        if visit.inbound.method not in SAFE:
            return self._write(visit)
        if wire is not None and wire.whole and visit.inbound.length == 0:
            express = Express(visit, wire, self._carry, self._account)
            if express.start(self._upstreams[route.upstream]):
                return NOTHING
        return self._carry(visit, None)

    def _write(self, visit: Visit) -> Awaitable[None]:
        if self._written is not None:
            visit.send = _telling(visit.send, partial(self._written, visit.scope, visit.route))
        return self._carry(visit, None)

    async def _carry(self, visit: Visit, call: UpstreamCall | None) -> None:
        """The long way. Raises UpstreamError when an answer broke off that the client has the head of."""
        reply = Reply(visit.inbound, visit.send, visit.added)
        try:
            upstream = self._upstreams[visit.route.upstream]
            await Passage(visit.inbound, visit.receive, reply, upstream).carry(call)
        except (UpstreamError, ClientError) as error:
            if isinstance(error, ClientError):
                self._stats.refused[error.code] += 1
                _log.debug("refused with %d: %s: %s", error.status, error.code, error.detail)
            if reply.status:
                raise
            await reply.problem(error.status, error.code, str(error))
        except (ClientGone, OSError):  # ASGI servers may raise OSError when they can't send
            pass
        finally:
            self._account(visit, reply.status or CLIENT_GONE, reply.sent, streaming=reply.streaming)

    def _account(self, visit: Visit, status: int, sent: int, *, streaming: bool = False) -> None:
        counted = visit.counted
        counted.in_flight -= 1
        counted.requests[visit.inbound.method, status] += 1
        seconds = self._clock() - visit.began
        if not streaming:
            counted.seconds.observe(seconds)
        self._access.request(visit.scope, visit.route.name, status, sent, seconds)


def _telling(send: Send, written: Callable[[], None]) -> Send:
    """A `send` that tells of the write when its answer says that it is done."""

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start" and succeeded(message["status"]):
            written()
        await send(message)

    return tell
