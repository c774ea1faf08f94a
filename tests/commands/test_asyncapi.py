"""The document's contents; that AsyncAPI's own validator takes it is in tests/integration/test_asyncapi.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.commands.asyncapi import document
from gateway.config import load

CONFIG = """\
listen: ["0.0.0.0:8080", "unix:/run/tidegate.sock"]
upstreams: {a: {url: "http://a"}}
auth:
  tokens: {jwt: {secret: "0123456789abcdef0123456789abcdef", cookie: session}}
  asked: {forward: {upstream: a, path: /me, credentials: [X-Token]}}
routes:
  - {path: /live, session: {subscribe: [/**]}}
  - {path: "/a/{id}/*/**", upstream: a, host: api.example, auth: [tokens, asked], live: {poll: }}
  - {path: /items, methods: [GET], upstream: a, live: {poll: , items: {key: id}, modes: [patch, items]}}
  - {path: /plain, upstream: a}
  - {path: "/chat/{room}", auth: tokens, channel: {name: "chat.${params.room}", publish: true}}
"""


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    return cast("dict[str, Any]", document(load(str(tmp_path / "gateway.yaml"), {}), "Shop", []))


def test_live_routes_and_sessions_are_channels_and_nothing_else(made: dict[str, Any]) -> None:
    assert [channel["address"] for channel in made["channels"].values()] == [
        "/live", "/a/{id}/{segment3}/{rest}", "/items", "/chat/{room}"
    ]  # fmt: skip
    assert list(made["channels"]["a-id"]["parameters"]) == ["id", "segment3", "rest"]
    assert "Only at the host api.example." in made["channels"]["a-id"]["description"]
    assert "parameters" not in made["channels"]["items"]


def test_each_mode_is_an_operation_with_its_messages(made: dict[str, Any]) -> None:
    operations = made["operations"]
    assert list(operations) == [
        "live.ask", "live.tell", "a-id.patch", "a-id.snapshot", "a-id.notify", "items.patch", "items.items",
        "chat-room.messages", "chat-room.publish",
    ]  # fmt: skip
    hears = {"live.ask", "chat-room.publish"}
    assert {one["action"] for name, one in operations.items() if name in hears} == {"receive"}
    assert {one["action"] for name, one in operations.items() if name not in hears} == {"send"}
    patch = operations["items.patch"]
    assert [one["$ref"].rpartition("/")[2] for one in patch["messages"]] == [
        "snapshot",
        "patch",
        "status",
        "gap",
        "close",
    ]
    assert patch["bindings"]["http"]["query"]["properties"]["live.mode"]["enum"] == ["patch"]
    assert "the default" in patch["summary"]
    binding = made["channels"]["items"]["bindings"]["ws"]
    assert binding["query"]["properties"]["live.mode"] == {
        "type": "string",
        "enum": ["patch", "items"],
        "default": "patch",
    }


def test_a_channel_of_messages_has_no_modes_and_says_who_may_publish(made: dict[str, Any]) -> None:
    told, heard = (made["operations"][f"chat-room.{name}"] for name in ("messages", "publish"))
    sent = [one["$ref"].rpartition("/")[2] for one in told["messages"]]
    assert sent == ["position", "message", "gap", "close"]
    assert heard["messages"] == [{"$ref": "#/channels/chat-room/messages/publication"}]
    assert [one["bindings"]["http"]["method"] for one in (told, heard)] == ["GET", "POST"]
    assert "live.mode" not in told["bindings"]["http"]["query"]["properties"]
    assert told["security"] == heard["security"] != []
    assert set(made["channels"]["chat-room"]["messages"]) == {*sent, "publication"}


def test_servers_are_where_it_listens_or_what_is_said(made: dict[str, Any], tmp_path: Path) -> None:
    assert made["servers"] == {
        "http": {"host": "localhost:8080", "protocol": "http"},
        "ws": {"host": "localhost:8080", "protocol": "ws"},
    }
    settings = load(str(tmp_path / "gateway.yaml"), {})
    said = document(settings, "Shop", ["https://api.example/shop", "http://b"])["servers"]
    assert said == {
        "https": {"host": "api.example", "protocol": "https", "pathname": "/shop"},
        "wss": {"host": "api.example", "protocol": "wss", "pathname": "/shop"},
        "http-2": {"host": "b", "protocol": "http"},
        "ws-2": {"host": "b", "protocol": "ws"},
    }


def test_authenticators_say_how_credentials_are_shown(made: dict[str, Any]) -> None:
    assert made["components"]["securitySchemes"] == {
        "tokens": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "tokens.2": {"type": "httpApiKey", "in": "cookie", "name": "session"},
        "asked": {"type": "httpApiKey", "in": "header", "name": "x-token"},
    }
    security = [one["$ref"].rpartition("/")[2] for one in made["operations"]["a-id.patch"]["security"]]
    assert security == ["tokens", "tokens.2", "asked"]
    assert "security" not in made["operations"]["items.items"]


def test_no_secret_is_in_it(made: dict[str, Any]) -> None:
    assert "0123456789abcdef" not in json.dumps(made)


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found: Any = made
                for name in node["$ref"].removeprefix("#/").split("/"):
                    found = found[name]
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(made)


def test_names_that_come_out_alike_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "upstreams: {a: {url: 'http://a'}}\n"
        "routes: [{path: /a-b, upstream: a, live: {poll: }}, {path: /a/b, upstream: a, live: {poll: }}]\n"
    )
    made = document(load(str(tmp_path / "g.yaml"), {}), "x", [])
    assert list(cast("dict[str, Any]", made["channels"])) == ["a-b", "a-b.2"]
