"""WebSockets within HTTP/2 (RFC 8441), played frame by frame by another library's connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame

from gateway.core.asgi import App, Receive, Scope, Send
from gateway.core.settings import Limits
from gateway.wire import sweep
from gateway.wire.frames import split
from tests.wire.wired import Running, frame, serving, soon

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FIELDS = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "http",
    ":path": "/chat?a=%20",
    ":authority": "shop.example",
    "sec-websocket-version": "13",
}


class Told:
    """What an echoing application was told."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.ends: list[tuple[int, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"rest"})
            return
        self.scopes.append(scope)
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/private":
            await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-own", b"yes")]})
            await send({"type": "websocket.http.response.body", "body": b"go away"})
            return
        offered = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4001, "reason": "as you like"})
            else:
                await send({**message, "type": "websocket.send"})
        self.ends.append((message["code"], message["reason"]))


class Peer:
    """A client of HTTP/2."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        self.http = h2.connection.H2Connection(config)
        self.http.initiate_connection()
        self.status: dict[int, dict[str, str]] = {}
        self.data: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.settings: dict[int, int] = {}
        self.over = False
        self.credits = True

    def flush(self) -> None:
        self._writer.write(self.http.data_to_send())

    def open(self, stream: int, **fields: str) -> None:
        wanted = FIELDS | {name.replace("_", "-"): value for name, value in fields.items()}
        self.http.send_headers(stream, [pair for pair in wanted.items() if pair[1]])

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        for at in range(0, len(data), 16_000):
            self.http.send_data(stream, data[at : at + 16_000])
        if end:
            self.http.end_stream(stream)

    def frames(self, stream: int) -> list[tuple[int, bytes]]:
        """What came, without the server's own pings; the last may not be whole."""
        return [pair for pair in split(self.data.get(stream, b"")) if pair[0] != PING]

    async def until(self, condition: object) -> None:
        assert callable(condition)
        async with asyncio.timeout(10):
            while not condition():
                self.flush()
                data = await self._reader.read(65536)
                if not data:
                    self.over = True
                    assert condition(), "the connection ended"
                    return
                for event in self.http.receive_data(data):
                    self._note(event)
        self.flush()

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            assert event.stream_id is not None
            self.status[event.stream_id] = {str(k, "ascii"): str(v, "ascii") for k, v in event.headers or ()}
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            self.data[event.stream_id] = self.data.get(event.stream_id, b"") + (event.data or b"")
            if self.credits:
                self.http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id or 0)
        elif isinstance(event, h2.events.StreamReset):
            self.reset[event.stream_id or 0] = int(event.error_code or 0)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings = {int(code): change.new_value for code, change in event.changed_settings.items()}
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.over = True


@asynccontextmanager
async def peer(running: Running) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def playing(app: App, limits: Limits | None = None) -> AsyncIterator[tuple[Peer, Running]]:
    async with serving(app, limits=limits, http2_websockets=True) as running, peer(running) as http:
        yield http, running


async def test_it_is_offered_only_where_the_listener_says_so() -> None:
    code = int(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)
    async with playing(Told()) as (http, _):
        await http.until(lambda: http.settings)
        assert http.settings[code] == 1
    async with serving(Told()) as running, peer(running) as http:
        http.open(1)
        await http.until(lambda: http.settings and 1 in http.reset)
        assert http.settings.get(code, 0) == 0
        assert http.reset[1] == ErrorCodes.PROTOCOL_ERROR


async def test_messages_both_ways_and_what_the_application_is_told() -> None:
    told = Told()
    async with playing(told) as (http, running):
        http.open(1, sec_websocket_protocol="chat.v2, chat.v1", cookie="a=b")
        await http.until(lambda: 1 in http.status)
        assert http.status[1][":status"] == "200"
        assert http.status[1]["sec-websocket-protocol"] == "chat.v2"
        assert not {"connection", "upgrade", "sec-websocket-accept"} & set(http.status[1])
        for data in (
            frame(TEXT, "né".encode()),
            *(frame(BINARY, b"\xff" * 30_000)[at:][:1000] for at in range(0, 30_100, 1000)),
        ):
            http.send(1, data)
        http.send(1, frame(PING, b"there?"))
        large = (BINARY, b"\xff" * 30_000)
        await http.until(lambda: large in http.frames(1) and (PONG, b"there?") in http.frames(1))
        assert [pair for pair in http.frames(1) if pair[0] != PONG] == [(TEXT, "né".encode()), large]
        assert running.stats.connections == 2  # the socket, and what is as dear as one
    (scope,) = told.scopes
    assert (scope["http_version"], scope["scheme"], scope["path"], scope["query_string"]) == (
        "2",
        "ws",
        "/chat",
        b"a=%20",
    )
    assert scope["subprotocols"] == ["chat.v2", "chat.v1"]
    assert (b"host", b"shop.example") in scope["headers"]
    assert scope["client"][0] == "127.0.0.1"


async def test_a_client_that_sends_a_key_gets_its_answer() -> None:
    """It has no need to; npm's undici does, and looks."""
    async with playing(Told()) as (http, _):
        http.open(1, sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==")
        await http.until(lambda: 1 in http.status)
        assert http.status[1]["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_the_client_closes() -> None:
    """Hypercorn leaves such a stream open."""
    told = Told()
    async with playing(told) as (http, running):
        http.open(1)
        await http.until(lambda: 1 in http.status)
        http.send(1, frame(CLOSE, b"\x0f\xa2bye"))
        await http.until(lambda: 1 in http.ended)
        assert http.frames(1) == [(CLOSE, b"\x0f\xa2")]
        assert told.ends == [(4002, "bye")]
        await http.until(lambda: 1 in http.reset)
        assert http.reset == {1: ErrorCodes.NO_ERROR}
        await soon(lambda: running.stats.connections == 1)
        request = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
        http.http.send_headers(3, request, end_stream=True)
        await http.until(lambda: 3 in http.ended)
        assert http.data[3] == b"rest"


async def test_the_server_closes() -> None:
    told = Told()
    async with playing(told) as (http, running):
        http.open(1)
        await http.until(lambda: 1 in http.status)
        http.send(1, frame(TEXT, b"close"))
        await http.until(lambda: http.frames(1))
        assert http.frames(1) == [(CLOSE, b"\x0f\xa1as you like")]
        http.send(1, frame(CLOSE, b"\x0f\xa1"), end=True)
        await http.until(lambda: 1 in http.ended)
        await soon(lambda: running.stats.connections == 1)


async def test_data_for_a_stream_that_has_ended_harms_nobody() -> None:
    """In Hypercorn a KeyError ends the whole connection."""
    async with playing(Told()) as (http, running):
        for stream in (1, 3):
            http.open(stream)
            await http.until(lambda stream=stream: stream in http.status)
        http.send(1, frame(CLOSE, b"\x03\xe8"))
        await http.until(lambda: 1 in http.ended)
        http.flush()
        for _ in range(100):  # written by hand: the client's own library knows better
            http._writer.write(DataFrame(1, frame(TEXT, b"too late")).serialize())
        http._writer.write(DataFrame(1, b"", flags=["END_STREAM"]).serialize())
        http.send(3, frame(TEXT, b"still here"))
        await http.until(lambda: http.frames(3))
        assert http.frames(3) == [(TEXT, b"still here")]
        assert not http.over
        await soon(lambda: running.stats.connections == 2)


async def test_a_client_that_resets_its_stream() -> None:
    told = Told()
    async with playing(told) as (http, running):
        for stream in (1, 3):
            http.open(stream)
            await http.until(lambda stream=stream: stream in http.status)
        http.http.reset_stream(1, ErrorCodes.CANCEL)
        http.send(3, frame(TEXT, b"still here"))
        await http.until(lambda: http.frames(3))
        await soon(lambda: told.ends == [(1006, "")])
        assert running.stats.connections == 2


async def test_a_client_that_ends_without_a_close_frame() -> None:
    told = Told()
    async with playing(told) as (http, running):
        http.open(1)
        await http.until(lambda: 1 in http.status)
        http.http.end_stream(1)
        await http.until(lambda: 1 in http.ended)
        await soon(lambda: told.ends == [(1006, "")])
        await soon(lambda: running.stats.connections == 1)


async def test_a_connection_that_is_lost_with_several_websockets() -> None:
    told = Told()
    async with playing(told) as (http, running):
        for stream in (1, 3, 5):
            http.open(stream)
        await http.until(lambda: len(http.status) == 3)
        http._writer.transport.abort()
        await soon(lambda: len(told.ends) == 3)
        await soon(lambda: running.stats.connections == 0)


async def test_limits_and_their_close_codes() -> None:
    async with playing(Told(), Limits(message=1000)) as (http, _):
        for stream, data, code in (
            (1, frame(TEXT, b"x" * 1001), 1009),
            (3, b"\x81\x05hello", 1002),
            (5, frame(TEXT, b"\xff"), 1007),
        ):
            http.open(stream)
            await http.until(lambda stream=stream: stream in http.status)
            http.send(stream, data)
            await http.until(lambda stream=stream: http.frames(stream))
            ((opcode, payload),) = http.frames(stream)
            assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, code)
            assert len(payload) > 2


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({":protocol": "chat"}, "501"),
        ({"sec_websocket_version": "8"}, "400"),
        ({"sec_websocket_version": ""}, "400"),
        ({":path": "/a#b"}, "400"),
        ({":path": "/private"}, "401"),
    ],
)
async def test_refusals_are_responses(fields: dict[str, str], status: str) -> None:
    async with playing(Told()) as (http, running):
        http.open(1, **fields)
        await http.until(lambda: 1 in http.ended)
        assert http.status[1][":status"] == status
        if status == "401":
            assert http.status[1]["x-own"] == "yes"
            assert http.data[1] == b"go away"
        else:
            assert b'"code"' in http.data[1]
            assert sum(running.stats.refused.values()) == 1
        http.open(3)
        await http.until(lambda: 3 in http.status)
        assert http.status[3][":status"] == "200"


async def test_it_counts_as_a_connection() -> None:
    async with playing(Told(), Limits(connections=2)) as (http, running):
        http.open(1)
        http.open(3)
        await http.until(lambda: 3 in http.ended)
        assert (http.status[1][":status"], http.status[3][":status"]) == ("200", "503")
        assert running.stats.refused["connections"] == 1
        assert running.stats.connections == 2


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    """Its echoes fill its window and our buffer; then its own window closes, and all of it arrives in the end."""
    async with playing(Told()) as (http, _):
        http.credits = False
        http.open(1)
        await http.until(lambda: 1 in http.status)
        message, sent = frame(BINARY, b"x" * 10_000), 0
        while http.http.local_flow_control_window(1) > len(message) and sent < 200:
            http.send(1, message)
            sent += 1
            http.flush()
            await asyncio.sleep(0.005)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.005):
                    await http.until(lambda: False)
        assert sent < 200, "everything was taken"
        got = len(http.data[1])
        http.credits = True
        http.http.acknowledge_received_data(got, 1)
        await http.until(lambda: http.frames(1).count((BINARY, b"x" * 10_000)) == sent)


class Torrent:
    """An application whose response does not end, and what becomes of it."""

    def __init__(self) -> None:
        self.sent = 0
        self.left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def pour() -> None:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                self.sent += 65536

        async with asyncio.TaskGroup() as group:
            pouring = group.create_task(pour())
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left += 1
            pouring.cancel()


GET = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "x")]


async def narrow(http: Peer, *streams: int) -> None:
    """Ask, and take nothing of the answers."""
    http.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    http.credits = False
    for stream in streams:
        http.http.send_headers(stream, GET, end_stream=True)
    await http.until(lambda: http.status.keys() >= {*streams})


async def test_a_client_without_a_window_costs_no_memory() -> None:
    torrent = Torrent()
    async with serving(torrent) as running, peer(running) as http:
        await narrow(http, 1, 3)
        for crumbs in range(10, 60, 10):
            http.http.increment_flow_control_window(10, 1)
            await http.until(lambda crumbs=crumbs: len(http.data.get(1, b"")) == crumbs)
        for _ in range(200):
            await asyncio.sleep(0)
        assert torrent.sent == 0  # the first piece of each is above the mark, and waits


async def test_a_client_that_takes_nothing_of_a_response_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "TICK", 0.01)
    monkeypatch.setattr(sweep, "EXCHANGE_PERIOD", 0.02)
    torrent = Torrent()
    async with serving(torrent, limits=Limits(stall_time=0.1)) as running, peer(running) as http:
        await narrow(http, 1, 3)
        await http.until(lambda: http.reset == {1: ErrorCodes.CANCEL, 3: ErrorCodes.CANCEL})
        await soon(lambda: torrent.left == 2)
        assert running.stats.refused["stalled"] == 2
        http.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 65535})
        http.http.send_headers(5, GET, end_stream=True)
        await http.until(lambda: len(http.data.get(5, b"")) > 60_000)  # the connection is none the worse
