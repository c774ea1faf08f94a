from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from gateway.demo.accounts import LIFETIME

if TYPE_CHECKING:
    from typing import Protocol

    class Now(Protocol):
        seconds: float


ADA = {"user": "ada", "password": "lovelace"}


async def test_a_page_logs_in_by_form_and_is_sent_home(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/login", data=ADA)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("session=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert (await client.get("/api/me")).json() == {"user": "ada"}


async def test_a_program_logs_in_by_json(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/login", json=ADA)
    assert (answer.status_code, answer.json()) == (200, {"user": "ada"})
    assert (await client.get("/api/me")).json() == {"user": "ada"}


async def test_logging_out_ends_the_session_itself(client: httpx2.AsyncClient) -> None:
    await client.post("/login", json=ADA)
    kept = {"Cookie": f"session={client.cookies['session']}"}
    assert (await client.post("/logout")).status_code == 204
    assert "session" not in client.cookies
    assert (await client.get("/api/me", headers=kept)).status_code == 401
    assert (await client.post("/logout")).status_code == 204


async def test_a_bearer_token_is_a_login(client: httpx2.AsyncClient, now: Now) -> None:
    answer = await client.post("/api/token", json=ADA)
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 43200)
    headers = {"Authorization": f"bearer  {answer.json()['access_token']}"}
    assert (await client.get("/api/me", headers=headers)).json() == {"user": "ada"}
    now.seconds += LIFETIME
    assert (await client.get("/api/me", headers=headers)).status_code == 401


async def test_a_wrong_header_is_not_made_up_for_by_a_cookie(client: httpx2.AsyncClient) -> None:
    await client.post("/login", json=ADA)
    for wrong in ("Bearer x", "Bearer", "", "Basic YWRhOmxvdmVsYWNl"):
        assert (await client.get("/api/me", headers={"Authorization": wrong})).status_code == 401


@pytest.mark.parametrize("path", ["/login", "/api/token"])
async def test_wrong_passwords_and_unknown_users_are_refused_alike(client: httpx2.AsyncClient, path: str) -> None:
    wrong = await client.post(path, json={"user": "ada", "password": "x"})
    unknown = await client.post(path, json={"user": "nobody", "password": "x"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert "set-cookie" not in wrong.headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"user=ada",
        b"user=ada&password=x&more=y",
        b"\xff=\xfe",
        b"a=1&" * 20,
        b"user=ada&password=" + b"x" * 201,
    ],
)
async def test_a_form_that_is_no_login_is_400(client: httpx2.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post("/login", content=body, headers=headers)).status_code == 400


async def test_bytes_that_are_no_text_are_nobodys_password(client: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post("/login", content=b"user=%ff&password=%00%ed%a0%80", headers=headers)
    assert answer.status_code == 401


async def test_who_is_nobody_is_401(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/api/me")).status_code == 401
    assert (await client.get("/api/me", headers={"Cookie": "session=;;=\x01"})).status_code == 401
