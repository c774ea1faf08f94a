"""The authenticator contract, as far as it holds for every installed authenticator without any credentials."""

from __future__ import annotations

from gateway.plugin.registry import KINDS
from tests.plugin.installed import names


def test_authenticators_are_a_kind_of_plugin() -> None:
    assert "authenticators" in KINDS
    assert names("authenticators") == sorted(names("authenticators"))
