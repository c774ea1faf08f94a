"""The application as a whole, by ASGI messages: where exchanges go, refusals, life and death. No sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.app import Application, application
from gateway.config import load
from gateway.core.asgi import Message, Scope
from gateway.errors import ClientError
from tests.lines import listening

CONFIG = """
listen: ["127.0.0.1:0"]
admin: {listen: "127.0.0.1:0"}
access_log: "off"
upstreams:
  shop: {url: "http://127.0.0.1:1"}
routes:
  - {path: /plain, upstream: shop, methods: [GET]}
  - path: /live
    upstream: shop
    live: {poll: {interval: 1s}}
  - path: /shared
    upstream: shop
    methods: [GET]
    live: {poll: {interval: 1s}, origins: ["https://app.example"]}
  - {path: "/files/**", upstream: shop, host: files.example}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    return str(file)


@pytest.fixture
def app(config: str) -> Application:
    return Application(load(config, {}))


def scope_of(path: str, kind: str = "http", method: str = "GET", **more: object) -> Scope:
    scope: Scope = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"x")],
        "http_version": "1.1",
        "extensions": {"websocket.http.response": {}},
        "subprotocols": [],
        **more,
    }
    if kind == "http":
        scope["method"] = method
    return scope


async def ask(app: Application, scope: Scope) -> tuple[list[Message], dict[str, object]]:
    """The messages of an answer, and its problem."""
    sent: list[Message] = []
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    inbox.put_nowait(
        {"type": "http.request", "body": b""} if scope["type"] == "http" else {"type": "websocket.connect"}
    )

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, inbox.get, send)
    problem = len(sent) > 1 and sent[0]["status"] >= 400 and sent[1]["body"]
    return sent, json.loads(problem or b"{}")


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/nowhere", "GET", 404, "no_route"),
        ("/plain", "POST", 405, "method_not_allowed"),
        ("/files/a", "GET", 404, "no_route"),
        ("/x/../plain", "GET", 400, "dot_segments"),
        ("/plain", "GET", 502, "upstream_unavailable"),
    ],
)
async def test_what_leads_nowhere_is_a_problem(
    app: Application, path: str, method: str, status: int, code: str
) -> None:
    sent, problem = await ask(app, scope_of(path, method=method))
    assert (sent[0]["status"], problem["status"], problem["code"]) == (status, status, code)
    if status < 500:
        assert app.stats.refused[code] == 1


async def test_a_refusal_is_in_the_debug_log(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "tidegate.app")
    await ask(app, scope_of("/nowhere", "websocket"))
    assert caplog.messages == ["refused with 404: no_route: nothing is routed here"]


async def test_an_upgrade_that_the_server_cannot_pass_on_is_refused_as_http(app: Application) -> None:
    sent, problem = await ask(app, scope_of("/plain", "websocket"))
    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 501)
    assert problem["code"] == "no_tunnel"


async def test_servers_without_the_extension_get_a_close(app: Application) -> None:
    sent, _ = await ask(app, scope_of("/nowhere", "websocket", extensions={}))
    assert sent == [{"type": "websocket.close", "code": 4404, "reason": "nothing is routed here"}]


async def test_a_head_is_answered_without_a_body(app: Application) -> None:
    sent, _ = await ask(app, scope_of("/nowhere", method="HEAD"))
    assert (sent[0]["status"], sent[1]["body"]) == (404, b"")


async def test_the_gateways_own_parameters_never_go_upstream(app: Application) -> None:
    for path, rest in (("/live", b"a=1"), ("/plain", b"a=1&live.mode=items")):
        scope = scope_of(path, query_string=b"a=1&live.mode=items")
        await ask(app, scope)
        assert scope["query_string"] == rest, "elsewhere they are the backend's"


async def test_servers_without_raw_path_are_understood(app: Application) -> None:
    scope = scope_of("/nö where")
    del scope["raw_path"]
    sent, _ = await ask(app, scope)
    assert sent[0]["status"] == 404
    assert scope["raw_path"] == b"/n%C3%B6%20where"


async def test_lifespan_makes_it_ready_and_ends_it(app: Application) -> None:
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(app({"type": "lifespan"}, inbox.get, sent.put))
        assert not app.health.ready
        inbox.put_nowait({"type": "lifespan.startup"})
        assert (await sent.get())["type"] == "lifespan.startup.complete"
        assert (app.health.ready, app.health.draining) == (True, False)
        inbox.put_nowait({"type": "lifespan.shutdown"})
        assert (await sent.get())["type"] == "lifespan.shutdown.complete"
        assert app.health.draining


def test_other_servers_find_the_configuration_by_the_environment(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_CONFIG", config)
    assert [str(route.path) for route in application().settings.routes] == ["/plain", "/live", "/shared", "/files/**"]


async def test_requests_under_way_are_answered_before_the_upstreams_close(tmp_path: Path) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    inbox: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    async with listening(slow) as port, asyncio.TaskGroup() as group:
        file = tmp_path / "gateway.yaml"
        file.write_text(CONFIG.replace("127.0.0.1:1", f"127.0.0.1:{port}"))
        app = Application(load(str(file), {}))
        life = group.create_task(app({"type": "lifespan"}, inbox.get, sent.put))
        inbox.put_nowait({"type": "lifespan.startup"})
        await sent.get()
        request = group.create_task(ask(app, scope_of("/plain")))
        await asked.wait()
        inbox.put_nowait({"type": "lifespan.shutdown"})
        while not app.health.draining:  # noqa: ASYNC110 - a few turns of the loop
            await asyncio.sleep(0)
        assert not life.done()
        go.set()
        messages, _ = await request
        assert (messages[0]["status"], messages[1]["body"]) == (200, b"ok")


def page(origin: bytes, **more: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"origin", origin), *((key.replace("_", "-").encode(), v) for key, v in more.items())]


async def test_a_preflight_for_reading_is_answered_where_the_route_names_the_origin(app: Application) -> None:
    headers = page(b"https://app.example", access_control_request_method=b"GET")
    sent, _ = await ask(app, scope_of("/shared", method="OPTIONS", headers=headers))
    assert sent[0]["status"] == 204
    assert (b"access-control-allow-origin", b"https://app.example") in sent[0]["headers"]
    assert sent[1]["body"] == b""


@pytest.mark.parametrize(
    ("path", "origin", "method", "status"),
    [
        ("/shared", b"https://evil.example", b"GET", 405),
        ("/shared", b"https://app.example", b"PUT", 405),
        ("/live", b"https://app.example", b"GET", 502),
        ("/nowhere", b"https://app.example", b"GET", 404),
        ("/x/../shared", b"https://app.example", b"GET", 400),
    ],
)
async def test_other_preflights_are_the_backends(
    app: Application, path: str, origin: bytes, method: bytes, status: int
) -> None:
    headers = page(origin, access_control_request_method=method)
    sent, _ = await ask(app, scope_of(path, method="OPTIONS", headers=headers))
    assert sent[0]["status"] == status


async def test_a_page_may_read_why_it_was_refused(app: Application) -> None:
    headers = page(b"https://app.example", accept=b"text/event-stream")
    sent, problem = await ask(app, scope_of("/shared", query_string=b"live.mode=x", headers=headers))
    assert problem["code"] == "bad_mode"
    assert (b"access-control-allow-origin", b"https://app.example") in sent[0]["headers"]


async def test_rest_answers_say_what_else_there_is(app: Application) -> None:
    names = [value.partition(b"type=")[2] for _, value in app._links]
    assert names == [b'"application/x-ndjson"', b'"text/event-stream"']


async def test_the_client_is_served_where_something_is_live(app: Application, tmp_path: Path) -> None:
    sent, _ = await ask(app, scope_of("/.tidegate/client.js", method="HEAD"))
    assert sent[0]["status"] == 200
    assert app.stats.routes["tidegate.js"].requests["HEAD", 200] == 1
    sent, problem = await ask(app, scope_of("/.tidegate/client.js", "websocket"))
    assert (sent[0]["status"], problem["code"]) == (404, "not_live")
    file = tmp_path / "rest.yaml"
    file.write_text("upstreams: {a: {url: 'http://a'}}\nroutes: [{path: /x, upstream: a}]\n")
    sent, problem = await ask(Application(load(str(file), {})), scope_of("/.tidegate/client.js"))
    assert (sent[0]["status"], problem["code"]) == (404, "no_route")


def test_a_channel_of_messages_is_followed_by_its_name_in_sessions(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("routes: [{path: '/events/{id}', channel: 'orders.${params.id}'}]")
    app = Application(load(str(tmp_path / "c.yaml"), {}))
    with pytest.raises(ClientError, match="by their names"):
        app._find(b"/events/7", None)
