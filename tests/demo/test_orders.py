from __future__ import annotations

import httpx2
import pytest

User = dict[str, str]


async def test_ordering(client: httpx2.AsyncClient, ada: User) -> None:
    answer = await client.post("/api/orders", json={"shirt_id": 1, "quantity": 2}, headers=ada)
    assert answer.status_code == 201
    assert answer.json() == {
        "id": 1,
        "shirt_id": 1,
        "quantity": 2,
        "status": "open",
        "placed": "2027-01-15T08:00:00+00:00",
    }
    again = await client.get(answer.headers["location"], headers=ada)
    assert again.json() == answer.json()
    assert again.headers["etag"] == answer.headers["etag"]
    assert (await client.get("/api/orders", headers=ada)).json() == [answer.json()]
    assert (await client.get("/api/shirts/1")).json()["stock"] == 10


async def test_nobody_sees_the_orders_of_another(client: httpx2.AsyncClient, ada: User, grace: User) -> None:
    path = (await client.post("/api/orders", json={"shirt_id": 1}, headers=ada)).headers["location"]
    assert (await client.get("/api/orders", headers=grace)).json() == []
    assert (await client.get(path, headers=grace)).status_code == 404
    assert (await client.patch(path, json={"status": "paid"}, headers=grace)).status_code == 404
    assert (await client.delete(path, headers=grace)).status_code == 404
    assert (await client.get(path, headers=ada)).json()["status"] == "open"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/orders"),
        ("POST", "/api/orders"),
        ("GET", "/api/orders/1"),
        ("PATCH", "/api/orders/1"),
        ("DELETE", "/api/orders/1"),
    ],
)
async def test_who_is_not_logged_in_is_401(client: httpx2.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="shop"'


async def test_orders_are_not_for_shared_caches(client: httpx2.AsyncClient, ada: User) -> None:
    answer = await client.get("/api/orders", headers=ada)
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization, Cookie"
    unchanged = await client.get("/api/orders", headers={**ada, "If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304
    assert unchanged.headers["vary"] == "Authorization, Cookie"


async def test_an_order_moves_and_goes(client: httpx2.AsyncClient, ada: User) -> None:
    path = (await client.post("/api/orders", json={"shirt_id": 1}, headers=ada)).headers["location"]
    paid = await client.patch(path, json={"status": "paid"}, headers=ada)
    assert (paid.status_code, paid.json()["status"]) == (200, "paid")
    assert (await client.patch(path, json={"status": "open"}, headers=ada)).status_code == 409
    assert (await client.patch(path, json={"status": "lost"}, headers=ada)).status_code == 400
    stale = await client.delete(path, headers={**ada, "If-Match": '"old"'})
    assert stale.status_code == 412
    assert (await client.delete(path, headers={**ada, "If-Match": paid.headers["etag"]})).status_code == 204
    assert (await client.get(path, headers=ada)).status_code == 404


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"shirt_id": 1, "quantity": 100}, 409),
        ({"shirt_id": 999}, 409),
        ({"shirt_id": 2**63}, 400),
        ({"shirt_id": 1, "quantity": 0}, 400),
        ({"quantity": 1}, 400),
    ],
)
async def test_an_order_that_cannot_be_is_refused(
    client: httpx2.AsyncClient, ada: User, form: dict[str, int], status: int
) -> None:
    assert (await client.post("/api/orders", json=form, headers=ada)).status_code == status
    assert (await client.get("/api/orders", headers=ada)).json() == []
