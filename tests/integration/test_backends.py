"""REST servers that nobody here wrote: the short configuration makes them live, and REST stays as it was."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.clients import Open, Stream, heard, httpx_sse, websockets_json
from tests.integration.conftest import Serve
from tests.integration.processes import come
from tests.integration.raw import ask, parse, request
from tests.integration.relay import Relay
from tests.integration.sites import Site

JSON = "Content-Type: application/json"


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
    """Seen on the wire behind the gateway and in front of it, so nothing is forgiven but hop-by-hop, Via, Link."""
    relay.to(site.port)
    running = gateway(site.config(relay.port))
    seen = {}
    for name, sent in {**reads(site), "unchanged": await unchanged(site), **writes(site)}.items():
        relay.forget()
        ours = await ask(running.port, sent)
        theirs = parse(bytes(relay.down), head_only=sent.startswith(b"HEAD"))
        assert ours.line == theirs.line, name
        assert _unlinked(ours.headers)[-2:] == [(b"Via", b"1.1 tidegate"), (b"connection", b"close")], name
        assert _unlinked(ours.end_to_end())[:-1] == theirs.end_to_end(), name
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
        assert _steady(_unlinked(through.end_to_end())[:-1]) == _steady(direct.end_to_end()), name
        assert through.body == direct.body, name
        statuses.append(through.status)
    assert statuses[-1] == 304


def _steady(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without the second of the answer, and without the nonce in Kinto's page tokens."""
    return [(name, re.sub(rb"_token=[^&]*", b"", value)) for name, value in headers if name.lower() != b"date"]


def _unlinked(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without the gateway's own word that a live URL can be a stream."""
    return [(name, value) for name, value in headers if not value.startswith(b'<>; rel="alternate"')]
