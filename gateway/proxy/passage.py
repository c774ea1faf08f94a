"""One exchange on its way through: how the request goes up and the answer comes down.

The way of most is a straight line without tasks: a small body is collected, one write asks, one pair of messages
answers. Only what is large, long or slow gets a second coroutine beside it, which uploads and notices that the
client has gone. Every way out closes the call, and an answer that broke off is never ended cleanly.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.proxy.body import beside, collect, next_piece, upload, upload_when_asked, watch

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gateway.core.asgi import Headers, Message, Receive
    from gateway.plugin import StreamingUpstream, UpstreamCall
    from gateway.proxy.inbound import Inbound
    from gateway.proxy.reply import Reply


class _Uploader:
    """The asker with a large body: notes that the upstream has asked for it."""

    __slots__ = ("_asked", "_inbound")

    def __init__(self, inbound: Inbound, asked: asyncio.Event) -> None:
        self._inbound = inbound
        self._asked = asked

    @property
    def client(self) -> str:
        return self._inbound.client

    def informational(self, status: int, headers: Headers) -> None:
        if status == 100:
            self._asked.set()
        self._inbound.informational(status, headers)


class Passage:
    """Made for one request, and used once."""

    __slots__ = ("_inbound", "_method", "_receive", "_reply", "_upstream")

    def __init__(self, inbound: Inbound, receive: Receive, reply: Reply, upstream: StreamingUpstream) -> None:
        self._inbound = inbound
        self._method = inbound.method.encode()
        self._receive = receive
        self._reply = reply
        self._upstream = upstream

    def carry(self, call: UpstreamCall | None = None) -> Coroutine[object, object, None]:
        """Go all the way, or on with a call that has asked already.

        Raises UpstreamError, ClientError or ClientGone when the answer can't be completed.
        """
        if call is not None:
            return self._go_on(call)
        return self._with_body() if self._inbound.length != 0 else self._ask(b"")

    async def _with_body(self) -> None:
        inbound = self._inbound
        first = await next_piece(self._receive) if inbound.unsure else None
        if first is not None and not first.get("more_body", False):
            await self._ask(bytes(first.get("body", b"")))
        elif inbound.small:
            await self._ask(await collect(self._receive))
        else:
            await self._upload(first)

    async def _ask(self, body: bytes) -> None:
        inbound, upstream = self._inbound, self._upstream
        headers = inbound.headers(upstream.host)
        await self._take(await upstream.request(self._method, inbound.target, headers, body, inbound))

    async def _go_on(self, call: UpstreamCall) -> None:
        await self._take(await self._upstream.settle(call))

    async def _take(self, call: UpstreamCall) -> None:
        try:
            answer = call.whole
            if answer is None:
                await beside(watch(self._receive), self._answer(call))
            else:
                await self._reply.whole(call, answer)
        finally:
            call.close()

    async def _upload(self, first: Message | None) -> None:
        inbound, upstream = self._inbound, self._upstream
        asked = asyncio.Event()
        headers = inbound.headers(upstream.host)
        call = await upstream.open(self._method, inbound.target, headers, _Uploader(inbound, asked))
        try:
            if inbound.expects:
                sending = upload_when_asked(self._receive, call, inbound, asked)
            else:
                sending = upload(self._receive, call, inbound, first)
            await beside(sending, self._answer(call))
        finally:
            call.close()

    async def _answer(self, call: UpstreamCall) -> None:
        await call.head()
        answer = call.whole
        if answer is None:
            await self._reply.stream(call)
        else:
            await self._reply.whole(call, answer)
