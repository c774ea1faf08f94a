"""WebSockets of a backend that speaks them itself: they pass through the gateway as they are."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.integration import foreign
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, Process, come

CONFIG = """\
upstreams:
  shop: {{url: "{url}"{more}}}
routes:
  - {{path: /**, name: shop, upstream: shop, origins: ["https://app.example"]}}
"""
BIG = 3_000_000


@dataclass
class Speaker:
    """A backend that echoes; `handshakes` are those that it saw, `closed` the codes and reasons that clients sent."""

    port: int = 0
    handshakes: list[Request] = field(default_factory=list)
    closed: list[tuple[int | None, str | None]] = field(default_factory=list)

    async def serve(self, socket: ServerConnection) -> None:
        try:
            async for message in socket:
                if isinstance(message, str) and message.startswith("close "):
                    _, code, reason = message.split(" ")
                    await socket.close(int(code), reason)
                else:
                    await socket.send(message)
        finally:
            self.closed.append((socket.close_code, socket.close_reason))

    def look(self, socket: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        path = request.path.removeprefix("/base")
        if path == "/private":
            headers = Headers({"WWW-Authenticate": "Bearer", "Content-Length": "8", "X-Own": "yes"})
            return Response(401, "Unauthorized", headers, b"go away\n")
        if path == "/broken":
            return Response(101, "Switching Protocols", Headers({"Upgrade": "websocket", "Connection": "Upgrade"}))
        return socket.respond(HTTPStatus.NOT_FOUND, "no such page\n") if path == "/none" else None


@asynccontextmanager
async def speaking(tls: ssl.SSLContext | None = None) -> AsyncIterator[Speaker]:
    speaker = Speaker()
    server: Server
    async with serve(
        speaker.serve, "127.0.0.1", 0, process_request=speaker.look, ssl=tls, max_size=None,
        select_subprotocol=lambda _, offered: Subprotocol("chat.v1") if "chat.v1" in offered else None,
    ) as server:  # fmt: skip
        speaker.port = next(iter(server.sockets)).getsockname()[1]
        yield speaker


@pytest.fixture
async def speaker() -> AsyncIterator[Speaker]:
    async with speaking() as speaker:
        yield speaker


@pytest.fixture
def behind(gateway: Serve, speaker: Speaker) -> Gateway:
    return gateway(CONFIG.format(url=f"http://127.0.0.1:{speaker.port}/base", more=""))


def ws(gateway: Gateway, path: str) -> str:
    return gateway.url.replace("http", "ws", 1) + path


def counted(gateway: Gateway, name: str, **labels: str) -> float:
    (value,) = (value for found, its, value in gateway.samples() if (found, its) == (name, labels))
    return value


@pytest.fixture(params=["websockets", pytest.param("npm-ws", marks=pytest.mark.node)])
def served(request: pytest.FixtureRequest, gateway: Serve) -> Iterator[Gateway]:
    """A gateway in front of each of two backends that speak WebSocket."""
    if request.param == "websockets":
        speaker = request.getfixturevalue("speaker")
        yield gateway(CONFIG.format(url=f"http://127.0.0.1:{speaker.port}", more=""))
        return
    process = Process([foreign.node(), str(foreign.NODE_FOLDER / "echo.mjs")])
    try:
        port = process.line(r"^listening (\d+)")[1]
        yield gateway(CONFIG.format(url=f"http://127.0.0.1:{port}", more=""))
    finally:
        process.kill()


async def test_messages_of_all_sizes_compressed_or_not(served: Gateway) -> None:
    for compression in ("deflate", None):
        async with connect(
            ws(served, "/chat"), compression=compression, max_size=None, proxy=None, open_timeout=LIMIT
        ) as socket:
            extensions = [extension.name for extension in socket.protocol.extensions]
            assert extensions == ([PerMessageDeflate.name] if compression else [])
            for message in ("né", "", b"\0\xff" * 70_000, "x" * BIG, bytes(range(256)) * (BIG // 256)):
                await socket.send(message)
                assert await asyncio.wait_for(socket.recv(), LIMIT) == message
            await socket.send(["in ", "three ", "pieces"])
            assert await socket.recv() == "in three pieces"
            await asyncio.wait_for(await socket.ping(b"are you there"), LIMIT)


async def test_many_messages_under_way_both_ways(served: Gateway) -> None:
    """More than all buffers on the way hold: each side must wait for the other."""
    async with connect(ws(served, "/"), max_size=None, proxy=None, compression=None, open_timeout=LIMIT) as socket:

        async def send() -> None:
            for number in range(400):
                await socket.send(b"%d " % number + b"x" * 50_000)

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            for number in range(400):
                message = await asyncio.wait_for(socket.recv(), LIMIT)
                assert isinstance(message, bytes)
                assert message.startswith(b"%d x" % number)


async def test_close_codes_both_ways(served: Gateway) -> None:
    socket = await connect(ws(served, "/"), proxy=None, open_timeout=LIMIT)
    await socket.send("close 4002 enough")
    with pytest.raises(websockets.ConnectionClosed) as caught:
        await socket.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4002, "enough")
    socket = await connect(ws(served, "/"), proxy=None, open_timeout=LIMIT)
    await socket.close(4001, "bye")
    assert (socket.close_code, socket.close_reason) == (4001, "bye")
    line = served.logged(kind="close", transport="tunnel", reason="normal")
    assert line["route"] == "shop"


async def test_the_handshake_goes_up_by_the_proxys_rules(behind: Gateway, speaker: Speaker) -> None:
    headers = {"Cookie": "sid=1", "X-Forwarded-For": "1.2.3.4", "X-Own": "Ä", "Origin": "https://app.example"}
    async with connect(
        ws(behind, "/chat?a=%20b"), additional_headers=headers, proxy=None, open_timeout=LIMIT,
        subprotocols=[Subprotocol("chat.v1"), Subprotocol("other")],
    ) as socket:  # fmt: skip
        assert socket.subprotocol == "chat.v1"
        assert socket.response is not None
        assert socket.response.headers["Via"] == "1.1 tidegate"
    (seen,) = speaker.handshakes
    assert seen.path == "/base/chat?a=%20b"
    assert seen.headers["X-Forwarded-For"] == "127.0.0.1"
    assert seen.headers["X-Forwarded-Proto"] == "http"
    assert seen.headers["Cookie"] == "sid=1"
    assert seen.headers["Via"] == "1.1 tidegate"
    assert seen.headers["Sec-WebSocket-Protocol"] == "chat.v1, other"
    assert seen.headers.get_all("Upgrade") == ["websocket"]
    await come(lambda: speaker.closed == [(1000, "")])


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("/private", {}, 401, "go away"),
        ("/none", {}, 404, "no such page"),
        ("/broken", {}, 502, "upstream_protocol"),
        ("/", {"Origin": "https://evil.example", "Cookie": "a=b"}, 403, "origin"),
    ],
)
async def test_refusals_are_responses(
    behind: Gateway, path: str, headers: dict[str, str], status: int, body: str
) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(ws(behind, path), additional_headers=headers, proxy=None, open_timeout=LIMIT)
    answer = caught.value.response
    assert answer.status_code == status
    assert body in answer.body.decode()
    if status == 401:
        assert (answer.headers["WWW-Authenticate"], answer.headers["X-Own"]) == ("Bearer", "yes")
    behind.logged(kind="request", status=status, path=path)


async def test_a_backend_that_is_down(gateway: Serve) -> None:
    down = gateway(CONFIG.format(url="http://127.0.0.1:1", more=""))
    with pytest.raises(websockets.InvalidStatus) as caught:
        await connect(ws(down, "/"), proxy=None, open_timeout=LIMIT)
    assert caught.value.response.status_code == 502
    assert counted(down, "tidegate_refused_total", reason="upstream_unavailable") == 1


async def test_over_tls_on_both_sides(gateway: Serve, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    cert, ca = tmp_path / "cert.pem", tmp_path / "ca.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(cert))
    authority.cert_pem.write_to_path(str(ca))
    inside, trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cafile=str(ca))
    issued.configure_cert(inside)
    async with speaking(inside) as speaker:
        config = CONFIG.format(url=f"https://127.0.0.1:{speaker.port}", more=f", tls: {{ca: {ca}}}")
        secure = gateway(config, listen=f'{{address: "127.0.0.1:0", tls: {{cert: {cert}, key: {cert}}}}}')
        async with connect(ws(secure, "/"), ssl=trust, max_size=None, proxy=None, open_timeout=LIMIT) as socket:
            await socket.send("x" * BIG)
            assert await asyncio.wait_for(socket.recv(), LIMIT) == "x" * BIG
        assert speaker.handshakes[0].headers["X-Forwarded-Proto"] == "https"
        await come(lambda: speaker.closed == [(1000, "")])


async def test_metrics_and_log(behind: Gateway) -> None:
    labels = {"route": "shop", "transport": "tunnel"}
    assert counted(behind, "tidegate_streams", **labels) == 0
    assert counted(behind, "tidegate_streams_closed_total", **labels, reason="normal") == 0
    async with connect(ws(behind, "/"), proxy=None, compression=None, open_timeout=LIMIT) as socket:
        await socket.send("x" * 1000)
        await socket.recv()
        assert counted(behind, "tidegate_streams", **labels) == 1
    await come(lambda: counted(behind, "tidegate_streams_closed_total", **labels, reason="normal") == 1)
    line = behind.logged(kind="close", transport="tunnel")
    assert line["bytes"] == 1000 + 4 + 4  # a frame and a close frame with its code
    opened = behind.logged(kind="open", transport="tunnel")
    assert opened["stream"] == line["stream"]
    assert counted(behind, "tidegate_message_bytes_total", **labels, direction="out") == 1008


async def test_a_client_that_is_cut_off(behind: Gateway, speaker: Speaker) -> None:
    socket = await connect(ws(behind, "/"), proxy=None, open_timeout=LIMIT)
    socket.transport.abort()
    await come(lambda: speaker.closed == [(1006, "")])
    behind.logged(kind="close", transport="tunnel", reason="client_gone")


async def test_the_gateway_ends(behind: Gateway, speaker: Speaker) -> None:
    socket = await connect(ws(behind, "/"), proxy=None, open_timeout=LIMIT)
    await socket.send("hello")
    await socket.recv()
    behind.process.popen.terminate()
    with pytest.raises(websockets.ConnectionClosed):
        await asyncio.wait_for(socket.recv(), LIMIT)
    await come(lambda: len(speaker.closed) == 1)
    behind.logged(kind="close", transport="tunnel", reason="restart")
