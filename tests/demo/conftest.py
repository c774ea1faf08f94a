from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.demo.app import create_app, seed
from gateway.demo.store import Store, connect


class Now:
    """Seconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="session")
def seeded() -> Iterator[sqlite3.Connection]:
    """A shop as it is seeded; its password hashes take their time, so they are made once."""
    with closing(connect(":memory:")) as db:
        seed(db)
        yield db


@pytest.fixture
def db(seeded: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A seeded shop of one's own."""
    with closing(connect(":memory:")) as db:
        seeded.backup(db)
        yield db


@pytest.fixture
def store(db: sqlite3.Connection) -> Store:
    return Store(db)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def app(db: sqlite3.Connection, now: Now) -> Starlette:
    return create_app(db, now)


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """Anybody."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop") as client:
        yield client


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> dict[str, str]:
    """The headers of a user who is logged in."""
    return await bearer(client, "ada", "lovelace")


@pytest.fixture
async def grace(client: httpx2.AsyncClient) -> dict[str, str]:
    return await bearer(client, "grace", "hopper")


async def bearer(client: httpx2.AsyncClient, user: str, password: str) -> dict[str, str]:
    answer = await client.post("/api/token", json={"user": user, "password": password})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
