"""The peer as most people write it: Starlette on stock Hypercorn, `send_text` in a loop."""

from __future__ import annotations

import gc

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

_audience: set[WebSocket] = set()


async def subscribe(websocket: WebSocket) -> None:
    """A client that only listens."""
    await websocket.accept()
    _audience.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        _audience.discard(websocket)


async def publish(websocket: WebSocket) -> None:
    """Every message goes to everyone."""
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            for client in list(_audience):
                await client.send_text(text)
    except WebSocketDisconnect:
        return


async def collect(_: Request) -> PlainTextResponse:
    """Free what is only waiting to be freed, so that memory shows what is held."""
    gc.collect()
    return PlainTextResponse("done")


app = Starlette(routes=[WebSocketRoute("/sub", subscribe), WebSocketRoute("/pub", publish), Route("/collect", collect)])
