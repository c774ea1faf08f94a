from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
import trustme

from gateway.core.settings import Timeouts, UpstreamSettings, UpstreamTls
from gateway.errors import UpstreamTimeout, UpstreamUnavailable
from gateway.wire.connect import Connector
from tests.wire.scripted import Peer, Upstream, until, upstream


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that is bound, so that nobody else gets it, and does not listen."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def quiet(peer: Peer) -> None:
    await peer.closed()


async def connect(settings: UpstreamSettings) -> asyncio.Transport:
    made: list[asyncio.BaseTransport] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    await Connector(settings).connect(Protocol)
    [transport] = made
    return cast("asyncio.Transport", transport)


def served(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def tls_settings(this: Upstream, authority: trustme.CA | None, folder: Path, **tls: str) -> UpstreamSettings:
    if authority is not None:
        authority.cert_pem.write_to_path(folder / "ca.pem")
        tls["ca"] = str(folder / "ca.pem")
    return this.settings(scheme="https", host="127.0.0.1", tls=UpstreamTls(**tls))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_numbers_and_names(host: str) -> None:
    async with upstream(quiet) as this:
        transport = await connect(this.settings(host=host))
        await until(lambda: this.count == 1)
        transport.abort()


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    async with upstream(quiet) as this:

        async def resolve(*args: object, **options: object) -> list[tuple[object, ...]]:
            hosts = ["127.0.0.2", "127.0.0.1"]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, this.port)) for host in hosts]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        transport = await connect(this.settings(host="two.example"))
        await until(lambda: this.count == 1)
        transport.abort()


async def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def create(make: object, host: str, port: int, **options: object) -> tuple[object, object]:
        tried.append(host)
        if host == "192.0.2.1":
            await asyncio.Event().wait()
        return None, "connected"

    async def resolve(*args: object, **options: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (host, 80)) for host in ("192.0.2.1", "192.0.2.2")]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "create_connection", create)
    settings = UpstreamSettings(
        name="shop", scheme="http", host="two.example", port=80, timeouts=Timeouts(connect=0.05)
    )
    assert await Connector(settings).connect(asyncio.Protocol) == "connected"  # type: ignore[comparison-overlap]
    assert tried == ["192.0.2.1", "192.0.2.2"]


async def test_refused(free_port: int) -> None:
    settings = UpstreamSettings(name="shop", scheme="http", host="127.0.0.1", port=free_port)
    with pytest.raises(UpstreamUnavailable) as caught:
        await connect(settings)
    assert str(caught.value) == "upstream 'shop' refused the connection"
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_name_that_does_not_resolve() -> None:
    for host in ("nowhere.invalid", "x" * 64 + ".invalid"):
        settings = UpstreamSettings(name="shop", scheme="http", host=host, port=80)
        with pytest.raises(UpstreamUnavailable, match="'shop' has a host name that could not be resolved"):
            await connect(settings)


async def test_no_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def create(*args: object, **options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create)
    settings = UpstreamSettings(name="shop", scheme="http", host="127.0.0.1", port=1, timeouts=Timeouts(connect=0.02))
    with pytest.raises(UpstreamTimeout, match="'shop' could not be connected in time"):
        await connect(settings)


async def test_tls_with_an_authority_of_ones_own(authority: trustme.CA, tmp_path: Path) -> None:
    async with upstream(quiet, tls=served(authority, "127.0.0.1")) as this:
        transport = await connect(tls_settings(this, authority, tmp_path))
        assert transport.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
        transport.abort()


async def test_an_unknown_authority_is_not_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    async with upstream(quiet, tls=served(authority, "127.0.0.1")) as this:
        with pytest.raises(UpstreamUnavailable, match="'shop' has a certificate that is not trusted"):
            await connect(tls_settings(this, None, tmp_path))


async def test_a_certificate_for_somebody_else_is_not_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    async with upstream(quiet, tls=served(authority, "other.example")) as this:
        with pytest.raises(UpstreamUnavailable, match="not trusted"):
            await connect(tls_settings(this, authority, tmp_path))


async def test_the_server_name_is_asked_for_and_checked(authority: trustme.CA, tmp_path: Path) -> None:
    asked: list[str] = []
    context = served(authority, "shop.internal")
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with upstream(quiet, tls=context) as this:
        (await connect(tls_settings(this, authority, tmp_path, server_name="shop.internal"))).abort()
    assert asked == ["shop.internal"]


async def test_a_client_certificate_is_shown(authority: trustme.CA, tmp_path: Path) -> None:
    context = served(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    ours = authority.issue_cert("gateway@example.com")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    shown: list[object] = []

    async def look(peer: Peer) -> None:
        shown.append(peer.writer.get_extra_info("peercert"))
        await peer.closed()

    async with upstream(look, tls=context) as this:
        transport = await connect(tls_settings(this, authority, tmp_path, cert=str(tmp_path / "ours.pem")))
        await until(lambda: shown)
        transport.abort()
    assert "gateway@example.com" in str(shown)


async def test_a_server_without_tls(tmp_path: Path) -> None:
    async def plain(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with upstream(plain) as this:
        with pytest.raises(UpstreamUnavailable, match="'shop' failed the TLS handshake"):
            await connect(tls_settings(this, None, tmp_path))


def test_files_that_are_missing_are_found_when_made(tmp_path: Path) -> None:
    settings = UpstreamSettings(
        name="shop", scheme="https", host="x", port=1, tls=UpstreamTls(ca=str(tmp_path / "none.pem"))
    )
    with pytest.raises(OSError, match="No such file"):
        Connector(settings)
