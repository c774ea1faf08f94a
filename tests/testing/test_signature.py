"""The contract, on a scheme that somebody else wrote."""

from __future__ import annotations

import hashlib

import pytest

from gateway.plugin import ClientError, Delivery, Signature
from gateway.testing.signature import SignatureContract

SECRET = b"s3cret-word"


class Hashed:
    """A hash of secret and body, which is no good scheme, but one."""

    def verify(self, delivery: Delivery) -> int:
        given = delivery.header(b"x-hash")
        if given is None:
            raise ClientError(401, "unsigned", "no hash")
        if given != hashlib.sha256(SECRET + delivery.body).hexdigest().encode():
            raise ClientError(401, "bad_signature", "another hash")
        return 0


class TestStranger(SignatureContract):
    @pytest.fixture
    def signature(self) -> Signature:
        return Hashed()

    @pytest.fixture
    def good(self) -> Delivery:
        body = b"something"
        hashed = hashlib.sha256(SECRET + body).hexdigest().encode()
        return Delivery(method="POST", target=b"/", headers=((b"X-Hash", hashed),), body=body)

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [SECRET]
