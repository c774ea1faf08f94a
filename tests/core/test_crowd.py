from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.asgi import Scope
from gateway.core.crowd import Crowd, address_of, client_of
from gateway.core.trust import Trusted


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
    ],
)
def test_who_is_one_client(address: str, client: str) -> None:
    assert client_of(address) == client


def test_how_many_may_come() -> None:
    crowd = Crowd(2, Trusted(["10.0.0.0/8"]))
    for _ in range(2):
        assert not crowd.full("192.0.2.1")
        crowd.enter("192.0.2.1")
        crowd.enter("10.0.0.1")
    assert crowd.full("192.0.2.1")
    assert not crowd.full("192.0.2.2")
    assert not crowd.full("10.0.0.1"), "exempt"
    crowd.leave("192.0.2.1")
    assert not crowd.full("192.0.2.1")


@given(st.lists(st.ip_addresses().map(str)))
def test_nobody_is_remembered_who_has_left(addresses: list[str]) -> None:
    crowd = Crowd(1, Trusted([]))
    for address in addresses:
        crowd.enter(address)
    assert len(crowd) == len(set(map(client_of, addresses)))
    for address in addresses:
        crowd.leave(address)
    assert len(crowd) == 0
    crowd.leave("192.0.2.1")
    assert len(crowd) == 0


@pytest.mark.parametrize(
    ("scope", "address"),
    [
        ({"client": ("192.0.2.1", 5)}, "192.0.2.1"),
        ({"client": ("2001:db8::5", 0)}, "2001:db8::"),
        ({"client": ("host:name", 5)}, "host:name"),
        ({"client": ("", None)}, ""),
        ({"client": None}, ""),
        ({}, ""),
    ],
)
def test_who_asks(scope: Scope, address: str) -> None:
    assert address_of(scope) == address
