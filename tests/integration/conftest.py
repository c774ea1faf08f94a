from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration import sites
from tests.integration.backend import Backend
from tests.integration.gateways import Gateway, serve
from tests.integration.processes import Process
from tests.integration.relay import Relay
from tests.integration.scripted import Scripted, Shared, shared_gateway

Serve = Callable[..., Gateway]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Serve]:
    """Starts gateways, and leaves none behind."""
    with ExitStack() as stack:

        def start(config: str, **options: object) -> Gateway:
            folder = tmp_path / f"gateway{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            running = serve(folder, config, **options)  # type: ignore[arg-type]
            stack.callback(running.process.kill)
            return running

        yield start


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """A backend in this process."""
    backend = Backend()
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """The demo's shop as a process of its own; its URL."""
    process = Process([sys.executable, "-P", "-m", "gateway.demo.shop", "--port", "0"])
    try:
        yield process.line(r"^shop: (\S+)")[1]
    finally:
        process.kill()


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    relay = Relay()
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


@pytest.fixture(scope="module")
def json_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.json_server(tmp_path_factory.mktemp("json-server")) as site:
        yield site


@pytest.fixture(scope="module")
def kinto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.kinto(tmp_path_factory.mktemp("kinto")) as site:
        yield site


@pytest.fixture
def kinto_pages(kinto: sites.Site) -> sites.Site:
    return sites.in_pages(kinto)


@pytest.fixture
def kinto_since(kinto: sites.Site) -> sites.Site:
    return sites.since_modified(kinto)


@pytest.fixture(scope="module")
def pouchdb_changes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.pouchdb_changes(tmp_path_factory.mktemp("pouchdb-changes")) as site:
        yield site


@pytest.fixture(scope="module")
def pouchdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.pouchdb(tmp_path_factory.mktemp("pouchdb")) as site:
        yield site


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """One gateway for all tests of a module, with its `CONFIG`."""
    with shared_gateway(tmp_path_factory.mktemp("gateway"), request.module.CONFIG) as shared:
        yield shared


@pytest.fixture
async def upstream(request: pytest.FixtureRequest, shared: Shared) -> AsyncIterator[Scripted]:
    """The shared gateway's backend; unless told otherwise it answers everything with the module's `OK`."""
    scripted = Scripted(request.module.OK)
    await scripted.start(shared.sock.dup())
    try:
        yield scripted
    finally:
        await scripted.stop()


@pytest.fixture
def running(shared: Shared) -> Iterator[Gateway]:
    """The shared gateway, which must find nothing to complain of."""
    before = len(shared.gateway.process.complained)
    yield shared.gateway
    assert shared.gateway.process.complained[before:] == []
