"""Certificate files: there, readable, PEM, belonging together, not encrypted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.config import certificates
from gateway.config.certificates import http3_is_possible, tls_files_load, valid_today
from gateway.config.tree import Tree, Value, show


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("one", "two"):
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    key = load_pem_private_key((folder / "one.key").read_bytes(), None)
    secret = BestAvailableEncryption(b"x")
    (folder / "locked.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    (folder / "junk.pem").write_text("junk")
    old = authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    old.private_key_and_cert_chain_pem.write_to_path(folder / "old.pem")
    nameless = authority.issue_cert(common_name="localhost")
    nameless.private_key_and_cert_chain_pem.write_to_path(folder / "nameless.pem")
    return folder


def told(folder: Path, tls: Value, url: str = "https://a") -> list[str]:
    value: dict[str, Value] = {"listen": [{"address": "a:1", "tls": tls}]}
    if url:
        value = {"upstreams": {"u": {"url": url, "tls": tls}}}
    found = tls_files_load(Tree(file=str(folder / "c.yaml"), value=value))
    return [f"{show(path).rpartition('.')[2]}: {message}" for path, message in found]


@pytest.mark.parametrize("url", ["", "https://a"])
@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("one.pem", "one.key", ""),
        ("one.pem", "two.key", "cert: this file does not hold what it should, or not the key of the certificate: key"),
        ("junk.pem", "one.key", "cert: this file does not hold"),
        ("one.pem", "junk.pem", "cert: this file does not hold"),
        ("none.pem", "one.key", "cert: cannot read this file: No such file"),
        ("one.pem", "none.key", "key: cannot read this file: No such file"),
        ("one.pem", "locked.key", "cert: the private key is encrypted"),
        ("old.pem", "old.pem", ""),  # a question of `valid_today`
    ],
)
def test_pairs(folder: Path, url: str, cert: str, key: str, words: str) -> None:
    found = told(folder, {"cert": cert, "key": key}, url)
    assert len(found) == bool(words)
    assert "".join(found).startswith(words)


@pytest.mark.parametrize(
    ("tls", "url", "words"),
    [
        ({"ca": "ca.pem"}, "https://a", []),
        ({"ca": "junk.pem"}, "https://a", ["ca: this file does not hold"]),
        ({"ca": "none.pem"}, "https://a", ["ca: cannot read this file"]),
        ({"cert": "one.pem"}, "https://a", ["cert: cert needs key"]),
        ({"key": "one.key"}, "https://a", ["key: key needs cert"]),
        ({}, "http://a", ["tls: the url begins with http:"]),
        ({}, "HTTP://a", ["tls: the url begins with http:"]),
        ({}, "https://[]", []),
        ({"ca": 3, "cert": [], "key": {}}, "https://a", []),
        ("odd", "https://a", []),
    ],
)
def test_towards_an_upstream(folder: Path, tls: Value, url: str, words: list[str]) -> None:
    found = told(folder, tls, url)
    assert len(found) == len(words)
    assert all(line.startswith(word) for line, word in zip(found, words, strict=True))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"sni": [{"cert": "two.pem", "key": "two.key"}]}, []),
        ({"sni": [{"cert": "two.pem", "key": "one.key"}]}, ["sni[0].cert: this file does not hold"]),
        ({"sni": [{"cert": "nameless.pem", "key": "nameless.pem"}]}, ["sni[0].cert: this certificate has no DNS name"]),
        ({"sni": [{"cert": "none.pem", "key": "one.key"}, 3]}, ["sni[0].cert: cannot read this file"]),
        ({"sni": [{"cert": "junk.pem", "key": "one.key"}]}, ["sni[0].cert: this file does not hold"]),
        ({"sni": "odd", "client_ca": 3}, []),
        ({"client_ca": "ca.pem", "client_cert": "optional"}, []),
        ({"client_ca": "junk.pem"}, ["client_ca: this file does not hold"]),
        ({"client_ca": "none.pem"}, ["client_ca: cannot read this file"]),
        ({"client_cert": "required"}, ["client_cert: needs client_ca beside it"]),
    ],
)
def test_towards_clients(folder: Path, more: dict[str, Value], words: list[str]) -> None:
    tls: Value = {"cert": "one.pem", "key": "one.key", **more}
    value: dict[str, Value] = {"listen": [{"address": "a:1", "tls": tls}]}
    found = [
        f"{show(path).removeprefix('listen[0].tls.')}: {message}"
        for path, message in tls_files_load(Tree(file=str(folder / "c.yaml"), value=value))
    ]
    assert len(found) == len(words)
    assert all(line.startswith(word) for line, word in zip(found, words, strict=True))


def test_no_tls_no_finding(folder: Path) -> None:
    value: dict[str, Value] = {"listen": ["a:1", {"address": "b:1"}], "upstreams": {"u": {"url": "http://a"}}}
    assert list(tls_files_load(Tree(file=str(folder / "c.yaml"), value=value))) == []


def test_http3_without_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value: dict[str, Value] = {"listen": [{"address": "a", "http3": True, "tls": {}}, {"address": "b", "tls": {}}, "c"]}
    tree = Tree(file=str(folder / "c.yaml"), value=value)
    assert list(http3_is_possible(tree)) == []
    monkeypatch.setattr(certificates, "find_spec", lambda _: None)
    why = "HTTP/3 is an extra that is not installed: pip install 'tidegate[h3]'"
    assert list(http3_is_possible(tree)) == [(("listen", 0, "http3"), why)]


def test_certificates_out_of_their_time(folder: Path) -> None:
    old: dict[str, Value] = {"cert": "old.pem", "key": "old.pem"}
    pairs: list[Value] = [old, {"cert": "two.pem"}, {"cert": "junk.pem"}, {"cert": "none.pem"}, {"cert": 3}, 3]
    value: dict[str, Value] = {
        "listen": ["a:1", {"address": "a:2", "tls": {**old, "sni": pairs}}, {"tls": {"cert": "one.pem"}}],
        "upstreams": {"u": {"tls": old}, "v": {}, "w": 3},
    }
    found = list(valid_today(Tree(file=str(folder / "c.yaml"), value=value)))
    assert [show(path) for path, _ in found] == [
        "listen[1].tls.cert",
        "listen[1].tls.sni[0].cert",
        "upstreams.u.tls.cert",
    ]
    assert {message for _, message in found} == {"the certificate expired on 2020-01-01 00:00 UTC"}
