"""Clients that nobody here wrote, each behind the same three verbs: open at a position, next event, close.

What runs in this process or under curl; Node and Chromium are in `foreign`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple, Protocol

import aiohttp
import httpx
import msgpack
import pytest
import websocket
import websockets.asyncio.client
from websockets.typing import Subprotocol

from tests.integration.processes import LIMIT

Headers = Mapping[str, str]


class Said(NamedTuple):
    """An event as a client was told of it."""

    type: str
    data: Any
    id: str | None = None
    reset: bool = False


class Stream(Protocol):
    """An open stream. `event` skips nothing; `close` is the client's own clean end."""

    async def event(self) -> Said: ...

    async def close(self) -> None: ...


Open = Callable[[str, str | None, Headers], AbstractAsyncContextManager[Stream]]
NO_HEADERS: Headers = {}


async def heard(stream: Stream, kind: str) -> Said:
    """The next event of a type; `status` comes whenever it likes and is passed over."""
    async with asyncio.timeout(LIMIT):
        while (said := await stream.event()).type == "status" != kind:
            pass
    assert said.type == kind, said
    return said


def of_envelope(message: dict[str, Any]) -> Said:
    return Said(message["type"], message.get("data"), message.get("id"), message.get("reset", False))


def at(url: str, since: str | None) -> str:
    """The URL to continue from a position, for clients that cannot set headers."""
    return url if since is None else f"{url}{'&' if '?' in url else '?'}live.since={since}"


class Events:
    """The lines of an event stream as events, by the rules of the HTML standard."""

    def __init__(self, lines: AsyncIterator[str], end: Callable[[], Any]) -> None:
        self._lines = lines
        self._end = end

    async def event(self) -> Said:
        fields: dict[str, str] = {}
        async for line in self._lines:
            line = line.rstrip("\r\n")
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                return Said(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))
            else:
                fields = {}
        raise EOFError("the stream ended")

    async def close(self) -> None:
        await self._end()


def sse_headers(since: str | None, headers: Headers) -> dict[str, str]:
    resume = {"Last-Event-ID": since} if since else {}
    return {"Accept": "text/event-stream", **resume, **headers}


class _WebSockets:
    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self.connection = connection

    async def event(self) -> Said:
        message = await self.connection.recv()
        return of_envelope(msgpack.unpackb(message) if isinstance(message, bytes) else json.loads(message))

    async def close(self) -> None:
        await self.connection.close()
        assert self.connection.close_code == 1000


@asynccontextmanager
async def websockets_json(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    async with websockets.asyncio.client.connect(
        at(url, since).replace("http", "ws", 1), additional_headers=headers, proxy=None
    ) as connection:
        yield _WebSockets(connection)


@asynccontextmanager
async def websockets_msgpack(
    url: str, since: str | None = None, headers: Headers = NO_HEADERS
) -> AsyncIterator[Stream]:
    async with websockets.asyncio.client.connect(
        at(url, since).replace("http", "ws", 1),
        additional_headers=headers,
        proxy=None,
        subprotocols=[Subprotocol("tidegate.msgpack.v1")],
    ) as connection:
        assert connection.subprotocol == "tidegate.msgpack.v1"
        yield _WebSockets(connection)


class _WebSocketClient:
    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection

    async def event(self) -> Said:
        return of_envelope(json.loads(await asyncio.to_thread(self._connection.recv)))

    async def close(self) -> None:
        await asyncio.to_thread(self._connection.close, status=1000)


@asynccontextmanager
async def websocket_client(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    def connect() -> websocket.WebSocket:
        address = at(url, since).replace("http", "ws", 1)
        return websocket.create_connection(address, timeout=LIMIT, header=dict(headers), http_no_proxy=["*"])

    connection = await asyncio.to_thread(connect)
    try:
        yield _WebSocketClient(connection)
    finally:
        connection.shutdown()  # type: ignore[no-untyped-call]


class _Aiohttp:
    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection

    async def event(self) -> Said:
        return of_envelope(await self._connection.receive_json())

    async def close(self) -> None:
        await self._connection.close()
        assert self._connection.close_code == 1000


@asynccontextmanager
async def aiohttp_ws(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(at(url, since).replace("http", "ws", 1), headers=headers) as connection,
    ):
        yield _Aiohttp(connection)


@asynccontextmanager
async def aiohttp_sse(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    async with (
        aiohttp.ClientSession(read_bufsize=2**20, timeout=aiohttp.ClientTimeout()) as session,
        session.get(url, headers=sse_headers(since, headers)) as response,
    ):
        assert response.content_type == "text/event-stream"

        async def lines() -> AsyncIterator[str]:
            async for line in response.content:
                yield line.decode()

        yield Events(lines(), session.close)


@asynccontextmanager
async def httpx_sse(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    async with (
        httpx.AsyncClient(timeout=LIMIT, trust_env=False) as client,
        client.stream("GET", url, headers=sse_headers(since, headers)) as response,
    ):
        assert response.headers["content-type"] == "text/event-stream"
        yield Events(response.aiter_lines(), response.aclose)


class _Lines:
    """One event a line; empty lines are heartbeats."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._lines = response.aiter_lines()

    async def event(self) -> Said:
        async for line in self._lines:
            if line:
                return of_envelope(json.loads(line))
        raise EOFError("the stream ended")

    async def close(self) -> None:
        await self._response.aclose()


@asynccontextmanager
async def httpx_ndjson(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    asked = {"Accept": "application/x-ndjson", **headers}
    async with (
        httpx.AsyncClient(timeout=LIMIT, trust_env=False) as client,
        client.stream("GET", at(url, since), headers=asked) as response,
    ):
        assert response.headers["content-type"] == "application/x-ndjson"
        yield _Lines(response)


class _Polls:
    """A long poll after the other."""

    def __init__(self, client: httpx.AsyncClient, url: str, since: str | None, headers: Headers) -> None:
        self._client, self._url, self._headers = client, url, headers
        self.next = since
        self._said: list[Said] = []

    async def event(self) -> Said:
        while not self._said:
            answer = await self._client.get(at(self._url, self.next), headers={"Prefer": "wait=10", **self._headers})
            assert answer.status_code == 200, answer.text
            assert answer.headers["preference-applied"] == "wait=10"
            body = answer.json()
            self.next = body["next"]
            self._said = [of_envelope(event) for event in body["events"]]
        return self._said.pop(0)

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def httpx_polls(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    async with httpx.AsyncClient(timeout=LIMIT, trust_env=False) as client:
        yield _Polls(client, url, since, headers)


@asynccontextmanager
async def curl_sse(url: str, since: str | None = None, headers: Headers = NO_HEADERS) -> AsyncIterator[Stream]:
    curl = shutil.which("curl") or pytest.skip("needs curl")
    flags = [part for name, value in sse_headers(since, headers).items() for part in ("-H", f"{name}: {value}")]
    process = await asyncio.create_subprocess_exec(
        curl, "-qsSN", "--noproxy", "*", *flags, url, stdout=asyncio.subprocess.PIPE, limit=2**20
    )
    assert process.stdout is not None
    out = process.stdout

    async def lines() -> AsyncIterator[str]:
        async for line in out:
            yield line.decode()

    async def end() -> None:
        process.terminate()
        await process.wait()

    try:
        yield Events(lines(), end)
    finally:
        if process.returncode is None:
            await end()
        await out.read()


PYTHON: dict[str, Open] = {
    "websockets": websockets_json,
    "websockets-msgpack": websockets_msgpack,
    "websocket-client": websocket_client,
    "aiohttp": aiohttp_ws,
    "aiohttp-sse": aiohttp_sse,
    "httpx-sse": httpx_sse,
    "httpx-ndjson": httpx_ndjson,
    "curl-sse": curl_sse,
}

# One client for each built-in transport.
TRANSPORTS: dict[str, Open] = {
    "websocket": websockets_json,
    "sse": httpx_sse,
    "ndjson": httpx_ndjson,
    "long_poll": httpx_polls,
}
