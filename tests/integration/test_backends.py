"""REST servers that nobody here wrote: the short configuration makes them live, and REST stays as it was."""

from __future__ import annotations

import json
import re
import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.integration import foreign
from tests.integration.clients import Open, Stream, heard, httpx_sse, websockets_json
from tests.integration.conftest import Serve
from tests.integration.processes import Process, come, eventually, free_port, listens
from tests.integration.raw import ask, parse, request
from tests.integration.relay import Relay

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
JSON = "Content-Type: application/json"


@dataclass(frozen=True, slots=True)
class Site:
    """A running backend with three shirts, the same ones whatever it is."""

    process: Process
    port: int
    path: str
    items: str
    first: str
    login: list[str] = field(default_factory=list)

    def config(self, port: int) -> str:
        return CONFIG.format(port=port, path=self.path, items=self.items)

    def edit(self, stock: int) -> bytes:
        shirt = {"stock": stock}
        return json.dumps({"data": shirt} if "data" in self.items else shirt).encode()

    @property
    def headers(self) -> dict[str, str]:
        return dict(line.split(": ") for line in self.login)


@pytest.fixture(scope="module")
def json_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    node, port = foreign.node(), free_port()
    folder = tmp_path_factory.mktemp("json-server")
    (folder / "db.json").write_text(json.dumps({"shirts": [{"id": n, "name": "Tan", "stock": 7} for n in (1, 2, 3)]}))
    program = foreign.NODE_FOLDER / "node_modules" / "json-server" / "lib" / "cli" / "bin.js"
    options = ["--host", "127.0.0.1", "--port", str(port), "--quiet"]
    process = Process([node, str(program), *options, str(folder / "db.json")])
    try:
        eventually(lambda: listens(port))
        yield Site(process, port, "/shirts", "key: id", "/shirts/1")
    finally:
        process.kill()


@pytest.fixture(scope="module")
def kinto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    program = shutil.which("kinto", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs Kinto: install the group `backends`")
    port, folder = free_port(), tmp_path_factory.mktemp("kinto")
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
            answer = client.put(f"{site.path}/{name}", json={"data": {"name": "Tan", "stock": 7}})
            assert answer.status_code == 201


@pytest.fixture(params=[pytest.param("json_server", marks=pytest.mark.node), "kinto"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


async def edit(site: Site, port: int, stock: int) -> None:
    answer = await ask(port, request("PATCH", site.first, [*site.login, JSON], site.edit(stock)))
    assert answer.status == 200


async def tell_of_edit(site: Site, port: int, stream: Stream, stock: int) -> None:
    assert len((await heard(stream, "snapshot")).data) in (1, 3)  # {"data": [...]} or the list
    await edit(site, port, stock)
    updated = await heard(stream, "updated")
    assert updated.data["item"]["stock"] == stock
    assert str(updated.data["key"]) in site.first
    await stream.close()


@pytest.mark.parametrize("open_stream", [websockets_json, httpx_sse])
async def test_edits_through_the_gateway_appear_as_item_events(site: Site, gateway: Serve, open_stream: Open) -> None:
    running = gateway(site.config(site.port))
    async with open_stream(f"{running.url}{site.path}", None, site.headers) as stream:
        await tell_of_edit(site, running.port, stream, 41 if open_stream is httpx_sse else 42)
    assert running.process.complained == []
    polls = {labels["result"]: value for name, labels, value in running.samples() if name.endswith("polls_total")}
    assert polls["changed"] == 2
    assert polls["error"] == polls["refused"] == 0


async def test_unchanged_lists_are_not_sent_again(site: Site, gateway: Serve) -> None:
    running = gateway(site.config(site.port))
    async with websockets_json(f"{running.url}{site.path}", None, site.headers) as stream:
        await heard(stream, "snapshot")
        await come(lambda: running.metrics()["tidegate_source_polls_total"] > 2)
        await stream.close()
    polls = {labels["result"]: value for name, labels, value in running.samples() if name.endswith("polls_total")}
    assert polls["not_modified"] >= 2, "the backend has ETags"


def reads(site: Site) -> dict[str, bytes]:
    path, login = site.path, site.login
    return {
        "list": request("GET", path, login),
        "head": request("HEAD", path, login),
        "one": request("GET", site.first, login),
        "paged": request("GET", f"{path}?_page=1&_limit=2&_sort=-stock", login),
        "missing": request("GET", f"{path}/nobody", login),
        "elsewhere": request("GET", "/no/such%20place?q=%C3%A9&&x", login),
        "root": request("GET", "/", login),
        "options": request("OPTIONS", path, [*login, "Origin: http://page", "Access-Control-Request-Method: PUT"]),
        "stranger": request("GET", path),
        "gzip": request("GET", path, [*login, "Accept-Encoding: gzip"]),
        "method": request("PROPFIND", path, login),
    }


async def unchanged(site: Site) -> bytes:
    """A request that is answered 304, until something is written."""
    etag = (await ask(site.port, reads(site)["list"])).header(b"etag")
    assert etag is not None
    return request("GET", site.path, [*site.login, f"If-None-Match: {etag.decode()}"])


def writes(site: Site) -> dict[str, bytes]:
    path, login, wrapped = site.path, site.login, "data" in site.items

    def body(**fields: object) -> bytes:
        return json.dumps({"data": fields} if wrapped else fields).encode()

    return {
        "post": request("POST", path, [*login, JSON], body(name="Zoë", stock=1)),
        "put": request("PUT", f"{path}/{'third' if wrapped else 3}", [*login, JSON], body(name="Fern", stock=2)),
        "patch": request("PATCH", site.first, [*login, JSON], body(stock=3)),
        "bad": request("POST", path, [*login, JSON], b'{"data":'),
        "precondition": request("PATCH", site.first, [*login, JSON, 'If-Match: "1"'], body(stock=3)),
        "delete": request("DELETE", f"{path}/{'second' if wrapped else 2}", login),
        "again": request("DELETE", f"{path}/{'second' if wrapped else 2}", login),
    }


async def test_every_answer_is_the_backends_own_byte_for_byte(site: Site, gateway: Serve, relay: Relay) -> None:
    """Seen on the wire behind the gateway and in front of it, so there is nothing to forgive but hop-by-hop and Via."""
    relay.to(site.port)
    running = gateway(site.config(relay.port))
    seen = {}
    for name, sent in {**reads(site), "unchanged": await unchanged(site), **writes(site)}.items():
        relay.forget()
        ours = await ask(running.port, sent)
        theirs = parse(bytes(relay.down), head_only=sent.startswith(b"HEAD"))
        assert ours.line == theirs.line, name
        assert ours.headers[-2:] == [(b"Via", b"1.1 tidegate"), (b"connection", b"close")], name
        assert ours.end_to_end()[:-1] == theirs.end_to_end(), name
        assert ours.body == theirs.body, name
        seen[name] = ours.status
    assert seen["list"] == seen["head"] == seen["paged"] == seen["put"] == seen["patch"] == seen["delete"] == 200
    assert seen["unchanged"] == 304
    assert seen["post"] == 201
    assert seen["missing"] == seen["again"] == 404
    assert seen["bad"] == 400


async def test_reads_are_what_clients_get_without_the_gateway(site: Site, gateway: Serve) -> None:
    """The backend itself is asked, with the same bytes; what changes from second to second is left out."""
    running = gateway(site.config(site.port))
    statuses = []
    for name, sent in {**reads(site), "unchanged": await unchanged(site)}.items():
        through, direct = await ask(running.port, sent), await ask(site.port, sent)
        assert through.line == direct.line, name
        assert _steady(through.end_to_end()[:-1]) == _steady(direct.end_to_end()), name
        assert through.body == direct.body, name
        statuses.append(through.status)
    assert statuses[-1] == 304


def _steady(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without the second of the answer, and without the nonce in Kinto's page tokens."""
    return [(name, re.sub(rb"_token=[^&]*", b"", value)) for name, value in headers if name.lower() != b"date"]
