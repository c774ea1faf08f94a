"""Clients of other languages behind the same verbs as in `clients`: npm's in Node, and Chromium's own."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.clients import NO_HEADERS, Headers, Open, Said, Stream, at, of_envelope
from tests.integration.processes import LIMIT

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

NODE_FOLDER = Path(__file__).parent / "node"


def node() -> str:
    """Where Node is; skips where it or its packages are absent."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("needs Node.js")
    if not (NODE_FOLDER / "node_modules").is_dir():
        pytest.skip(f"needs the packages of {NODE_FOLDER.name}: npm ci in {NODE_FOLDER}")
    return found


class _Node:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self._process, self._stdout, self._stdin = process, process.stdout, process.stdin

    async def event(self) -> Said:
        line = await self._stdout.readline()
        if not line:
            raise EOFError("the client ended")
        return of_envelope(json.loads(line))

    async def close(self) -> None:
        self._stdin.write(b"\n")
        async with asyncio.timeout(LIMIT):
            while (said := await self.event()).type != "close":
                pass
            assert said.data["code"] == 1000
            assert await self._process.wait() == 0


@asynccontextmanager
async def _in_node(
    kind: str, url: str, since: str | None = None, headers: Headers = NO_HEADERS
) -> AsyncIterator[Stream]:
    pipe = asyncio.subprocess.PIPE
    command = [node(), str(NODE_FOLDER / "client.mjs"), kind, at(url, since), json.dumps(dict(headers))]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**20)
    assert process.stdout is not None
    try:
        yield _Node(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


NODE: dict[str, Open] = {
    "npm-ws": partial(_in_node, "ws"),
    "npm-ws-msgpack": partial(_in_node, "ws-msgpack"),
    "npm-eventsource": partial(_in_node, "eventsource"),
}

_OPEN_WEBSOCKET = """url => {
    window.queue = []; window.ended = null;
    window.stream = new WebSocket(url.replace("http", "ws"));
    stream.onmessage = message => queue.push(JSON.parse(message.data));
    stream.onclose = event => { window.ended = [event.code, event.wasClean]; };
}"""
_OPEN_EVENT_SOURCE = """url => {
    window.queue = []; window.ended = null;
    window.stream = new EventSource(url);
    for (const type of ["snapshot", "patch", "created", "updated", "deleted", "status"])
        stream.addEventListener(type, event =>
            queue.push({type, id: event.lastEventId, data: JSON.parse(event.data)}));
    const close = stream.close.bind(stream);
    stream.close = () => { close(); window.ended = [1000, true]; };
}"""


class _Chromium:
    def __init__(self, page: Page) -> None:
        self._page = page

    async def event(self) -> Said:
        message = await self._page.wait_for_function("queue.shift()", polling=20, timeout=LIMIT * 1000)
        return of_envelope(await message.json_value())

    async def close(self) -> None:
        await self._page.evaluate("stream.close()")
        closed = await self._page.wait_for_function("ended", polling=20, timeout=LIMIT * 1000)
        code, clean = await closed.json_value()
        assert clean
        assert code in (1000, 1005)  # 1005: a browser that is not asked for a code sends none


@asynccontextmanager
async def _in_chromium(
    browser: Browser, script: str, url: str, since: str | None = None, headers: Headers = NO_HEADERS
) -> AsyncIterator[Stream]:
    assert not headers, "pages cannot set headers"
    page = await browser.new_page()
    try:
        await page.goto(url)
        await page.evaluate(script, at(url, since))
        yield _Chromium(page)
    finally:
        await page.close()


def chromium(browser: Browser) -> dict[str, Open]:
    return {
        "chromium-websocket": partial(_in_chromium, browser, _OPEN_WEBSOCKET),
        "chromium-eventsource": partial(_in_chromium, browser, _OPEN_EVENT_SOURCE),
    }
