"""Every configuration that is shipped works, names real keys, and is what the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trustme

from gateway.config import load, schema
from gateway.core.event import Json

ROOT = Path(__file__).parent.parent.parent
FILES = [ROOT / "config" / "tidegate.yaml", *sorted((ROOT / "config" / "examples").glob("*.yaml"))]
REFERENCE = (ROOT / "docs" / "configuration.md").read_text()
OTHERS = "".join((ROOT / "docs" / name).read_text() for name in ("authentication.md", "webhooks.md"))
SNIPPETS = re.findall(r"^```yaml\n(.*?)^```", REFERENCE + OTHERS, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    names = {"TLS_CERT": "cert.pem", "TLS_KEY": "key.pem", "BACKEND_CA": "ca.pem", "CLIENT_CA": "ca.pem"}
    (tmp_path / "keys").write_text("acme acme-key-0123456789\n")
    names["KEYS_FILE"] = "keys"
    secrets = dict.fromkeys(("GITHUB_SECRET", "STRIPE_SECRET", "SHOP_SECRET", "ZOOM_SECRET"), "c2VjcmV0LXdvcmQ=")
    return {name: str(tmp_path / file) for name, file in names.items()} | secrets


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_every_shipped_configuration_is_good(file: Path, environ: dict[str, str]) -> None:
    assert load(str(file), environ).routes


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_every_snippet_is_good(number: int, tmp_path: Path, environ: dict[str, str]) -> None:
    """A snippet without routes or upstreams is given some."""
    text = SNIPPETS[number]
    for key, filler in (("upstreams", "upstreams: {shop: {url: 'http://a'}}"), ("routes", FILLER)):
        text += "" if re.search(rf"^{key}:", text, re.MULTILINE) else f"\n{filler}\n"
    (tmp_path / "c.yaml").write_text(text)
    load(str(tmp_path / "c.yaml"), environ)


FILLER = "routes: [{path: /other/**, upstream: shop}]"


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 4


def keys(node: Json) -> set[str]:
    """Every key that the schema knows."""
    found: set[str] = set()
    for name, part in node.items() if isinstance(node, dict) else ():
        if name == "properties" and isinstance(part, dict):
            found |= set(part)
        found |= keys(part)
    for part in node if isinstance(node, list) else ():
        found |= keys(part)
    return found


@pytest.mark.parametrize("key", sorted(keys(schema())))
def test_every_key_is_documented(key: str) -> None:
    assert re.search(rf"^\| `(?:[a-z_]+\.)*{key}`", REFERENCE, re.MULTILINE), key


def documented() -> list[tuple[str, str]]:
    """The last part of each key in the tables, and its default."""
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]*) \|", REFERENCE, re.MULTILINE)
    return [(key.rpartition(".")[2], default.strip("` ")) for key, default in rows]


def test_defaults_are_the_documented_ones() -> None:
    """Durations, sizes and numbers, wherever a key of that name is in the schema."""
    actual = defaults(schema())
    for key, default in documented():
        if re.fullmatch(r"\d+(ms|s|m|h|KB|MB|%)?", default):
            assert default in actual.get(key, set()), (key, default)


def defaults(node: Json) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        for name, values in defaults(part).items():
            found.setdefault(name, set()).update(values)
    properties = node.get("properties") if isinstance(node, dict) else None
    for name, part in properties.items() if isinstance(properties, dict) else ():
        if isinstance(part, dict) and "default" in part:
            found.setdefault(name, set()).add(str(part["default"]))
    return found
