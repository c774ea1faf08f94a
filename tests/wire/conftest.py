from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme
import uvloop

from gateway.core.settings import ServerTls

# What runs on real sockets is tested on both event loops: asyncio's, and the one that the product runs on.
_ON_BOTH = {
    "test_http2.py",
    "test_http2_ends.py",
    "test_http2_floods.py",
    "test_pool.py",
    "test_proxied.py",
    "test_server.py",
    "test_hypercorn.py",
    "test_accept.py",
    "test_shake.py",
    "test_quic.py",
    "test_quic_connection.py",
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in _ON_BOTH:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> ServerTls:
    """A certificate for localhost and 127.0.0.1."""
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key))
    return ServerTls(cert=str(cert), key=str(key))
