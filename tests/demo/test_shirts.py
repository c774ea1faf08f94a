from __future__ import annotations

import httpx2
import pytest

GULL = {"name": "Gull", "size": "M", "colour": "white", "price": 1900, "stock": 3}


async def test_the_list_is_everyones(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/shirts")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()[0] == {
        "id": 1,
        "name": "Heron",
        "size": "S",
        "colour": "steelblue",
        "price": 1900,
        "stock": 12,
    }
    assert (await client.get("/api/shirts?size=S&colour=steelblue")).json() == answer.json()[:1]


async def test_an_unchanged_list_is_304_and_a_changed_one_is_not(client: httpx2.AsyncClient) -> None:
    tag = (await client.get("/api/shirts")).headers["etag"]
    assert (await client.get("/api/shirts", headers={"If-None-Match": tag})).status_code == 304
    await client.patch("/api/shirts/1", json={"stock": 11})
    changed = await client.get("/api/shirts", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_adding(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/shirts", json=GULL)
    assert answer.status_code == 201
    again = await client.get(answer.headers["location"])
    assert again.json() == answer.json() == {"id": answer.json()["id"], **GULL}
    assert again.headers["etag"] == answer.headers["etag"]
    assert (await client.get("/api/shirts")).json()[-1] == again.json()


async def test_adding_what_there_is_already_is_409(client: httpx2.AsyncClient) -> None:
    await client.post("/api/shirts", json=GULL)
    answer = await client.post("/api/shirts", json=GULL)
    assert answer.status_code == 409
    assert answer.json() == {"error": {"code": "conflict", "message": "there is a shirt of this name, size and colour"}}


async def test_the_shop_gives_the_ids(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/api/shirts", json={**GULL, "id": 77})).status_code == 400
    assert (await client.put("/api/shirts/1", json={**GULL, "id": 2})).status_code == 400
    assert (await client.patch("/api/shirts/1", json={"id": 2})).status_code == 400
    assert (await client.put("/api/shirts/1", json={**GULL, "id": 1})).status_code == 200


async def test_replacing_takes_a_whole_shirt(client: httpx2.AsyncClient) -> None:
    answer = await client.put("/api/shirts/1", json=GULL)
    assert answer.json() == {"id": 1, **GULL}
    part = await client.put("/api/shirts/1", json={"name": "Gull"})
    assert part.status_code == 400
    assert "missing required field `size`" in part.json()["error"]["message"]


async def test_editing_changes_what_is_given_and_nothing_else(client: httpx2.AsyncClient) -> None:
    before = (await client.get("/api/shirts/1")).json()
    answer = await client.patch("/api/shirts/1", json={"price": 2000})
    assert answer.json() == {**before, "price": 2000}
    assert (await client.get("/api/shirts/1")).json() == answer.json()
    assert (await client.patch("/api/shirts/1", json={})).json() == answer.json()


async def test_editing_into_another_shirt_is_409(client: httpx2.AsyncClient) -> None:
    assert (await client.patch("/api/shirts/1", json={"size": "M"})).status_code == 409


async def test_deleting(client: httpx2.AsyncClient) -> None:
    answer = await client.delete("/api/shirts/3")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/api/shirts/3")).status_code == 404
    assert (await client.delete("/api/shirts/3")).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_write_on_an_old_version_is_412_and_changes_nothing(client: httpx2.AsyncClient, method: str) -> None:
    old = (await client.get("/api/shirts/1")).headers["etag"]
    changed = await client.patch("/api/shirts/1", json={"stock": 99})
    body = None if method == "DELETE" else GULL
    answer = await client.request(method, "/api/shirts/1", json=body, headers={"If-Match": old})
    assert answer.status_code == 412
    assert answer.headers["etag"] == changed.headers["etag"]
    assert (await client.get("/api/shirts/1")).json() == changed.json()
    again = await client.request(method, "/api/shirts/1", json=body, headers={"If-Match": answer.headers["etag"]})
    assert again.is_success


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("item", ["999", "0", "x", "99999999999999999999", "%00", "1%2F2"])
async def test_no_such_shirt_is_404(client: httpx2.AsyncClient, method: str, item: str) -> None:
    body = GULL if method in ("PUT", "PATCH") else None
    answer = await client.request(method, f"/api/shirts/{item}", json=body)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
