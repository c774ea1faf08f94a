from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.asgi import Headers, Scope
from gateway.core.trust import Hop, Trusted, believe, node, parse_forwarded, peer

TRUSTED = Trusted(["10.0.0.0/8", "2001:db8::/32", "unix"])
FOR, PROTO, HOST, FORWARDED = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"


def scope_of(*headers: tuple[bytes, bytes], client: object = ("10.0.0.1", 5), **more: object) -> Scope:
    return {
        "type": "http", "scheme": "http", "client": client, "server": ("10.0.0.2", 80), "headers": list(headers), **more
    }  # fmt: skip


def believed(*headers: tuple[bytes, bytes], trusted: Trusted = TRUSTED, **more: object) -> tuple[str, str, bytes]:
    """Client, scheme and host afterwards."""
    scope = scope_of(*headers, **more)
    believe(scope, trusted)
    return scope["client"][0], scope["scheme"], scope.get("tidegate.host", b"")


def test_whom_it_holds() -> None:
    assert "10.1.2.3" in TRUSTED
    assert "::ffff:10.1.2.3" in TRUSTED, "an IPv4 address as a socket of IPv6 shows it"
    assert "2001:db8::5%eth0" in TRUSTED
    assert "unix" in TRUSTED
    for other in ("192.0.2.1", "2001:db9::1", "::", "x", "", None, 5):
        assert other not in TRUSTED
    assert "unix" not in Trusted(["10.0.0.0/8"])
    assert "10.0.0.1" not in Trusted([])
    assert not Trusted([])
    assert Trusted(["unix"])


def test_what_it_remembers_is_bounded() -> None:
    trusted = Trusted(["10.0.0.0/8"])
    for number in range(5000):
        assert f"10.0.{number // 256}.{number % 256}" in trusted
    assert len(trusted._known) <= 1024


def test_who_is_connected() -> None:
    assert peer(scope_of()) == "10.0.0.1"
    assert peer(scope_of(client=None)) is None, "a TCP client that has left already is nobody"
    assert peer(scope_of(client=None, server=("/run/a.sock", None))) == "unix"
    assert peer(scope_of(client=None, server=None)) is None


def test_strangers_are_not_believed() -> None:
    told = [(FOR, b"1.1.1.1"), (PROTO, b"https"), (HOST, b"evil"), (FORWARDED, b"for=1.1.1.1;proto=https")]
    assert believed(*told, client=("192.0.2.1", 5)) == ("192.0.2.1", "http", b"")
    scope = scope_of(*told, client=None)
    believe(scope, TRUSTED)
    assert scope == scope_of(*told, client=None)


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b"192.0.2.7:4711", "192.0.2.7"),
        (b"2001:db9::7", "2001:db9::7"),
        (b"[2001:db9::7]:4711", "2001:db9::7"),
        (b"::ffff:192.0.2.7", "192.0.2.7"),
        (b"1.1.1.1, 192.0.2.7", "192.0.2.7"),
        (b"1.1.1.1, 192.0.2.7, 10.0.0.9", "192.0.2.7"),
        (b"192.0.2.7,10.0.0.9 ,\t10.0.0.8", "192.0.2.7"),
        (b"10.0.0.7, 10.0.0.8", "10.0.0.7"),
        (b"evil, 192.0.2.7", "192.0.2.7"),
        (b"evil, 10.0.0.8", "10.0.0.8"),
        (b"192.0.2.7, evil", "10.0.0.1"),
        (b"192.0.2.7, ", "10.0.0.1"),
        (b"unknown", "10.0.0.1"),
        (b"", "10.0.0.1"),
        (b"1" * 5000, "10.0.0.1"),
        (b"1.1.1.1," * 5000 + b"192.0.2.7", "192.0.2.7"),
        (b"192.0.2.7," + b"10.0.0.1," * 5000 + b"10.0.0.9", "10.0.0.1"),
    ],
)
def test_addresses_are_read_from_the_right(value: bytes, client: str) -> None:
    assert believed((FOR, value))[0] == client


def test_several_headers_are_one_list() -> None:
    assert believed((FOR, b"1.1.1.1"), (FOR, b"192.0.2.7, 10.0.0.9"))[0] == "192.0.2.7"


@pytest.mark.parametrize(
    ("addresses", "protos", "scheme"),
    [
        (b"192.0.2.7", b"https", "https"),
        (b"192.0.2.7", b"HTTPS", "https"),
        (b"192.0.2.7, 10.0.0.9", b"https, http", "https"),
        (b"1.1.1.1, 192.0.2.7", b"https, http", "http"),
        (b"1.1.1.1, 192.0.2.7, 10.0.0.9", b"http, https, http", "https"),
        (b"192.0.2.7, 10.0.0.9", b"https", "https"),
        (b"192.0.2.7", b"http, https", "https"),
        (b"192.0.2.7", b"gopher", "http"),
        (b"192.0.2.7", b"", "http"),
        (b"192.0.2.7", b"wss", "https"),
    ],
)
def test_the_scheme_is_that_of_the_same_hop(addresses: bytes, protos: bytes, scheme: str) -> None:
    assert believed((FOR, addresses), (PROTO, protos))[1] == scheme


def test_upgrades_have_a_scheme_of_their_own() -> None:
    assert believed((FOR, b"192.0.2.7"), (PROTO, b"https"), type="websocket", scheme="ws")[1] == "wss"
    assert believed((PROTO, b"http"), type="websocket", scheme="wss") == ("10.0.0.1", "ws", b"")


def test_the_host_is_told() -> None:
    assert believed((FOR, b"192.0.2.7"), (HOST, b"shop.example:81"))[2] == b"shop.example:81"
    assert believed((HOST, b'a";for=evil'))[2] == b""


def test_forwarded() -> None:
    value = b'for=1.1.1.1, for="[2001:db9::7]:47";proto=https;host="shop.example:81", for=10.0.0.9;by=10.0.0.2'
    assert believed((FORWARDED, value)) == ("2001:db9::7", "https", b"shop.example:81")
    assert believed((FORWARDED, b"proto=https")) == ("10.0.0.1", "https", b"")
    assert believed((FORWARDED, b"for=192.0.2.7, for=_hidden")) == ("10.0.0.1", "http", b"")
    assert believed((FORWARDED, b"for=unknown;proto=https")) == ("10.0.0.1", "http", b"")


def test_x_forwarded_goes_first() -> None:
    """Nearly all proxies write it; one that does passes on whatever `Forwarded` a client has made up."""
    assert believed((FORWARDED, b"for=1.1.1.1;proto=https"), (FOR, b"192.0.2.7")) == ("192.0.2.7", "http", b"")
    assert believed((FORWARDED, b"for=1.1.1.1"), (PROTO, b"https")) == ("10.0.0.1", "https", b"")


def test_local_sockets() -> None:
    scope = scope_of((FOR, b"192.0.2.7"), client=None, server=("/run/a.sock", None))
    believe(scope, TRUSTED)
    assert scope["client"] == ("192.0.2.7", 0)
    scope = scope_of((FOR, b"192.0.2.7"), client=None, server=("/run/a.sock", None))
    believe(scope, Trusted(["10.0.0.0/8"]))
    assert scope["client"] is None


@pytest.mark.parametrize(
    ("value", "hops"),
    [
        ("for=a", [Hop("a")]),
        ("FOR=a;Proto=b", [Hop("a", "b")]),
        ('for="a,b;c=\\"d\\""', [Hop('a,b;c="d"')]),
        ("for=a , for=b", [Hop("a"), Hop("b")]),
        ("by=x;secret=y", [Hop()]),
        ("", []),
        ("for", []),
        ("for=", []),
        ("for=a;", []),
        ("for=a,", []),
        ("for=a for=b", []),
        ("for=a;for=b", []),
        ('for="a', []),
        ("for =a", []),
        ("for=a=b", []),
        ("for=a,,for=b", []),
    ],
)
def test_forwarded_elements(value: str, hops: list[Hop]) -> None:
    assert parse_forwarded(value) == hops


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3", "1.2.3.4.5", "[::1", "[1.2.3.4]", "[::1]x", "::g", "_a", "1.2.3.4 x"]
)
def test_what_is_no_address(text: str) -> None:
    assert node(text) == ""


# Whatever a client writes before it, the proxies' own words decide.

ADDRESSES = st.one_of(st.ip_addresses().map(str), st.sampled_from(["10.0.0.7", "evil", "unknown", "", "10.1.1.1"]))


@given(st.lists(ADDRESSES, max_size=6), st.text(st.characters(codec="latin-1"), max_size=40))
def test_the_client_can_not_choose_its_address(proxies: list[str], lie: str) -> None:
    """`lie` is what the client sent, `192.0.2.7` what the first proxy saw of it, and the rest are proxies behind."""
    behind = [address for address in proxies if address in TRUSTED]
    value = ", ".join([lie, "192.0.2.7", *behind]).encode("latin-1", "replace")
    assert believed((FOR, value))[0] == "192.0.2.7"


@given(st.lists(st.tuples(st.sampled_from([FOR, PROTO, HOST, FORWARDED]), st.binary(max_size=60)), max_size=5))
def test_anything_is_read_without_an_error(headers: Headers) -> None:
    scope = scope_of(*headers)
    believe(scope, TRUSTED)
    ip_address(scope["client"][0])
    assert scope["scheme"] in ("http", "https")
    scope = scope_of(*headers, client=("192.0.2.1", 5))
    believe(scope, TRUSTED)
    assert scope == scope_of(*headers, client=("192.0.2.1", 5))
