"""The signature contract, as far as it holds for every installed scheme without any secret."""

from __future__ import annotations

from gateway.plugin import Delivery
from gateway.plugin.registry import KINDS
from tests.plugin.installed import names


def test_signatures_are_a_kind_of_plugin() -> None:
    assert "signatures" in KINDS
    assert {"hmac", "github", "token"} <= set(names("signatures"))


def test_a_delivery_knows_its_headers_in_any_case() -> None:
    delivery = Delivery(method="POST", target=b"/", headers=((b"X-A", b"1"), (b"x-a", b"2")), body=b"")
    assert (delivery.header(b"x-a"), delivery.header(b"x-b")) == (b"1", None)
