"""Messages that clients POST to a channel's URL, where its route lets them.

    rate ─► read (bounded) ─► parse ─► publish ─► 201 {"id": "m7.3"}

What may be sent is what a session may publish: any JSON, up to `limits.message`.
"""

from __future__ import annotations

import asyncio

from gateway.core.asgi import Receive, Scope, Send
from gateway.core.cors import SHARING
from gateway.core.crowd import address_of
from gateway.core.event import Json
from gateway.errors import ClientError
from gateway.live.app import Named, Parts
from gateway.live.bodies import Bodies, Gone, check_plain, is_json, media_type
from gateway.live.messages import Messages, owner_of
from gateway.live.rates import Rates
from gateway.live.reply import as_json, as_problem, reply
from gateway.plugin import Codec

# For a body to come whole: the messages are small.
PATIENCE = 10.0
# Memory for those under way, and the part of it that one address may have: some hundreds of the largest by default.
MOST = 16 * 1024 * 1024
# Larger bodies are parsed beside the loop: this takes about a millisecond.
LARGE = 256 * 1024


class Posts:
    """Takes what is posted to all routes that publish."""

    def __init__(self, parts: Parts, messages: Messages, codec: Codec) -> None:
        self._parts = parts
        self._messages = messages
        self._codec = codec
        self._bodies = Bodies(MOST, MOST // 4)
        self._rates = Rates(parts.limits.messages_per_second, "messages", parts.clock)

    def __repr__(self) -> str:
        return f"<Posts {self._bodies!r}>"

    async def serve(self, scope: Scope, receive: Receive, send: Send, named: Named) -> None:
        """One message, from its first byte to its answer."""
        parts = self._parts
        began, stats = parts.clock.monotonic(), parts.stats.routes[named.route]
        stats.in_flight += 1
        try:
            data = await self._data(scope, receive)
            position = await self._messages.publish(named.channel, data, owner_of(scope))
            status, headers, body = as_json(201, {"id": str(position)})
            await reply(parts, scope, send, named.route, began, (status, headers + scope.get(SHARING, []), body))
        except ClientError as error:
            parts.stats.refused[error.code] += 1
            status, headers, body = as_problem(error)
            await reply(parts, scope, send, named.route, began, (status, headers + scope.get(SHARING, []), body))
        except Gone:
            pass
        finally:
            stats.in_flight -= 1

    async def _data(self, scope: Scope, receive: Receive) -> Json:
        """What was sent; raises ClientError and Gone."""
        address, most = address_of(scope), self._parts.limits.message
        self._rates.check(address)
        if not is_json(media_type(scope["headers"])):
            raise ClientError(415, "bad_type", "messages here are JSON: say so, as content-type application/json")
        check_plain(scope["headers"], most)
        body = await self._bodies.collect(receive, address, most=most, timeout=PATIENCE)
        try:
            if len(body) > LARGE:
                return await asyncio.to_thread(self._codec.decode, body)
            return self._codec.decode(body)
        except ValueError:
            raise ClientError(400, "bad_json", "the body is not JSON") from None
