"""REST servers that nobody here wrote, each started with three shirts: json-server, Kinto, PouchDB Server."""

from __future__ import annotations

import json
import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from tests.integration import foreign
from tests.integration.processes import Process, eventually, free_port, listens

# What a newcomer writes; only names and, for Kinto, where the list is in the answer
CONFIG = """\
upstreams:
  shop: {{url: "http://127.0.0.1:{port}"}}
routes:
  - path: {path}
    upstream: shop
    live: {{poll: {{interval: 500ms}}, items: {{{items}}}}}
  - path: /**
    upstream: shop
"""
KINTO = """\
[server:main]
use = egg:waitress#main
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = of-this-test
multiauth.policies = basicauth
"""
SHIRT = {"name": "Tan", "stock": 7}


@dataclass(frozen=True, slots=True)
class Site:
    """A running backend; `path` is where its list is, `first` one of its shirts.

    Clients follow the list with `query`; `everything` is the URL of all that is in it, `poll` what polls are told.
    """

    process: Process
    port: int
    path: str
    items: str
    first: str
    login: list[str] = field(default_factory=list)
    query: str = ""
    everything: str = ""
    poll: str = ""

    @property
    def whole(self) -> str:
        return self.everything or self.path + self.query

    def config(self, port: int) -> str:
        return CONFIG.format(port=port, path=self.path, items=self.items)

    def edit(self, stock: int) -> bytes:
        shirt = {"stock": stock}
        return json.dumps({"data": shirt} if "data" in self.items else shirt).encode()

    @property
    def headers(self) -> dict[str, str]:
        return dict(line.split(": ") for line in self.login)


def _module(*parts: str) -> list[str]:
    return [foreign.node(), str(foreign.NODE_FOLDER.joinpath("node_modules", *parts))]


@contextmanager
def json_server(folder: Path) -> Iterator[Site]:
    """npm's json-server: plain lists, ETags."""
    (folder / "db.json").write_text(json.dumps({"shirts": [{"id": n, **SHIRT} for n in (1, 2, 3)]}))
    port = free_port()
    program = _module("json-server", "lib", "cli", "bin.js")
    process = Process([*program, "--host", "127.0.0.1", "--port", str(port), "--quiet", str(folder / "db.json")])
    try:
        eventually(lambda: listens(port))
        yield Site(process, port, "/shirts", "key: id", "/shirts/1")
    finally:
        process.kill()


@contextmanager
def kinto(folder: Path) -> Iterator[Site]:
    """Kinto: Basic auth, lists in `data`, ETags, timestamps."""
    program = shutil.which("kinto", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs Kinto: install the group `backends`")
    port = free_port()
    (folder / "kinto.ini").write_text(KINTO.replace("#main\n", f"#main\nhost = 127.0.0.1\nport = {port}\n", 1))
    process = Process([program, "start", "--ini", str(folder / "kinto.ini")])
    login = f"Authorization: Basic {b64encode(b'ada:lovelace').decode()}"
    path = "/v1/buckets/shop/collections/shirts/records"
    try:
        eventually(lambda: listens(port))
        site = Site(process, port, path, "at: data, key: id", f"{path}/first", [login])
        _fill_kinto(site)
        yield site
    finally:
        process.kill()


def _fill_kinto(site: Site) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{site.port}", headers=site.headers, trust_env=False) as client:
        for path in ("/v1/buckets/shop", "/v1/buckets/shop/collections/shirts"):
            assert client.put(path).status_code == 201
        for name in ("third", "second", "first"):
            assert client.put(f"{site.path}/{name}", json={"data": SHIRT}).status_code == 201


def in_pages(site: Site) -> Site:
    """Kinto's records, a few at a time."""
    return replace(site, query="?_limit=7", everything=site.path, poll="pages: {header: Next-Page}")


def since_modified(site: Site) -> Site:
    """Kinto's records that have changed, with tombstones, a few at a time; the whole is read but once."""
    since = 'since: {param: _since, from: "max:last_modified", format: raw, full_every: 1h}'
    paged = in_pages(site)
    return replace(paged, items=f"{site.items}, deleted: deleted", poll=f"{paged.poll}, {since}")


@contextmanager
def pouchdb(folder: Path) -> Iterator[Site]:
    """npm's pouchdb-server, CouchDB's API: documents with revisions, in a view over all of them."""
    with _pouchdb(folder, {}) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            _fill_pouchdb(client)
        yield Site(process, port, "/shirts/_all_docs", "at: rows, key: id", "/shirts/first", query="?include_docs=true")


@contextmanager
def pouchdb_changes(folder: Path) -> Iterator[Site]:
    """pouchdb-server's feed of changes, for whoever has logged in and has the cookie."""
    ada = {"name": "ada", "password": "lovelace"}
    with _pouchdb(folder, {"admins": {ada["name"]: ada["password"]}}) as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            login = client.post("/_session", json=ada)
            assert login.status_code == 200
            _fill_pouchdb(client)
            members = {"names": [ada["name"]], "roles": []}
            assert client.put("/shirts/_security", json={"admins": members, "members": members}).is_success
        yield Site(
            process,
            port,
            "/shirts/_changes",
            "at: results, key: id, deleted: deleted",
            "/shirts/first",
            [f"Cookie: AuthSession={login.cookies['AuthSession']}"],
            query="?include_docs=true",
            poll='since: {param: since, from: "last:last_seq", full_every: 1h}',
        )


@contextmanager
def _pouchdb(folder: Path, settings: dict[str, object]) -> Iterator[tuple[Process, int]]:
    (folder / "config.json").write_text(json.dumps(settings))
    port = free_port()
    program = _module("pouchdb-server", "bin", "pouchdb-server")
    options = ["--in-memory", "--host", "127.0.0.1", "--port", str(port), "--config", "config.json"]
    process = Process([*program, *options], cwd=str(folder))
    try:
        eventually(lambda: listens(port))
        yield process, port
    finally:
        process.kill()


def _fill_pouchdb(client: httpx.Client) -> None:
    assert client.put("/shirts").status_code == 201
    for name in ("first", "second", "third"):
        assert client.put(f"/shirts/{name}", json=SHIRT).status_code == 201
