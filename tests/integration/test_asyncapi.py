"""AsyncAPI's own parser and validator read what `tidegate asyncapi` prints, of every example there is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.foreign import NODE_FOLDER, node

ROOT = Path(__file__).parents[2]
PARSER = NODE_FOLDER / "node_modules" / "@asyncapi" / "parser"
EXAMPLES = ["tidegate.yaml", "demo.yaml", "examples/sessions.yaml", "examples/several-backends.yaml"]

pytestmark = pytest.mark.node


def validated(text: str) -> dict[str, Any]:
    found = node()
    if not PARSER.exists():
        pytest.skip(f"needs @asyncapi/parser: npm ci in {NODE_FOLDER}")
    ran = subprocess.run(
        [found, "asyncapi.mjs"], cwd=NODE_FOLDER, input=text, capture_output=True, text=True, check=True
    )
    verdict: dict[str, Any] = json.loads(ran.stdout)
    return verdict


def printed(file: str, *options: str) -> str:
    command = [sys.executable, "-P", "-m", "gateway", "asyncapi", file, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_accepted(name: str) -> None:
    verdict = validated(printed(f"config/{name}", "--server", "https://shop.example/api"))
    assert verdict["diagnostics"] == []
    assert verdict["channels"]
    assert verdict["servers"] == ["https://shop.example/api", "wss://shop.example/api"]
    assert all(messages > 0 for _, _, messages in verdict["operations"])


def test_parameters_authentication_and_sessions_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "upstreams: {a: {url: 'http://a'}}\n"
        "auth:\n"
        "  tokens: {jwt: {secret: 0123456789abcdef0123456789abcdef, cookie: session}}\n"
        "  api: {forward: {upstream: a, path: /me}}\n"
        "routes:\n"
        "  - {path: /live, auth: [tokens], session: {subscribe: [/**], requests: true}}\n"
        "  - {path: '/a/{id}/*/**', upstream: a, auth: [tokens, api], live: {poll: , items: {key: id, order: true}}}\n"
    )
    verdict = validated(printed(str(file)))
    assert verdict["diagnostics"] == []
    assert verdict["channels"] == ["/live", "/a/{id}/{segment3}/{rest}"]
    assert verdict["operations"][:2] == [["live.ask", "receive", 7], ["live.tell", "send", 7]]
    assert verdict["security"] == [2, 2, 4, 4, 4, 4]


def test_the_validator_finds_mistakes() -> None:
    document = json.loads(printed("config/tidegate.yaml"))
    operation = next(iter(document["operations"].values()))
    operation["messages"] = [{"$ref": "#/channels/nowhere/messages/snapshot"}]
    assert validated(json.dumps(document))["diagnostics"]
