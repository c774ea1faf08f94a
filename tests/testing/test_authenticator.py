"""The contract, on an authenticator that somebody else wrote."""

from __future__ import annotations

import pytest

from gateway.plugin import Authenticator, Context, Request
from gateway.testing.authenticator import AuthenticatorContract, asking
from gateway.testing.clock import ManualClock
from tests.auth.stranger import TokenOptions, Tokens


class TestStranger(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self) -> Authenticator:
        return Tokens(TokenOptions(tokens={"s3cret-token": "ada"}), Context(clock=ManualClock()))

    @pytest.fixture
    def good(self) -> Request:
        return asking((b"authorization", b"Token s3cret-token"))

    @pytest.fixture
    def bad(self) -> Request:
        return asking((b"authorization", b"Token other-token"))

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [b"s3cret-token", b"other-token"]
