"""The snapshot that a configuration becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from gateway.config import load
from gateway.core import settings


def compiled(tmp_path: Path, text: str) -> settings.Gateway:
    (tmp_path / "c.yaml").write_text(text)
    return load(str(tmp_path / "c.yaml"), {})


def upstream(tmp_path: Path, text: str) -> settings.UpstreamSettings:
    made = compiled(tmp_path, f"upstreams: {{a: {text}}}\nroutes: [{{path: /**, upstream: a}}]")
    return made.upstreams["a"]


def route(tmp_path: Path, text: str) -> settings.Route:
    made = compiled(tmp_path, f"upstreams: {{a: {{url: 'http://a'}}}}\nroutes: [{{path: /x, upstream: a, {text}}}]")
    return made.routes[0]


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "base"),
    [
        ("http://a", "http", "a", 80, ""),
        ("https://A.b/", "https", "a.b", 443, ""),
        ("http://[::1]:9000/x/y/", "http", "::1", 9000, "/x/y"),
        ("HTTP://a/%7Eb", "http", "a", 80, "/%7Eb"),
    ],
)
def test_urls(tmp_path: Path, url: str, scheme: str, host: str, port: int, base: str) -> None:
    made = upstream(tmp_path, f"{{url: '{url}'}}")
    assert (made.scheme, made.host, made.port, made.base_path) == (scheme, host, port, base)
    assert made.name == "a"


def test_an_upstream_without_more_is_the_default(tmp_path: Path) -> None:
    expected = settings.UpstreamSettings(name="a", scheme="http", host="a", port=80)
    assert upstream(tmp_path, "{url: 'http://a'}") == expected


def test_idle_connections_follow_a_smaller_maximum(tmp_path: Path) -> None:
    assert upstream(tmp_path, "{url: 'http://a', pool: {max: 4}}").pool == settings.Pool(max=4, idle=4)


def test_the_least_is_the_default_of_every_setting(tmp_path: Path) -> None:
    made = compiled(tmp_path, "upstreams: {a: {url: 'http://a'}}\nroutes: [{path: /**, upstream: a}]")
    assert made.listen == (settings.Listen(address="127.0.0.1:8080"),)
    assert made.admin == settings.Listen(address="127.0.0.1:9090")
    assert made.limits == settings.Limits()
    assert made.access_log == "stdout"
    assert made.broker.name == "memory"
    assert made.routes[0].methods == frozenset()
    assert made.routes[0].live is None


def test_admin_off(tmp_path: Path) -> None:
    made = compiled(tmp_path, "admin: off\nupstreams: {a: {url: 'http://a'}}\nroutes: [{path: /, upstream: a}]")
    assert made.admin is None


def test_get_brings_head(tmp_path: Path) -> None:
    assert route(tmp_path, "methods: [GET, PUT]").methods == {"GET", "HEAD", "PUT"}


def test_live_defaults(tmp_path: Path) -> None:
    live = route(tmp_path, "live: {poll: {tolerate: 3}}").live
    assert live is not None
    assert live == settings.LiveSettings(source=live.source)
    assert live.source.name == "poll"
    assert getattr(live.source.options, "tolerate", None) == 3


def test_items_are_the_first_mode_where_there_are_items(tmp_path: Path) -> None:
    live = route(tmp_path, "live: {poll: , items: {at: a.b, key: [x, y], ignore: z}}").live
    assert live is not None
    assert live.modes == ("items", "patch", "snapshot", "notify")
    assert live.items == settings.Items(at="a.b", key=("x", "y"), ignore=("z",))


def test_modes_as_given(tmp_path: Path) -> None:
    live = route(tmp_path, "live: {poll: , modes: [snapshot]}").live
    assert live is not None
    assert live.modes == ("snapshot",)


def test_files_are_beside_the_configuration(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("a")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    made = compiled(
        tmp_path,
        "access_log: ./x.log\nlisten:\n- {address: 'a:1', tls: {cert: both.pem, key: both.pem}}\n"
        "- {address: 'a:2', tls: {cert: both.pem, key: both.pem, sni: [{cert: both.pem, key: both.pem}], "
        "client_ca: both.pem, client_cert: optional}}\n"
        "upstreams: {a: {url: 'https://a', tls: {cert: both.pem, key: both.pem}}}\n"
        "routes: [{path: /, upstream: a}]",
    )
    file = str(tmp_path / "both.pem")
    assert made.listen[0].tls == settings.ServerTls(cert=file, key=file)
    both = settings.CertificateFiles(cert=file, key=file)
    assert made.listen[1].tls == settings.ServerTls(
        cert=file, key=file, sni=(both,), client_ca=file, client_cert="optional"
    )
    assert made.listen[1].tls.pairs == (both, both)
    assert replace(made.upstreams["a"].tls, stamp="") == settings.UpstreamTls(cert=file, key=file)
    assert len(made.upstreams["a"].tls.stamp) == 16
    assert made.access_log == f"{tmp_path}/./x.log"


def test_the_hash_tells_configurations_apart_and_not_their_looks(tmp_path: Path) -> None:
    first = compiled(tmp_path, "upstreams: {a: {url: 'http://a'}}\nroutes: [{path: /, upstream: a}]").hash
    same = compiled(tmp_path, "routes:\n- upstream: a # x\n  path: '/'\nupstreams: {a: {url: 'http://a'}}").hash
    other = compiled(tmp_path, "upstreams: {a: {url: 'http://b'}}\nroutes: [{path: /, upstream: a}]").hash
    assert first == same != other
    assert len(first) == 16
