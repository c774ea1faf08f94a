"""Routes with `auth` in the whole application, by ASGI messages, with a stranger's authenticator."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from gateway.app import Application
from gateway.config import load
from gateway.core.asgi import Headers
from tests.auth import stranger
from tests.test_app import ask, scope_of

CONFIG = """
access_log: "off"
upstreams:
  shop: {url: "http://127.0.0.1:1"}
auth:
  people: {tokens: {tokens: {t1: ada}}}
routes:
  - {path: /open, upstream: shop}
  - {path: /open-live, upstream: shop, live: {poll: {interval: 1s}}}
  - {path: /closed, upstream: shop, auth: people}
  - path: /live
    upstream: shop
    auth: [people]
    live: {poll: {interval: 1s}}
"""
ADA: Headers = [(b"host", b"x"), (b"authorization", b"Token t1")]
WRONG: Headers = [(b"host", b"x"), (b"authorization", b"Token s3cret")]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    stranger.install(monkeypatch)
    file = tmp_path / "gateway.yaml"
    file.write_text(CONFIG)
    return Application(load(str(file), {}))


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("path", ["/closed", "/live"])
async def test_nobody_is_let_in_without_credentials(app: Application, kind: str, path: str) -> None:
    sent, problem = await ask(app, scope_of(path, kind))
    assert sent[0]["type"] == ("http" if kind == "http" else "websocket.http") + ".response.start"
    assert (sent[0]["status"], problem["code"]) == (401, "unauthenticated")
    assert (b"www-authenticate", b"Token") in sent[0]["headers"]
    assert app.stats.refused["unauthenticated"] == 1
    assert dict(app.stats.auth["people"])["absent"] == 1


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_wrong_credentials_are_refused_by_the_authenticators_own_word(app: Application, kind: str) -> None:
    sent, problem = await ask(app, scope_of("/live", kind, headers=WRONG))
    assert (sent[0]["status"], problem["code"]) == (401, "bad_token")
    assert b"s3cret" not in sent[1]["body"]
    assert app.stats.auth["people"]["refused"] == 1


async def test_without_the_extension_an_upgrade_is_closed_with_the_code(app: Application) -> None:
    sent, _ = await ask(app, scope_of("/live", "websocket", extensions={}))
    assert sent == [{"type": "websocket.close", "code": 4401, "reason": "this needs credentials"}]


async def test_known_clients_reach_the_backend(app: Application) -> None:
    scope = scope_of("/closed", headers=ADA)
    sent, problem = await ask(app, scope)
    assert (sent[0]["status"], problem["code"]) == (502, "upstream_unavailable")
    assert scope["tidegate.identity"].subject == "ada"
    assert app.stats.auth["people"]["accepted"] == 1


async def test_open_routes_ask_nobody(app: Application) -> None:
    scope = scope_of("/open", headers=WRONG)
    sent, _ = await ask(app, scope)
    assert sent[0]["status"] == 502
    assert "tidegate.identity" not in scope
    assert not any(app.stats.auth["people"].values())


async def test_a_token_among_the_subprotocols_is_a_header_and_never_the_answer(app: Application) -> None:
    protocol = "bearer." + urlsafe_b64encode(b"abc").decode()
    scope = scope_of(
        "/open-live", "websocket", subprotocols=["tidegate.json.v1", protocol], query_string=b"live.mode=no"
    )
    await ask(app, scope)
    assert scope["subprotocols"] == ["tidegate.json.v1"]
    assert scope["headers"][-1] == (b"authorization", b"Bearer abc")
    scope = scope_of("/live", "websocket", headers=WRONG, subprotocols=["tidegate.json.v1", protocol])
    await ask(app, scope)
    assert scope["headers"] == WRONG, "a real header counts more"


async def test_a_token_alone_is_no_subprotocol(app: Application) -> None:
    scope = scope_of("/live", "websocket", subprotocols=["bearer.YWJj"])
    sent, problem = await ask(app, scope)
    assert (sent[0]["status"], problem["code"]) == (400, "subprotocol")
