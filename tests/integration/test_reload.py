"""Another configuration while clients are there: a real process, its real file, its signals and its admin listener."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.integration.backend import Backend
from tests.integration.clients import Stream, heard, httpx_sse, websockets_json
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway, write_config
from tests.integration.processes import LIMIT, come, eventually
from tests.integration.test_sessions import Client, session

UPSTREAMS = """\
upstreams:
  shop: {{url: "{url}"}}
  other: {{url: "{other}", timeouts: {{response: {patience}}}}}
"""
ROUTES = """\
routes:
  - path: /live
    session: {{subscribe: ["/api/**", "chat.*"], publish: ["chat.*"], requests: true{session}}}
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 1h}}, items: {{key: id}}}}
  - path: /api/hats
    upstream: shop
    live: {{poll: {{interval: 1h}}, max_age: {hats}}}
  - {{path: /api/shirts/*, upstream: shop}}
  - {{path: /hooks/a, webhook: {{verify: none, publish: [{{channel: chat.hook}}], dedupe: {{id: "${{body.id}}"}}}}}}
  - {{path: "/other/{number}", upstream: other}}
channels:
  "chat.*": {{log: {{events: {kept}}}}}
"""
DEFAULTS = {"patience": "30s", "session": "", "hats": "1h", "number": "0", "kept": "100"}


def text(backend: Backend, **changes: object) -> str:
    return (UPSTREAMS + ROUTES).format(**{"url": backend.url, "other": backend.url, **DEFAULTS, **changes})


def rewrite(running: Gateway, config: str) -> None:
    write_config(running.access.parent, config)


async def reload(running: Gateway, client: httpx.AsyncClient | None = None) -> httpx.Response:
    if client is not None:
        return await client.post(f"{running.admin}/reload", timeout=LIMIT)
    async with httpx.AsyncClient(trust_env=False) as client:
        return await reload(running, client)


async def status(running: Gateway, path: str) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        return (await client.get(running.url + path)).status_code


async def change(running: Gateway, config: str, client: httpx.AsyncClient | None = None) -> dict[str, Any]:
    """Have it take the configuration; what it says has become of everything."""
    rewrite(running, config)
    answer = await reload(running, client)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def error(client: Client) -> dict[str, Any]:
    """The next error without an id; events, such as a status, may come before."""
    while (message := await client.event())["op"] != "error":
        pass
    return message


def closed(running: Gateway) -> dict[str, float]:
    """Streams that have ended, by reason."""
    found: dict[str, float] = {}
    for name, labels, value in running.samples():
        if name == "tidegate_streams_closed_total" and value:
            found[labels["reason"]] = found.get(labels["reason"], 0) + value
    return found


@asynccontextmanager
async def many(running: Gateway, count: int) -> AsyncIterator[tuple[list[Stream], list[Client]]]:
    """Streams of both kinds and sessions, all of which follow the shirts and have their first event."""
    async with AsyncExitStack() as stack:
        url = "/api/shirts?live.mode=items"
        streams: list[Stream] = [
            await stack.enter_async_context(
                httpx_sse(running.url + url) if number % 2 else websockets_json(running.ws + url)
            )
            for number in range(count)
        ]
        clients = [await stack.enter_async_context(session(running)) for _ in range(count // 10)]
        for client in clients:
            assert (await client.ask(op="subscribe", id=1, channel="/api/shirts", mode="items"))["op"] == "ok"
            await client.event("snapshot")
        for stream in streams:
            await heard(stream, "snapshot")
        yield streams, clients


@pytest.mark.timeout(300)
async def test_an_unrelated_route_changes_a_hundred_times(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))

    def polls() -> int:
        return sum(asked.method == "GET" and asked.target == "/api/shirts" for asked in backend.asked)

    async with many(running, 100) as (streams, clients), httpx.AsyncClient(trust_env=False) as rest:

        async def change_unrelated(number: int) -> None:
            told = await change(running, text(backend, patience=f"{number}s", number=number % 2), rest)
            assert (told["upstreams"]["changed"], told["routes"]["unchanged"]) == (["other"], 5)
            assert (await rest.get(f"{running.url}/other/{number % 2}")).status_code == 200

        def gone() -> bool:
            return running.metrics()["tidegate_upstream_connections"] <= 2

        for number in range(1, 11):
            await change_unrelated(number)
        await come(gone, "the upstreams that were replaced are closed")
        files, memory = running.descriptors(), running.resident()
        for number in range(11, 101):
            await change_unrelated(number)
        assert polls() == 1
        assert closed(running) == {}
        await come(gone, "the upstreams that were replaced are closed")
        await come(lambda: running.descriptors() <= files, "nothing is left open")
        assert running.resident() < memory + 8 * 1024**2
        assert (await rest.patch(f"{running.url}/api/shirts/1", json={"stock": 3})).status_code == 200
        said = [await heard(stream, "updated") for stream in streams]
        assert {(one.id, one.reset) for one in said} == {(said[0].id, False)}
        for client in clients:
            assert (await client.event("updated"))["event"]["id"] == said[0].id
        assert polls() == 2
    assert running.metrics()["tidegate_config_reloads_total"] == 100
    assert all('"reloaded: ' in line for line in running.process.complained)


async def test_streams_of_a_route_that_changes_come_back_to_it(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    backend.shirts["Bearer x"] = [{"id": 2, "stock": 1}]
    url = "/api/hats?live.mode=snapshot"
    async with (
        websockets_json(running.ws + url) as socket,
        httpx_sse(running.url + url) as stream,
        websockets_json(running.ws + "/api/shirts") as unrelated,
        session(running) as client,
        httpx.AsyncClient(trust_env=False, timeout=LIMIT) as rest,
    ):
        first = await heard(socket, "snapshot")
        await heard(stream, "snapshot")
        await heard(unrelated, "snapshot")
        await client.ask(op="subscribe", id=1, channel="/api/hats", mode="snapshot")
        await client.event("snapshot")
        told = await change(running, text(backend, hats="2h"))
        assert told["routes"]["changed"] == ["/api/hats"]
        with pytest.raises(ConnectionClosed) as ended:
            await heard(socket, "snapshot")
        assert ended.value.rcvd is not None
        assert (ended.value.rcvd.code, "configured anew" in ended.value.rcvd.reason) == (1012, True)
        close = await heard(stream, "close")
        assert (close.data["code"], close.data["reconnect"]) == (1012, True)
        lost = await error(client)
        assert (lost["op"], lost["channel"]) == ("error", "/api/hats")
        assert (lost["error"]["code"], lost["error"]["status"]) == ("reload", 503)
        again = await client.ask(op="subscribe", id=2, channel="/api/hats", mode="snapshot", since=first.id)
        assert again["op"] == "ok"
        assert (await client.event("snapshot"))["event"]["reset"]
        async with websockets_json(running.ws + url, first.id) as back:
            assert (await heard(back, "snapshot")).reset
        assert (await rest.patch(f"{running.url}/api/shirts/1", json={"stock": 3})).status_code == 200
        assert not (await heard(unrelated, "updated")).reset
    assert closed(running).get("reload") == 2


async def test_a_long_poll_of_a_route_that_changes_is_told_to_come_again(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as rest, asyncio.TaskGroup() as group:
        wait = {"Prefer": "wait=20", "Accept": "application/json"}
        url = f"{running.url}/api/hats?live=poll"
        first = (await rest.get(url, headers=wait)).json()
        waiting = group.create_task(rest.get(f"{url}&live.since={first['next']}", headers=wait))
        await come(lambda: running.metrics()["tidegate_streams"] == 1, "it waits")
        await change(running, text(backend, hats="2h"))
        answer = await waiting
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "reload", "1")


async def test_a_route_that_is_removed_ends(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    async with websockets_json(f"{running.ws}/api/hats") as socket, session(running) as client:
        await heard(socket, "snapshot")
        await client.ask(op="subscribe", id=1, channel="/api/hats")
        await client.event("snapshot")
        told = await change(running, text(backend, hats="1h").replace("path: /api/hats", "path: /api/caps"))
        assert (told["routes"]["added"], told["routes"]["removed"]) == (["/api/caps"], ["/api/hats"])
        with pytest.raises(ConnectionClosed):
            await heard(socket, "snapshot")
        assert (await error(client))["error"]["code"] == "reload"
        again = await client.ask(op="subscribe", id=2, channel="/api/hats")
        assert again["error"]["status"] == 404
        assert await status(running, "/api/hats") == 404
    await change(running, text(backend, number="1").replace("path: /api/hats", "path: /api/caps"))
    assert all(labels.get("route") != "/api/hats" for _, labels, _ in running.samples()), "no series is left"


async def test_sessions_go_with_their_route_and_not_with_others(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    async with session(running) as client:
        answer = await client.ask(op="request", id=1, path="/other/1")
        assert answer["error"]["status"] == 404
        await change(running, text(backend, number="1"))
        answer = await client.ask(op="request", id=2, path="/other/1")
        assert answer["status"] == 200
        await change(running, text(backend, number="1", session=", timeout: 10s"))
        with pytest.raises(ConnectionClosed) as ended:
            await client.hear()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012


async def test_messages_are_kept_unless_their_pattern_changes(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    async with session(running) as client:
        first = await client.ask(op="publish", id=1, channel="chat.a", data="one")
        second = await client.ask(op="publish", id=2, channel="chat.a", data="two")
        await change(running, text(backend, number="1"))
        assert (await client.ask(op="subscribe", id=3, channel="chat.a", since=first["position"]))["op"] == "ok"
        assert (await client.event("message"))["event"]["data"] == "two"
        await change(running, text(backend, number="1", kept="5"))
        lost = await error(client)
        assert (lost["channel"], lost["error"]["code"]) == ("chat.a", "reload")
        assert (await client.ask(op="subscribe", id=4, channel="chat.a", since=second["position"]))["op"] == "ok"
        assert (await client.event("gap"))["event"]["data"]["missed"] is None


async def test_streams_of_messages_go_with_the_route_whose_url_they_have(gateway: Serve, backend: Backend) -> None:
    rooms = (
        '  - {{path: "/rooms/{{room}}", channel: {{name: "chat.${{params.room}}", publish: {publish}}}}}\nchannels:\n'
    )

    def with_rooms(publish: str) -> str:
        return text(backend).replace("channels:\n", rooms.format(publish=publish))

    running = gateway(with_rooms("true"))
    async with (
        websockets_json(f"{running.ws}/rooms/a") as stream,
        session(running) as client,
        httpx.AsyncClient(trust_env=False, timeout=LIMIT) as rest,
    ):
        await heard(stream, "position")
        assert (await client.ask(op="subscribe", id=1, channel="chat.a"))["op"] == "ok"
        await change(running, with_rooms("true").replace("/other/0", "/other/1"))
        assert (await rest.post(f"{running.url}/rooms/a", json="one")).is_success
        assert (await heard(stream, "message")).data == "one"
        assert (await client.event("message"))["event"]["data"] == "one"
        await change(running, with_rooms("false"))
        with pytest.raises(ConnectionClosed):
            await heard(stream, "message")
        assert (await rest.post(f"{running.url}/rooms/a", json="two")).status_code == 405
        assert (await client.ask(op="publish", id=2, channel="chat.a", data="three"))["op"] == "ok"
        assert (await client.event("message"))["event"]["data"] == "three"


async def test_webhooks_remember_what_they_have_taken(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))

    def deliver() -> str:
        answer = httpx.post(f"{running.url}/hooks/a", json={"id": "x-1"}, trust_env=False)
        result: str = answer.json()["result"]
        return result

    assert deliver() == "accepted"
    await change(running, text(backend, number="1"))
    assert deliver() == "duplicate"
    await change(running, text(backend).replace("channel: chat.hook}", "channel: chat.other}"))
    assert deliver() == "duplicate"
    await change(running, text(backend).replace('"${body.id}"', '"${body.id}!"'))
    assert deliver() == "accepted"


async def test_requests_are_finished_with_the_upstream_that_they_began_with(gateway: Serve, backend: Backend) -> None:
    running, second = gateway(text(backend)), Backend()
    await second.start()
    second.shirts[""] = [{"id": 9}]
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as rest, asyncio.TaskGroup() as group:
            backend.hold = asyncio.Event()
            waiting = group.create_task(rest.get(f"{running.url}/other/0"))
            await come(lambda: len(backend.asked) == 1, "the request is there")
            told = await change(running, text(backend, other=second.url))
            assert told["upstreams"]["changed"] == ["other"]
            assert (await rest.get(f"{running.url}/other/0")).json() == [{"id": 9}]
            backend.hold.set()
            assert (await waiting).json() == [{"id": 1, "stock": 12}]
        await come(lambda: running.metrics()["tidegate_upstream_connections"] == 1, "the old one is closed")
        assert len(backend.asked) == 1
    finally:
        await second.stop()


BAD = """\
upstreams:
  shop: {url: "ftp://x"}
routes:
  - {path: /a, upstream: shp}
  - {path: b, upstream: shop}
"""


async def test_a_file_with_mistakes_changes_nothing(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    before = running.metrics()
    assert (before["tidegate_config_reloads_total"], before["tidegate_config_last_reload_successful"]) == (0, 1)
    assert before["tidegate_config_last_reload_success_timestamp_seconds"] > 1e9
    async with websockets_json(f"{running.ws}/api/shirts") as stream:
        await heard(stream, "snapshot")
        rewrite(running, BAD)
        answer = await reload(running)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        problem = answer.json()
        assert problem["code"] == "bad_configuration"
        assert [error["path"] for error in problem["errors"]] == [
            "upstreams.shop.url",
            "routes[0].upstream",
            "routes[1].path",
        ]
        assert len(problem["detail"].splitlines()) == 3
        eventually(lambda: len(running.process.complained) == 3)
        for line, error in zip(running.process.complained, problem["errors"], strict=True):
            assert f"{error['file']}:{error['line']}:{error['column']}: {error['path']}: " in line
        assert running.metrics()["tidegate_config_last_reload_successful"] == 0
        assert await status(running, "/other/0") == 200
        rewrite(running, text(backend) + "limits: {connections: 7}\n")
        refused = (await reload(running)).json()["errors"]
        assert [error["path"] for error in refused] == ["limits.connections"]
        assert refused[0]["message"].endswith("restart it, or put back what was here")
        await change(running, text(backend, number="1"))
        async with httpx.AsyncClient(trust_env=False) as rest:
            assert (await rest.patch(f"{running.url}/api/shirts/1", json={"stock": 1})).status_code == 200
        await heard(stream, "updated")
    after = {
        labels["result"]: value for name, labels, value in running.samples() if name == "tidegate_config_reloads_total"
    }
    assert after == {"ok": 1, "failed": 2}
    assert running.metrics()["tidegate_config_last_reload_successful"] == 1


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/reload", {}, 405),
        ("POST", "/metrics", {}, 405),
        ("POST", "/reload", {"Origin": "https://evil.example"}, 403),
    ],
)
def test_who_may_not_have_it_read_again(
    gateway: Serve, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    running = gateway("upstreams: {a: {url: 'http://127.0.0.1:1'}}\nroutes: [{path: /a, upstream: a}]\n")
    answer = httpx.request(method, running.admin + path, headers=headers, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert running.metrics()["tidegate_config_reloads_total"] == 0


async def test_by_a_signal(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    rewrite(running, text(backend, number="7"))
    running.process.send(signal.SIGHUP)
    await come(lambda: running.metrics()["tidegate_config_reloads_total"] == 1)
    assert await status(running, "/other/7") == 200
    rewrite(running, "routes: nonsense\n")
    running.process.send(signal.SIGHUP)
    await come(lambda: running.metrics()["tidegate_config_reloads_total"] == 2)
    assert await status(running, "/other/7") == 200
    assert running.process.end() == 0


async def test_files_that_change_are_seen(gateway: Serve, backend: Backend, tmp_path: Path) -> None:
    """A secret in a mounted folder, replaced as Kubernetes does it: by another target of a link."""
    for version in ("1", "2"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "number").write_text(version)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "number").symlink_to("..data/number")
    config = text(backend).replace('"/other/0"', f'"/other/${{file:{tmp_path}/number}}"')
    running = gateway(config, options=("--watch",))
    assert await status(running, "/other/1") == 200
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    await come(lambda: running.metrics()["tidegate_config_reloads_total"] == 1)
    assert await status(running, "/other/2") == 200
    (running.access.parent / "more.yaml").write_text("routes: [{path: /more, upstream: shop}]\n")
    rewrite(running, config + "include: more.yaml\n")
    await come(lambda: running.metrics()["tidegate_config_reloads_total"] == 2)
    (running.access.parent / "more.yaml").write_text("routes: [{path: /even-more, upstream: shop}]\n")
    await come(lambda: running.metrics()["tidegate_config_reloads_total"] == 3)
    assert await status(running, "/even-more") == 200


async def test_many_at_once_come_one_after_another(gateway: Serve, backend: Backend) -> None:
    running = gateway(text(backend))
    rewrite(running, text(backend, number="1"))
    answers: Sequence[httpx.Response] = await asyncio.gather(*(reload(running) for _ in range(5)))
    assert sorted(len(answer.json()["routes"]["added"]) for answer in answers) == [0, 0, 0, 0, 1]


async def test_websockets_that_pass_through_end_with_their_route(gateway: Serve) -> None:
    from tests.integration.test_tunnel import speaking

    config = 'upstreams: {{shop: {{url: "http://127.0.0.1:{port}"}}}}\nroutes:\n{routes}'
    one, two = "  - {path: /one, upstream: shop}\n", "  - {path: /two, upstream: shop}\n"
    async with speaking() as speaker:
        running = gateway(config.format(port=speaker.port, routes=one + two))
        async with (
            connect(f"{running.ws}/one", proxy=None) as first,
            connect(f"{running.ws}/two", proxy=None) as second,
        ):
            await change(running, config.format(port=speaker.port, routes=two))
            with pytest.raises(ConnectionClosed):
                await first.recv()
            await second.send("still there")
            assert await second.recv() == "still there"
        await come(lambda: closed(running).get("reload") == 1)
