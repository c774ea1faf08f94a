"""What every signature scheme has to do, as tests: subclass `SignatureContract` and give its fixtures.

class TestMine(SignatureContract):
    @pytest.fixture
    def signature(self) -> Signature: ...            # a new one
    @pytest.fixture
    def good(self) -> Delivery: ...                  # signed, with a body that is not empty
    @pytest.fixture
    def secrets(self) -> list[bytes]: ...            # what nobody may see
    signs_body = True                                # False for one that says only who sends
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from gateway.plugin import ClientError, Delivery, Handshaking, Json, Signature

_JUNK = (
    b"",
    b" ",
    b"=",
    b",",
    b"\x00\xff\xfe",
    b"a" * 60_000,
    b"=," * 20_000,
    b"v1=",
    b"sha256=",
    b"0" * 64,
    b"t=1,v1=",
)


def refused(signature: Signature, delivery: Delivery) -> ClientError | None:
    """What is wrong with a delivery."""
    try:
        signature.verify(delivery)
    except ClientError as error:
        return error
    return None


class SignatureContract:
    """The contract of `gateway.plugin.Signature`."""

    signs_body = True

    def test_a_signed_delivery_passes_and_passes_again(self, signature: Signature, good: Delivery) -> None:
        assert signature.verify(good) == signature.verify(good)
        assert signature.verify(good) >= 0

    def test_names_of_headers_have_no_case(self, signature: Signature, good: Delivery) -> None:
        for changed in (bytes.upper, bytes.lower):
            assert signature.verify(
                replace(good, headers=tuple((changed(name), value) for name, value in good.headers))
            ) == signature.verify(good)

    def test_every_changed_byte_of_the_body_is_seen(self, signature: Signature, good: Delivery) -> None:
        for index in range(len(good.body)):
            body = bytearray(good.body)
            body[index] ^= 1
            assert (refused(signature, replace(good, body=bytes(body))) is not None) is self.signs_body
        for other in (b"", good.body + b" ", good.body[:-1], b" " + good.body):
            assert (refused(signature, replace(good, body=other)) is not None) is self.signs_body

    def test_without_a_header_that_it_has_it_is_refused(self, signature: Signature, good: Delivery) -> None:
        error = refused(signature, replace(good, headers=()))
        assert error is not None
        assert (error.status, error.code) == (401, "unsigned")

    @pytest.mark.parametrize("junk", _JUNK, ids=range(len(_JUNK)))
    def test_junk_is_refused(self, signature: Signature, good: Delivery, junk: bytes) -> None:
        assert refused(signature, replace(good, headers=tuple((name, junk) for name, _ in good.headers))) is not None

    def test_refusals_are_of_status_401_and_give_nothing_away(
        self, signature: Signature, good: Delivery, secrets: list[bytes], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        for index, (name, value) in enumerate(good.headers):
            forged = bytes([value[-1] ^ 1])
            headers = (*good.headers[:index], (name, value[:-1] + forged), *good.headers[index + 1 :])
            error = refused(signature, replace(good, headers=headers))
            if error is not None:
                assert error.status == 401
                assert not any(hidden in error.detail.encode() for hidden in (*secrets, value, value[:-1] + forged))
        shown = f"{caplog.text} {signature!r}".encode()
        assert not any(hidden in shown for hidden in secrets)

    async def test_it_may_be_asked_from_many_threads(self, signature: Signature, good: Delivery) -> None:
        wrong = replace(good, headers=())
        asked = [asyncio.to_thread(refused, signature, one) for one in (good, wrong) * 10]
        assert [error is None for error in await asyncio.gather(*asked)] == [True, False] * 10

    def test_what_is_no_question_is_answered_by_none(self, signature: Signature) -> None:
        if isinstance(signature, Handshaking):
            others: tuple[Json, ...] = (None, 1, "a", [], {}, {"type": 1}, {"type": "event", "challenge": "x"})
            assert [signature.handshake(body) for body in others] == [None] * len(others)
            json.dumps(signature.handshake({"type": "url_verification", "challenge": "x"}))
