from __future__ import annotations

import pytest

from gateway.core.asgi import Header
from gateway.core.forwarded import forwarded_headers


def told(
    client: str | None, scheme: str = "http", host: bytes = b"shop.example", version: str = "1.1"
) -> dict[bytes, bytes]:
    headers = forwarded_headers(client, scheme, host, version)
    assert len(dict(headers)) == len(headers)
    return dict(headers)


def test_what_is_told_of_a_client() -> None:
    headers: tuple[Header, ...] = forwarded_headers("192.0.2.7", "https", b"shop.example", "1.1")
    assert headers == (
        (b"X-Forwarded-For", b"192.0.2.7"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"shop.example"),
        (b"Forwarded", b"for=192.0.2.7;host=shop.example;proto=https"),
        (b"Via", b"1.1 tidegate"),
    )


def test_ipv6_and_ports_are_quoted() -> None:
    headers = told("2001:db8::1", host=b"[2001:db8::2]:8080")
    assert headers[b"X-Forwarded-For"] == b"2001:db8::1"
    assert headers[b"Forwarded"] == b'for="[2001:db8::1]";host="[2001:db8::2]:8080";proto=http'


@pytest.mark.parametrize("client", [None, "", "/run/gateway.sock", "a b", 'x"'])
def test_a_client_without_an_address_is_unknown(client: str | None) -> None:
    headers = told(client)
    assert b"X-Forwarded-For" not in headers
    assert headers[b"Forwarded"].startswith(b"for=unknown;")


@pytest.mark.parametrize("host", [b'a";for=127.0.0.1', b"a;b", b"a,b", b"a b", b"a\\b", b"caf\xe9"])
def test_a_host_can_not_add_to_forwarded(host: bytes) -> None:
    headers = told("192.0.2.7", host=host)
    assert headers[b"Forwarded"] == b"for=192.0.2.7;proto=http"
    assert headers[b"X-Forwarded-Host"] == host


def test_no_host_is_not_told() -> None:
    headers = told("192.0.2.7", host=b"", version="1.0")
    assert b"X-Forwarded-Host" not in headers
    assert headers[b"Forwarded"] == b"for=192.0.2.7;proto=http"
    assert headers[b"Via"] == b"1.0 tidegate"


@pytest.mark.parametrize(("version", "via"), [("1.1", b"1.1"), ("2", b"2"), ("3", b"3"), ("9\r\n", b"1.1")])
def test_via_names_the_version_that_was_spoken(version: str, via: bytes) -> None:
    assert told("192.0.2.7", version=version)[b"Via"] == via + b" tidegate"


def test_very_long_hosts_are_not_remembered() -> None:
    from gateway.core import forwarded

    before = forwarded._kept.cache_info().currsize
    told("192.0.2.7", host=b"x" * 300)
    assert forwarded._kept.cache_info().currsize == before
