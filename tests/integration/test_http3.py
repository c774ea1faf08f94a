"""HTTP/3 through `tidegate serve`: REST, event streams and writes beside them, by aioquic's own client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
import trustme

from tests.integration.backend import Backend
from tests.integration.conftest import Serve
from tests.integration.gateways import Gateway
from tests.integration.test_tls import CONFIG
from tests.wire.quic_client import http3


@pytest.fixture
def ca(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem
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
        asked = backend.asked[-1]
        assert asked.target == "/api/shirts?a=%20"
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
