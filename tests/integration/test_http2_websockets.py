"""WebSockets within HTTP/2, through the whole gateway: npm undici, a live route, and a backend that speaks itself."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import trustme

from tests.integration import foreign
from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.processes import LIMIT, come
from tests.integration.test_tunnel import speaking

pytestmark = pytest.mark.node

CONFIG = """\
upstreams:
  shop: {{url: "{shop}"}}
  chat: {{url: "{chat}"}}
routes:
  - {{path: /chat, upstream: chat}}
  - {{path: /api/shirts, upstream: shop, live: {{poll: {{interval: 200ms}}, items: {{key: id}}}}}}
"""


async def hears(url: str, ca: Path, *words: str) -> list[dict[str, object]]:
    """What npm undici hears: it says `words`, and closes with 4001 after the first message."""
    command = [foreign.node(), "--no-warnings", str(foreign.NODE_FOLDER / "undici.mjs"), url, str(ca), *words]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_undici(gateway: Serve, backend: Backend, tmp_path: Path) -> None:
    authority = trustme.CA()
    cert, ca = tmp_path / "cert.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(cert))
    authority.cert_pem.write_to_path(str(ca))
    async with speaking() as speaker:
        running = gateway(
            CONFIG.format(shop=backend.url, chat=f"http://127.0.0.1:{speaker.port}"),
            listen=f'{{address: "127.0.0.1:0", tls: {{cert: {cert}, key: {cert}}}, http2_websockets: true}}',
        )
        url = running.url.replace("https://127.0.0.1", "wss://localhost")
        passed = await hears(f"{url}/chat", ca, "hello")
        assert passed == [{"open": ""}, {"message": "hello"}, {"code": 4001, "reason": "bye", "clean": True}]
        await come(lambda: speaker.closed == [(4001, "bye")])
        assert running.logged(kind="open", transport="tunnel")["http"] == "2"
        opened, snapshot, closed = await hears(f"{url}/api/shirts", ca)
        assert opened == {"open": ""}
        assert json.loads(str(snapshot["message"]))["type"] == "snapshot"
        assert closed == {"code": 4001, "reason": "", "clean": True}
        assert running.logged(kind="open", transport="websocket")["http"] == "2"
        await running.idle()
