"""REST pass-through: answers the requests of routes from their upstreams, and accounts for them.

Knows what a failure means to the client and to the books; how an exchange goes is in `passage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import ClientError, UpstreamError
from gateway.proxy.body import ClientGone
from gateway.proxy.inbound import Inbound
from gateway.proxy.passage import Passage
from gateway.proxy.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.access import AccessLog
    from gateway.core.asgi import Header, Receive, Scope, Send
    from gateway.core.settings import Route
    from gateway.core.stats import Stats
    from gateway.plugin import StreamingUpstream

# What nginx logs for a client that left before it was answered; nobody receives it.
CLIENT_GONE = 499


class Proxy:
    """Passes requests through. Made once; holds nothing of a single request."""

    def __init__(
        self,
        upstreams: Mapping[str, StreamingUpstream],
        stats: Stats,
        access: AccessLog,
        clock: Callable[[], float],
    ) -> None:
        self._upstreams = upstreams
        self._stats = stats
        self._access = access
        self._clock = clock

    async def forward(
        self, scope: Scope, receive: Receive, send: Send, route: Route, added: Sequence[Header] = ()
    ) -> None:
        """Answer one request; a good answer gets the headers `added`.

        Raises UpstreamError when an answer broke off that the client has the head of.
        """
        began = self._clock()
        inbound = Inbound(scope)
        reply = Reply(inbound, send, added)
        counted = self._stats.routes[route.name]
        counted.in_flight += 1
        try:
            await Passage(inbound, receive, reply, self._upstreams[route.upstream]).carry()
        except (UpstreamError, ClientError) as error:
            if reply.status:
                raise
            await reply.problem(error.status, error.code, str(error))
        except (ClientGone, OSError):  # ASGI servers may raise OSError when they can't send
            pass
        finally:
            counted.in_flight -= 1
            seconds = self._clock() - began
            status = reply.status or CLIENT_GONE
            counted.requests[inbound.method, status] += 1
            if not reply.streaming:
                counted.seconds.observe(seconds)
            self._access.request(scope, route.name, status, reply.sent, seconds)
