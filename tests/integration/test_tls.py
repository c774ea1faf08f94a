"""HTTPS on our own listener: HTTP/2 for those who speak it, HTTP/1.1 and WebSocket for the others."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx
import httpx2
import pytest
import trustme
import websockets.asyncio.client

from tests.integration.backend import Backend
from tests.integration.clients import Events, heard, sse_headers
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT

CONFIG = """\
upstreams:
  shop: {{url: "{url}"}}
routes:
  - path: /api/shirts
    upstream: shop
    live: {{poll: {{interval: 200ms}}, items: {{key: id}}}}
  - path: /**
    upstream: shop
"""


@dataclass(frozen=True, slots=True)
class Trust:
    """A certificate for 127.0.0.1, and the authority that clients are to trust."""

    cert: Path
    key: Path
    ca: Path

    @property
    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    @property
    def listen(self) -> str:
        return f'{{address: "127.0.0.1:0", tls: {{cert: {self.cert}, key: {self.key}}}}}'


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    folder = tmp_path_factory.mktemp("trust")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    trust = Trust(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    trust.cert.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(trust.key))
    authority.cert_pem.write_to_path(str(trust.ca))
    return trust


@pytest.fixture
def secure(gateway: Serve, backend: Backend, trust: Trust) -> Gateway:
    running = gateway(CONFIG.format(url=backend.url), listen=trust.listen)
    assert running.url.startswith("https://")
    return running


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_rest_and_events(version: str, secure: Gateway, backend: Backend, trust: Trust) -> None:
    async with httpx2.AsyncClient(
        http2=version == "HTTP/2", verify=trust.client, base_url=secure.url, trust_env=False, timeout=LIMIT
    ) as client:
        answer = await client.get("/api/shirts?a=%20", headers=[("X-Twice", "1"), ("X-Twice", "2")])
        assert answer.http_version == version
        assert answer.json() == [{"id": 1, "stock": 12}]
        asked = backend.last("/api/shirts?a=%20")
        assert [value for name, value in asked.headers if name.lower() == "x-twice"] == ["1", "2"]
        assert asked.header("x-forwarded-proto") == "https"
        assert asked.header("host") == secure.url.removeprefix("https://")
        assert asked.header("via") == f"{version.removeprefix('HTTP/')} tidegate"
        async with client.stream("GET", "/api/shirts", headers=sse_headers(None, {})) as response:
            assert response.http_version == version
            stream = Events(response.aiter_lines(), response.aclose)
            await heard(stream, "snapshot")
            edited = await client.patch("/api/shirts/1", json={"stock": 13})  # beside it, in the same connection
            assert edited.json() == {"id": 1, "stock": 13}
            assert (await heard(stream, "updated")).data["item"]["stock"] == 13
    secure.logged(kind="close", transport="sse")
    lines = [line for line in secure.log() if "http" in line]
    assert {line["http"] for line in lines} == {version.removeprefix("HTTP/")}
    assert secure.process.complained == []


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_answers_of_the_gateway_itself(version: str, secure: Gateway, backend: Backend, trust: Trust) -> None:
    await backend.stop()
    async with httpx2.AsyncClient(http2=version == "HTTP/2", verify=trust.client, trust_env=False) as client:
        answer = await client.get(f"{secure.url}/api/other")
    assert answer.http_version == version
    assert answer.status_code == 502
    assert answer.json()["code"] == "upstream_unavailable"
    assert "date" in answer.headers


async def test_websockets_over_tls(secure: Gateway, backend: Backend, trust: Trust) -> None:
    async with websockets.asyncio.client.connect(f"{secure.ws}/api/shirts", ssl=trust.client, proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] in ("snapshot", "status")
        backend.shirts[""][0]["stock"] = 14
        async with asyncio.timeout(LIMIT):
            while json.loads(await socket.recv())["type"] != "updated":
                pass


@pytest.mark.parametrize("flags", [["--http2"], ["--http1.1"]])
async def test_curl(flags: list[str], secure: Gateway, trust: Trust) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    options = [*flags, "-qsS", "--noproxy", "*", "--cacert", str(trust.ca), "--max-time", "20"]
    told = await output("curl", *options, "-w", " %{http_version}", f"{secure.url}/api/shirts")
    assert told == '[{"id": 1, "stock": 12}] ' + ("2" if flags == ["--http2"] else "1.1")
    uploaded = await output("curl", *options, "-X", "PATCH", "-d", '{"stock": 3}', f"{secure.url}/api/shirts/1")
    assert json.loads(uploaded) == {"id": 1, "stock": 3}


async def test_http2_without_tls(gateway: Serve, backend: Backend) -> None:
    running = gateway(CONFIG.format(url=backend.url))
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    options = ["--http2-prior-knowledge", "-qsS", "--noproxy", "*", "-w", " %{http_version}"]
    assert await output("curl", *options, f"{running.url}/api/shirts") == '[{"id": 1, "stock": 12}] 2'


async def output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


def test_plain_http_on_a_tls_port_and_strangers_to_the_certificate(secure: Gateway) -> None:
    for url in (secure.url.replace("https", "http"), secure.url):
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/api/shirts", trust_env=False)
    assert secure.process.popen.poll() is None
    assert not any("Traceback" in line for line in secure.process.complained)


async def test_it_stops_cleanly_with_an_http2_stream_open(secure: Gateway, trust: Trust) -> None:
    async with (
        httpx2.AsyncClient(http2=True, verify=trust.client, trust_env=False, timeout=LIMIT) as client,
        client.stream("GET", f"{secure.url}/api/shirts", headers=sse_headers(None, {})) as response,
    ):
        await heard(Events(response.aiter_lines(), response.aclose), "snapshot")
        assert await asyncio.to_thread(secure.process.end) == 0
    assert secure.process.complained == []
