"""A browser's WebSockets within HTTP/2: Chromium uses them as soon as they are offered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from gateway.core.settings import ServerTls
from tests.wire.test_http2 import Told
from tests.wire.wired import serving, soon

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.browser

TALK = """(closes) => new Promise((done) => {
  const heard = [];
  const socket = new WebSocket(`wss://${location.host}/chat`, ["chat.v1"]);
  socket.onopen = () => socket.send("hello");
  socket.onmessage = (event) => {
    heard.push(event.data);
    if (closes === "server") socket.send("close"); else socket.close(4002, "bye");
  };
  socket.onerror = () => heard.push("error");
  socket.onclose = (event) => done([heard, socket.protocol, event.code, event.reason, event.wasClean]);
})"""


async def test_chromium(browser: Browser, tmp_path: Path) -> None:
    issued, cert = trustme.CA().issue_cert("localhost", "127.0.0.1"), str(tmp_path / "cert.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(cert)
    tls = ServerTls(cert=cert, key=cert)
    told = Told()
    async with serving(told, tls=tls, http2_websockets=True) as running:
        page = await browser.new_page(ignore_https_errors=True)
        await page.goto(running.urls[0])
        assert await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        assert await page.evaluate(TALK, "client") == [["hello"], "chat.v1", 4002, "", True]
        assert await page.evaluate(TALK, "server") == [["hello"], "chat.v1", 4001, "as you like", True]
        assert await page.evaluate(TALK, "client") == [["hello"], "chat.v1", 4002, "", True]
        await soon(lambda: len(told.ends) == 3)
        await page.close()
    assert [scope["http_version"] for scope in told.scopes] == ["2", "2", "2"]
    assert told.ends == [(4002, "bye"), (4001, "as you like"), (4002, "bye")]
