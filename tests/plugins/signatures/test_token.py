"""A secret that is sent along."""

from __future__ import annotations

import pytest

from gateway.plugin import Delivery, Signature
from gateway.testing.signature import SignatureContract
from gateway_plugins.signatures.token import plugin
from tests.plugins.signatures.signed import delivery, made, wrong

SECRET = "gitlab-secret"


class TestContract(SignatureContract):
    signs_body = False

    @pytest.fixture
    def signature(self) -> Signature:
        return made(plugin, secret=SECRET)

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery({"X-Gitlab-Token": SECRET})

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [SECRET.encode()]


def test_secrets_take_turns_and_the_whole_of_one_counts() -> None:
    signature = made(plugin, secret=["new-secret", "old-secret"], header="X-Token")
    assert signature.verify(delivery({"x-token": "new-secret"})) == 0
    assert signature.verify(delivery({"x-token": "old-secret"})) == 1
    for token in ("", "new-secre", "new-secrets", "NEW-SECRET", " new-secret", "Bearer new-secret"):
        assert wrong(signature, delivery({"x-token": token})) == "bad_signature"
    assert wrong(signature, delivery({"x-gitlab-token": "new-secret"})) == "unsigned"


def test_in_authorization_it_may_follow_bearer() -> None:
    signature = made(plugin, secret=SECRET, header="Authorization")
    for value in (SECRET, f"Bearer {SECRET}", f"bearer {SECRET}"):
        assert signature.verify(delivery({"authorization": value})) == 0
    assert wrong(signature, delivery({"authorization": f"Basic {SECRET}"})) == "bad_signature"
