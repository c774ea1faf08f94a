"""HTTP/2 through our listener, and the names of Hypercorn's that we rely on."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ssl

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx2
import hypercorn
import pytest
import trustme
from h2.errors import ErrorCodes
from h2.utilities import SizeLimitDict
from hypercorn.asyncio.lifespan import Lifespan
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.protocol.h2 import H2Protocol

from gateway.core.asgi import Receive, Scope, Send
from gateway.core.settings import Limits, Listen, ServerTls
from gateway.errors import UpstreamProtocolError
from gateway.wire import server
from gateway.wire.hypercorn import settle
from tests.wire.wired import Running, begun, responds, serving, soon

# The contract.


def parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_the_version_is_the_one_that_was_read() -> None:
    assert hypercorn.__name__ == "hypercorn"
    from importlib.metadata import version

    assert version("hypercorn").startswith("0.18.")


def test_the_names_we_use() -> None:
    assert parameters(Lifespan) == ["app", "config", "loop", "lifespan_state"]
    assert parameters(TCPServer) == ["app", "loop", "config", "context", "state", "reader", "writer"]
    assert parameters(H2Protocol) == [
        "app", "config", "context", "task_group", "connection_state", "ssl", "client", "server", "send",
    ]  # fmt: skip
    assert parameters(WorkerContext) == ["max_requests"]
    assert parameters(TaskGroup) == ["loop"]
    connection = h2.connection.H2Connection()
    assert isinstance(connection.incoming_buffer._data, bytearray)
    assert connection.incoming_buffer._headers_buffer == []
    assert callable(connection.incoming_buffer._update_header_buffer)
    assert isinstance(connection._closed_streams, SizeLimitDict)
    for owner, names in {
        Lifespan: ("handle_lifespan", "wait_for_startup", "wait_for_shutdown"),
        TCPServer: ("run", "protocol_send", "_read_data", "_close", "_idle_timeout"),
        H2Protocol: ("initiate", "handle", "stream_send", "_handle_events", "_flush", "idle"),
        Config: ("response_headers", "log"),
    }.items():
        for name in names:
            assert hasattr(owner, name), f"{owner.__name__}.{name}"


def test_the_settings_we_make() -> None:
    config = settle(Limits(header_bytes=1234), Listen(address="127.0.0.1:0"))
    assert config.response_headers("h2") == []
    assert config.h2_max_header_list_size == 1234
    for name in (
        "errorlog",
        "keep_alive_timeout",
        "h2_max_header_list_size",
        "h2_max_concurrent_streams",
        "keep_alive_max_requests",
    ):
        assert hasattr(Config, name), name


# Requests.


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it was asked, with the body that came."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    asked = f"{scope['http_version']} {scope['scheme']} {scope['method']} {scope['path']} ".encode()
    tls = scope["extensions"].get("tls")
    seen = (b"x-tls", b"%d" % tls["tls_version"]) if tls else (b"x-seen", b"yes")
    await send({"type": "http.response.start", "status": 200, "headers": [seen]})
    await send({"type": "http.response.body", "body": asked + body})


def client(running: Running, tls: ssl.SSLContext | bool = False) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(http1=False, http2=True, base_url=running.urls[0], verify=tls, trust_env=False)


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_http2_with_prior_knowledge() -> None:
    async with serving(app) as running, client(running) as http:
        answers = await asyncio.gather(*(http.post(f"/caf%C3%A9/{number}", content=b"hi") for number in range(5)))
        assert [answer.text for answer in answers] == [f"2 http POST /café/{number} hi" for number in range(5)]
        assert answers[0].http_version == "HTTP/2"
        assert answers[0].headers["x-seen"] == "yes"
        assert len(answers[0].headers.get_list("date")) == 1
        assert "server" not in answers[0].headers
        assert running.stats.connections == 1


async def test_http2_over_tls(tls: ServerTls, trust: ssl.SSLContext) -> None:
    async with serving(app, tls=tls) as running, client(running, trust) as http:
        answer = await http.get("/a?b")
        assert (answer.http_version, answer.text) == ("HTTP/2", "2 https GET /a ")
        assert answer.headers["x-tls"] == str(0x0304)


async def test_the_applications_date_is_the_only_one() -> None:
    async with serving(responds(200, [(b"Date", b"then")], b"")) as running, client(running) as http:
        assert (await http.get("/")).headers.get_list("date") == ["then"]


async def test_a_connection_lasts_for_any_number_of_requests() -> None:
    async with serving(app) as running, client(running) as http:
        for _ in range(1100):  # Hypercorn ends it after 1000, in the middle of all that it carries
            assert (await http.get("/")).status_code == 200
        assert running.stats.accepted == 1


async def test_a_large_body_both_ways() -> None:
    async with serving(app) as running, client(running) as http:
        answer = await http.post("/", content=b"x" * 1_000_000)
        assert len(answer.content) == 1_000_000 + len("2 http POST / ")


async def test_http1_and_http2_on_one_port(tls: ServerTls, trust: ssl.SSLContext) -> None:
    async with serving(app, tls=tls) as running:
        async with httpx2.AsyncClient(verify=trust, trust_env=False) as http:
            assert (await http.get(running.urls[0])).http_version == "HTTP/1.1"
        async with client(running, trust) as http:
            assert (await http.get("/")).http_version == "HTTP/2"


class Peer:
    """A client of HTTP/2 that can do what a good one does not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        self.http = h2.connection.H2Connection(config)
        self.http.initiate_connection()
        self.events: list[h2.events.Event] = []

    def ask(self, stream: int, *headers: tuple[str, str], end: bool = True) -> None:
        fields = {":method": "GET", ":path": "/", ":scheme": "http", ":authority": "x"} | dict(headers)
        self.http.send_headers(stream, [pair for pair in fields.items() if pair[1]], end_stream=end)

    async def until(self, kind: type[h2.events.Event]) -> h2.events.Event:
        """The next event of a kind; the others before it are in `events`."""
        while True:
            self.writer.write(self.http.data_to_send())
            for event in self.http.receive_data(await self.reader.read(65536)):
                self.events.append(event)
            for event in self.events:
                if isinstance(event, kind):
                    self.events.remove(event)
                    return event


@contextlib.asynccontextmanager
async def peer(running: Running):  # type: ignore[no-untyped-def]  # noqa: ANN201
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_websockets_are_not_offered() -> None:
    async with serving(app) as running, peer(running) as http:
        settings = await http.until(h2.events.RemoteSettingsChanged)
        offered = settings.changed_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)
        assert offered is None or offered.new_value == 0


async def test_a_body_that_comes_after_the_response() -> None:
    async with serving(responds(413, [], b"large")) as running, peer(running) as http:
        http.ask(1, (":method", "POST"), end=False)
        await http.until(h2.events.ResponseReceived)
        await http.until(h2.events.StreamEnded)
        http.http.send_data(1, b"x" * 1000)
        http.ask(3)
        assert (await http.until(h2.events.ResponseReceived)).stream_id == 3


@pytest.mark.parametrize("header", [(":method", "CONNECT"), (":path", "/é")])
async def test_what_can_not_be_asked(header: tuple[str, str]) -> None:
    async with serving(app) as running, peer(running) as http:
        http.ask(1, header)
        http.ask(3)
        with contextlib.suppress(h2.exceptions.ProtocolError, TimeoutError):
            async with asyncio.timeout(5):
                kind = h2.events.ResponseReceived | h2.events.ConnectionTerminated
                assert await http.until(kind)  # an answer or a refusal, never a dead connection


@pytest.mark.parametrize("frames", [bytes(100), b"garbage " * 3000])
async def test_garbage_after_the_preface(frames: bytes) -> None:
    async with serving(app) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        await writer.wait_closed()
        await soon(lambda: running.stats.connections == 0)
        assert running.stats.refused == {"http2_protocol": 1}


async def test_a_client_that_leaves_is_gone() -> None:
    held = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        held.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(waits) as running:
        async with peer(running) as http:
            http.ask(1)
            waiting = begun(http.until(h2.events.StreamEnded))
            await held.wait()
            waiting.cancel()
        await soon(lambda: running.stats.connections == 0)


async def test_a_request_ends_before_the_server_does() -> None:
    held, go = asyncio.Event(), asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        held.set()
        await go.wait()
        await responds(200, [], b"ok")(scope, receive, send)

    async with serving(waits) as running, client(running) as http:
        asking = begun(http.get("/"))
        await held.wait()
        running.stop.set()
        await asyncio.sleep(0)
        go.set()
        assert (await asking).text == "ok"
        await running.done


async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half of", "more_body": True})
    raise UpstreamProtocolError("the other half did not come")


async def test_a_response_that_breaks_off_resets_its_stream(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(breaks_off) as running, peer(running) as http:
        http.ask(1)
        assert (await http.until(h2.events.StreamReset)).error_code == ErrorCodes.INTERNAL_ERROR
        http.ask(3)
        await http.until(h2.events.StreamReset)
    assert not [record for record in caplog.records if record.name == "tidegate.wire"]


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    await asyncio.Event().wait()


async def test_a_stream_that_does_not_end_is_cut_off(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DRAIN", 0.05)
    async with serving(endless) as running, peer(running) as http:
        http.ask(1)
        await http.until(h2.events.DataReceived)
        running.stop.set()
        await running.done
    assert not [record for record in caplog.records if record.name == "tidegate.wire"]


async def test_stopping_does_not_wait_for_a_client_that_does_not_close(
    tls: ServerTls, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_CLOSE", 0.05)
    async with serving(app, tls=tls) as running, client(running, trust) as http, http.stream("GET", "/") as answer:
        assert answer.http_version == "HTTP/2"
        running.stop.set()
        await running.done


async def test_a_crash_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def crashes(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("a bug with details")

    async with serving(crashes) as running, client(running) as http:
        answer = await http.get("/")
        assert answer.status_code == 500
        assert "a bug" not in answer.text
    (record,) = [record for record in caplog.records if record.name == "tidegate.wire"]
    assert record.exc_info
