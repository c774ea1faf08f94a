"""Request bodies on their way to the upstream, and watching for the client's end.

ASGI tells of a body and of a disconnect by the same `receive`, so whoever reads the one sees the other:
at any time exactly one coroutine is in `receive`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gateway.core.asgi import Message, Receive
    from gateway.plugin import UpstreamCall
    from gateway.proxy.inbound import Inbound

T = TypeVar("T")

# RFC 9110 section 10.1.1: a client need not wait for 100 forever, because servers may not know it. Ours may not.
CONTINUE_WAIT = 1.0


class ClientGone(Exception):
    """The client left before it was answered."""


async def collect(receive: Receive) -> bytes:
    """A whole body. The server bounds it by its content-length."""
    message = await next_piece(receive)
    if not message.get("more_body", False):
        return bytes(message.get("body", b""))
    pieces = [message.get("body", b"")]
    while message.get("more_body", False):
        message = await next_piece(receive)
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


async def upload(receive: Receive, call: UpstreamCall, inbound: Inbound, first: Message | None = None) -> None:
    """Send the body on as it comes (`first` was received already), then watch the client."""
    message = first or await next_piece(receive)
    while await call.write(message.get("body", b"")):
        if not message.get("more_body", False):
            call.end(inbound.trailers())
            break
        message = await next_piece(receive)
    await watch(receive)


async def upload_when_asked(receive: Receive, call: UpstreamCall, inbound: Inbound, asked: asyncio.Event) -> None:
    """Send the body once the upstream has asked for it by a 100, or has been given the time to refuse it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CONTINUE_WAIT):
            await asked.wait()
    if not call.headed:
        await upload(receive, call, inbound)


async def watch(receive: Receive) -> None:
    """Wait until the client has gone, which raises ClientGone; bytes of a body that nobody wants are dropped."""
    while True:
        await next_piece(receive)


async def beside(side: Coroutine[object, object, None], main: Coroutine[object, object, T]) -> T:
    """Run `main` with `side` next to it. What either raises ends both; `side` ends with `main`."""
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(side)
            result = await main
            task.cancel()
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
        raise failure from failure.__cause__
    return result


async def next_piece(receive: Receive) -> Message:
    """The next `http.request` message. Raises ClientGone."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message
