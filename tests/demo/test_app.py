from __future__ import annotations

import ast
import re
import sqlite3
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from gateway.demo import app as module
from gateway.demo.accounts import USERS
from gateway.demo.app import PAGE, seed
from gateway.demo.store import SHIRTS, Store

PACKAGE = Path(module.__file__).parent


@pytest.mark.parametrize(("path", "name", "kind"), PAGE)
async def test_the_page_is_served_with_its_rules(client: httpx2.AsyncClient, path: str, name: str, kind: str) -> None:
    answer = await client.get(path)
    assert answer.content == (PACKAGE / "page" / name).read_bytes()
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    same = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304


def test_the_page_fetches_nothing_from_elsewhere_and_has_no_inline_code() -> None:
    html = (PACKAGE / "page" / "index.html").read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert [link for link in links if not link.startswith("data:image/svg+xml,")] == ["page.css", "page.js"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src=)", html)
    assert "@import" not in (PACKAGE / "page" / "page.css").read_text()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/shirts", {"GET", "HEAD", "POST"}),
        ("POST", "/api/shirts/1", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("PUT", "/api/orders/1", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("GET", "/login", {"POST"}),
        ("POST", "/", {"GET", "HEAD"}),
        ("DISPATCH", "/api/me", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_405_and_told_the_right_ones(
    client: httpx2.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/nothing", "/api/shirts/", "//api/shirts", "/page", "/page/../shop.py", "/api"])
async def test_an_unknown_path_is_404_as_json(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_body_that_ends_too_early_is_no_error_of_the_shop(app: Starlette) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"10")]
    scope = {"type": "http", "method": "PATCH", "path": "/api/shirts/1", "headers": headers, "query_string": b""}
    await app(scope, receive, send)
    assert sent[0]["status"] == 400


async def test_books_in_use_are_503(client: httpx2.AsyncClient, db: sqlite3.Connection) -> None:
    db.execute("PRAGMA query_only = ON")
    answer = await client.patch("/api/shirts/1", json={"stock": 1})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_a_shop_is_seeded_once(db: sqlite3.Connection) -> None:
    store = Store(db)
    store.delete_shirt(1)
    seed(db)
    assert len(store.shirts()) == len(SHIRTS) - 1
    assert db.execute("SELECT count(*) FROM users").fetchone()[0] == len(USERS)


def test_the_shop_knows_nothing_of_the_gateway() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.name == "run.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.module if isinstance(node, ast.ImportFrom) else None
            if name is not None and name.startswith("gateway"):
                assert name.startswith("gateway.demo."), f"{path}: {name}"
                assert name != "gateway.demo.run"
