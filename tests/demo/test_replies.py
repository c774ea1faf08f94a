from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.requests import Request

from gateway.demo.replies import BODY_LIMIT, Refusal, etag, path_id, require_match, whole


def request(method: str = "GET", headers: dict[str, str] | None = None, item: str = "1") -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": method, "headers": raw, "path_params": {"id": item}})


TAG = whole(request(), b"body", "text/plain").headers["etag"]


@pytest.mark.parametrize("known", [TAG, f"W/{TAG}", f'"other", {TAG}', f'"other",W/{TAG}', "*", f"  {TAG}  "])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_client_that_has_it_gets_304(method: str, known: str) -> None:
    answer = whole(request(method, {"If-None-Match": known}), b"body", "text/plain")
    assert answer.status_code == 304
    assert answer.headers["etag"] == TAG
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.body == b""


@pytest.mark.parametrize("known", ["", '"other"', TAG.strip('"'), '"', "W/", TAG[:-1]])
def test_a_client_that_has_something_else_gets_it_all(known: str) -> None:
    answer = whole(request(headers={"If-None-Match": known}), b"body", "text/plain")
    assert (answer.status_code, answer.body) == (200, b"body")


def test_a_write_is_not_answered_304() -> None:
    assert whole(request("PATCH", {"If-None-Match": TAG}), b"body", "text/plain").status_code == 200


def test_head_has_the_length_and_no_body() -> None:
    answer = whole(request("HEAD"), b"body", "text/plain")
    assert answer.body == b""
    assert answer.headers["content-length"] == "4"


@pytest.mark.parametrize("condition", [None, "*", etag({"a": 1}), f'"x", {etag({"a": 1})}'])
def test_a_write_to_what_one_has_read_may_pass(condition: str | None) -> None:
    require_match(request("PATCH", {"If-Match": condition} if condition else None), {"a": 1})


@pytest.mark.parametrize("condition", ["", '"x"', f"W/{etag({'a': 1})}", etag({"a": 2})])
def test_a_write_to_what_has_changed_is_refused(condition: str) -> None:
    with pytest.raises(Refusal) as refused:
        require_match(request("PATCH", {"If-Match": condition}), {"a": 1})
    assert refused.value.status == 412
    assert refused.value.headers["ETag"] == etag({"a": 1})


@pytest.mark.parametrize("item", ["0", "01", "-1", "1.0", "x", "", "\u0661", "9" * 17, "9" * 5000, "1\n"])
def test_what_cannot_be_an_id_is_not_found(item: str) -> None:
    with pytest.raises(Refusal, match="nothing here") as refused:
        path_id(request(item=item))
    assert refused.value.status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"stock": NaN}',
        b'{"stock": 1e999}',
        b'{"stock": 99999999999999999999}',
        b'{"name": "\\ud800"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"stock": 1} {"stock": 2}',
        b'{"x":' * 5000,
        b"[" * 60_000,
        b'{"name": ' + b"[" * 60_000,
    ],
)
async def test_a_body_that_is_no_form_is_400(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.patch("/api/shirts/1", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_body"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "json", "application/jsonx"])
async def test_a_body_that_is_not_json_is_415(client: httpx2.AsyncClient, kind: str) -> None:
    answer = await client.patch("/api/shirts/1", content=b'{"stock": 1}', headers={"Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize("kind", ["Application/JSON; charset=utf-8", "application/merge-patch+json"])
async def test_json_by_any_name_is_taken(client: httpx2.AsyncClient, kind: str) -> None:
    answer = await client.patch("/api/shirts/1", content=b'{"stock": 1}', headers={"Content-Type": kind})
    assert answer.status_code == 200


async def test_a_body_without_end_is_413_before_it_has_all_come(client: httpx2.AsyncClient) -> None:
    pieces = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pieces
        while True:
            pieces += 1
            yield b" " * 1024

    answer = await client.patch("/api/shirts/1", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert pieces <= BODY_LIMIT // 1024 + 2
