"""The pass-through peer as most people write it: Starlette on stock Hypercorn, aiohttp or httpx2 upstream.

The environment says where to: UPSTREAM is a base URL, CLIENT is `aiohttp` or `httpx2`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_UPSTREAM = os.environ["UPSTREAM"]
_HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}


def _forwarded(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}


async def through_aiohttp(request: Request) -> Response:
    """One request through aiohttp's pool."""
    session: aiohttp.ClientSession = request.app.state.client
    url, body = _UPSTREAM + request.url.path, await request.body()
    async with session.request(request.method, url, headers=_forwarded(request), data=body or None) as answer:
        return Response(await answer.read(), answer.status, dict(answer.headers))


async def through_httpx2(request: Request) -> Response:
    """One request through httpx2's pool."""
    client: httpx2.AsyncClient = request.app.state.client
    url, body = _UPSTREAM + request.url.path, await request.body()
    answer = await client.request(request.method, url, headers=_forwarded(request), content=body or None)
    return Response(answer.content, answer.status_code, dict(answer.headers))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The client lives as long as the server."""
    make = aiohttp.ClientSession if os.environ["CLIENT"] == "aiohttp" else httpx2.AsyncClient
    async with make() as app.state.client:
        yield


_forward = through_aiohttp if os.environ["CLIENT"] == "aiohttp" else through_httpx2
app = Starlette(routes=[Route("/{path:path}", _forward, methods=["GET", "POST"])], lifespan=lifespan)
