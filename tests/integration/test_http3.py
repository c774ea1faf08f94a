"""HTTP/3 through `tidegate serve`: REST, event streams and writes beside them, by aioquic's own client and by curl."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
import trustme
from curl_cffi import AsyncSession, CurlHttpVersion

from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.processes import LIMIT
from tests.integration.test_tls import CONFIG
from tests.wire.quic_client import http3


@pytest.fixture
def ca(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1", "::1").private_key_and_cert_chain_pem
    certificate.write_to_path(str(tmp_path / "pair.pem"))
    return authority


@pytest.fixture
def running(gateway: Serve, backend: Backend, ca: trustme.CA, tmp_path: Path) -> Gateway:
    pair = tmp_path / "pair.pem"
    listen = f'{{address: "127.0.0.1:0", tls: {{cert: {pair}, key: {pair}}}, http3: true}}'
    return gateway(CONFIG.format(url=backend.url), listen=listen)


async def test_rest_and_events(running: Gateway, backend: Backend, ca: trustme.CA) -> None:
    async with http3(running.url, ca.cert_pem.bytes()) as client:
        answer = await client.get("/api/shirts?a=%20", headers=[(b"x-twice", b"1"), (b"x-twice", b"2")])
        assert answer.status == 200
        assert json.loads(answer.body) == [{"id": 1, "stock": 12}]
        asked = backend.last("/api/shirts?a=%20")
        assert [value for name, value in asked.headers if name.lower() == "x-twice"] == ["1", "2"]
        assert asked.header("x-forwarded-proto") == "https"
        assert asked.header("x-forwarded-for") == "127.0.0.1"
        assert asked.header("host") == running.url.removeprefix("https://")
        assert asked.header("via") == "3 tidegate"
        stream = client.ask("/api/shirts", headers=[(b"accept", b"text/event-stream")])
        await stream.has(b"event: snapshot")
        assert stream[b"content-type"] == b"text/event-stream"
        edited = await client.get("/api/shirts/1", method="PATCH", body=b'{"stock": 13}')
        assert json.loads(edited.body) == {"id": 1, "stock": 13}
        await stream.has(b"event: updated", b'"stock":13')
    assert running.logged(kind="close", transport="sse")
    lines = [line for line in running.log() if "http" in line]
    assert {line["http"] for line in lines} == {"3"}
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    await running.idle()
    assert running.process.complained == []


async def test_answers_of_the_gateway_itself(running: Gateway, backend: Backend, ca: trustme.CA) -> None:
    await backend.stop()
    async with http3(running.url, ca.cert_pem.bytes()) as client:
        answer = await client.get("/api/other")
        assert answer.status == 502
        assert json.loads(answer.body)["code"] == "upstream_unavailable"


async def test_it_is_told_of_over_the_others(running: Gateway, ca: trustme.CA) -> None:
    import ssl

    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    port = running.url.rpartition(":")[2]
    for http2 in (False, True):
        async with httpx2.AsyncClient(http2=http2, verify=trust, trust_env=False) as client:
            for _ in range(2):  # the second time there is an idle connection to the backend: the short way
                answer = await client.get(f"{running.url}/api/shirts")
                assert answer.headers["alt-svc"] == f'h3=":{port}"; ma=86400'


async def test_it_stops_cleanly_with_a_stream_open(running: Gateway, ca: trustme.CA) -> None:
    async with http3(running.url, ca.cert_pem.bytes()) as client:
        stream = client.ask("/api/shirts", headers=[(b"accept", b"text/event-stream")])
        await stream.has(b"event: snapshot")
        assert await asyncio.to_thread(running.process.end) == 0
        await stream.over()
        assert b"event: close" in stream.body
        assert stream.ended
    assert running.process.complained == []


async def test_curl_speaks_to_us_also_over_ipv6(
    gateway: Serve, backend: Backend, ca: trustme.CA, tmp_path: Path
) -> None:
    """Another implementation than the one we are made of: ngtcp2 and nghttp3."""
    pair, authority = tmp_path / "pair.pem", tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(authority))
    tls = f"tls: {{cert: {pair}, key: {pair}}}, http3: true"
    for host in ("127.0.0.1", "[::1]"):
        running = gateway(CONFIG.format(url=backend.url), listen=f'{{address: "{host}:0", {tls}}}')
        async with AsyncSession(
            verify=str(authority),  # type: ignore[arg-type]  # its types know of no file
            http_version=CurlHttpVersion.V3ONLY,
            timeout=LIMIT,
        ) as client:
            answer = await client.get(f"{running.url}/api/shirts?a=%20", headers={"X-One": "1"})
            assert (answer.status_code, answer.http_version) == (200, CurlHttpVersion.V3)
            assert answer.json() == [{"id": 1, "stock": 12}]
            assert backend.last("/api/shirts?a=%20").header("x-forwarded-for") == host.strip("[]")
            large = await client.post(f"{running.url}/api/echo", data=b"x" * 300_000)
            assert large.status_code == 200
            assert len(backend.last("/api/echo").body) == 300_000
            url = f"{running.url}/api/shirts"
            stream = await client.get(url, headers={"Accept": "text/event-stream"}, stream=True)
            assert stream.headers["content-type"] == "text/event-stream"
            seen = b""
            async for piece in stream.aiter_content():
                seen += piece
                if b"event: snapshot" in seen:
                    backend.shirts[""] = [{"id": 1, "stock": 13}]
                if b'"stock":13' in seen:
                    backend.shirts[""] = [{"id": 1, "stock": 12}]
                    break  # to close the stream would wait for its end; the session's end does not
        await running.idle()
        assert running.process.complained == []
