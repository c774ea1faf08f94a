"""Sessions of the world's clients, those of the documentation among them, and of clients that misbehave."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.browser.conftest import browser, chromium
from tests.integration import foreign
from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT, Process, come
from tests.integration.test_sessions import Client, session

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser", "chromium"]

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
limits: {{messages_per_second: {rate}, bytes_per_second: 1GB}}
routes:
  - path: /live
    session: {{subscribe: ["/api/**", "chat.*"], publish: ["chat.*"], requests: true}}
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 100ms}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
channels:
  "chat.skip.*": {{slow: skip}}
"""
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PROTOCOL.read_text(), re.DOTALL)
SAYS = [
    (r"^snapshot \[\{'id': 1",),
    (r"^/api/shirts snapshot", r"^200 \[\{'id': 1"),
    (r"^\[\{'id': 1", r"^snapshot \[\{'id': 1"),
]
MANY = 150
BIG = "x" * 60_000

Say = Callable[[str], Awaitable[object]]
Hear = Callable[[], Awaitable[dict[str, Any]]]


def start(gateway: Serve, backend: Backend, rate: int = 1_000_000) -> Gateway:
    return gateway(CONFIG.format(url=backend.url, rate=rate))


@contextmanager
def example(text: str, running: Gateway) -> Iterator[Process]:
    assert "127.0.0.1:8080" in text
    command = [sys.executable, "-c", text.replace("127.0.0.1:8080", f"127.0.0.1:{running.port}")]
    process = Process(command, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
    try:
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("number", range(len(SAYS)), ids=["websocket", "session", "httpx"])
async def test_the_examples_of_the_documentation(gateway: Serve, backend: Backend, number: int) -> None:
    assert len(EXAMPLES) == len(SAYS)
    with example(EXAMPLES[number], start(gateway, backend)) as process:
        for pattern in SAYS[number]:
            await asyncio.to_thread(process.line, pattern)


async def converse(say: Say, hear: Hear) -> None:
    """Follow, ask, write, publish: whatever the client, the same messages."""

    async def come_to(**fields: object) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            while True:
                message = await hear()
                if message["op"] == "event":
                    message |= message["event"]
                if fields.items() <= message.items():
                    return message

    await come_to(op="hello")
    await say('{"op":"subscribe","id":1,"channel":"/api/shirts"}')
    assert (await come_to(type="snapshot"))["data"] == [{"id": 1, "stock": 12}]
    await say('{"op":"subscribe","id":2,"channel":"chat.a"}')
    await come_to(op="ok", id=2)
    await say('{"op":"publish","id":3,"channel":"chat.a","data":{"text":"h\\u00e9"}}')
    assert (await come_to(type="message"))["data"] == {"text": "hé"}
    await say('{"op":"request","id":4,"method":"PATCH","path":"/api/shirts/1","body":{"stock":9}}')
    assert (await come_to(op="response", id=4))["body"] == {"id": 1, "stock": 9}
    await say('{"op":"request","id":5,"path":"/api/shirts"}')
    assert (await come_to(op="response", id=5))["body"] == [{"id": 1, "stock": 9}]


@pytest.mark.node
async def test_npm_ws(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    pipe = asyncio.subprocess.PIPE
    command = [foreign.node(), str(foreign.NODE_FOLDER / "session.mjs"), f"{running.ws}/live"]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None

    async def say(text: str) -> None:
        stdin.write(text.encode() + b"\n")

    async def hear() -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await stdout.readline())
        return message

    try:
        await converse(say, hear)
        stdin.close()
        async with asyncio.timeout(LIMIT):
            while (message := await hear())["op"] != "close":
                pass
        assert message["code"] == 1000
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.browser
async def test_a_browser(browser: Browser, gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    page = await browser.new_page()
    await page.goto(f"{running.url}/api/shirts")
    await page.evaluate(
        """url => {
            window.queue = [];
            window.session = new WebSocket(url);
            session.onmessage = message => queue.push(JSON.parse(message.data));
        }""",
        f"{running.ws}/live",
    )

    async def hear() -> dict[str, Any]:
        found = await page.wait_for_function("queue.shift()", polling=20, timeout=LIMIT * 1000)
        message: dict[str, Any] = await found.json_value()
        return message

    await converse(lambda text: page.evaluate("text => session.send(text)", text), hear)
    await page.close()


@pytest.mark.parametrize("channel", ["chat.big", "chat.skip.big"])
async def test_who_reads_nothing_holds_up_nobody(gateway: Serve, backend: Backend, channel: str) -> None:
    running = start(gateway, backend)
    small = socket.create_connection(("127.0.0.1", running.port))
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    small.setblocking(False)
    async with (
        session(running) as publisher,
        session(running) as follower,
        connect(f"{running.ws}/live", sock=small, proxy=None, max_queue=1, ping_interval=None) as sleeper,
    ):
        slow = Client(sleeper, binary=False)
        assert (await slow.hear())["op"] == "hello"
        for client in (slow, follower):
            assert (await client.ask(op="subscribe", id=1, channel=channel))["op"] == "ok"
        before = running.resident()
        for number in range(MANY):
            assert (await publisher.ask(op="publish", id=number, channel=channel, data=[number, BIG]))["op"] == "ok"
            assert (await follower.event())["event"]["data"][0] == number
        assert running.resident() - before < 5 * 2**20, "9 MB were published"
        if channel == "chat.big":
            while (message := await slow.event())["op"] != "error":
                pass
            assert (message["channel"], message["error"]["code"]) == (channel, "too_slow")
        else:
            assert (await slow.event("gap"))["event"]["data"]["missed"] > 0
            while (await slow.event("message"))["event"]["data"][0] != MANY - 1:
                pass


async def test_a_flood_of_requests_is_answered_and_holds_up_nobody(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend)
    backend.hold = asyncio.Event()
    async with session(running) as flood, session(running) as other:
        for number in range(3000):
            await flood.say(op="request", id=number, path="/plain")
        await other.ask(op="subscribe", id=1, channel="chat.a")
        await other.ask(op="publish", id=2, channel="chat.a", data=1)
        assert (await other.event())["event"]["data"] == 1
        refused = [await flood.hear() for _ in range(3000 - 32)]
        assert {message["error"]["code"] for message in refused} == {"too_many"}
        await come(lambda: len(backend.asked) == 32, "those within the limit are asked")
        backend.hold.set()
        assert {(await flood.hear())["status"] for _ in range(32)} == {200}


async def test_more_messages_than_allowed_end_the_session_alone(gateway: Serve, backend: Backend) -> None:
    running = start(gateway, backend, rate=20)
    async with session(running) as flood, session(running) as other:
        for _ in range(30):
            await flood.say(op="ping")
        with pytest.raises(ConnectionClosed) as closed:
            await flood.answer("never")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4429
        await other.say(op="ping", id=1)
        assert await other.answer(1) == {"op": "pong", "id": 1}
