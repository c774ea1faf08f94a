"""Senders' schemes, against the examples in their documentation and a library of one of them."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from gateway.plugin import Delivery, Signature
from gateway.testing.signature import SignatureContract
from gateway_plugins.signatures.named import StandardOptions, github, shopify, standard, stripe, svix
from tests.plugins.signatures.signed import BODY, NOW, delivery, mac, mac64, made, wrong

SECRET = "a-shared-secret"
KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signed_for_stripe(*secrets: str, at: int = NOW, body: bytes = BODY) -> Delivery:
    signatures = [f"v1={mac(secret.encode(), f'{at}.'.encode() + body)}" for secret in secrets]
    return delivery({"Stripe-Signature": ",".join([f"t={at}", *signatures, "v0=0123"])}, body)


def signed_for_standard(prefix: str = "webhook", key: str = KEY, at: int = NOW, body: bytes = BODY) -> Delivery:
    signature = Webhook(key).sign("msg_1", datetime.fromtimestamp(at, UTC), body.decode())
    return delivery({f"{prefix}-id": "msg_1", f"{prefix}-timestamp": str(at), f"{prefix}-signature": signature}, body)


class TestGithub(SignatureContract):
    @pytest.fixture
    def signature(self) -> Signature:
        return made(github, secret=SECRET)

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery({"X-Hub-Signature-256": f"sha256={mac(SECRET.encode(), BODY)}"})

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [SECRET.encode()]


class TestShopify(TestGithub):
    @pytest.fixture
    def signature(self) -> Signature:
        return made(shopify, secret=SECRET)

    @pytest.fixture
    def good(self) -> Delivery:
        return delivery({"X-Shopify-Hmac-Sha256": mac64(SECRET.encode(), BODY)})


class TestStripe(TestGithub):
    @pytest.fixture
    def signature(self) -> Signature:
        return made(stripe, secret=SECRET)

    @pytest.fixture
    def good(self) -> Delivery:
        return signed_for_stripe(SECRET)


class TestStandard(SignatureContract):
    @pytest.fixture
    def signature(self) -> Signature:
        return made(standard, secret=f"whsec_{KEY}")

    @pytest.fixture
    def good(self) -> Delivery:
        return signed_for_standard()

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [KEY.encode()]


class TestSvix(TestStandard):
    @pytest.fixture
    def signature(self) -> Signature:
        return made(svix, secret=f"whsec_{KEY}")

    @pytest.fixture
    def good(self) -> Delivery:
        return signed_for_standard("svix")


def test_the_example_of_githubs_documentation() -> None:
    example = delivery(
        {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        b"Hello, World!",
    )
    assert made(github, secret="It's a Secret to Everybody").verify(example) == 0
    assert wrong(made(github, secret="It's a Secret to Nobody"), example) == "bad_signature"


@pytest.mark.parametrize(
    ("key", "id_", "at", "body", "signature"),
    [
        (
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            1731705121,
            b'{"event_type":"ping","data":{"success":true}}',
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
        (
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,bm9ldHU5eG9yZm5rMTIzNDU2Nzg5MDEyMzQ1Njc4OTA= v1a,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ],
)
def test_the_examples_of_svix(key: str, id_: str, at: int, body: bytes, signature: str) -> None:
    headers = {"svix-id": id_, "svix-timestamp": str(at), "svix-signature": signature}
    assert made(svix, at + 10, secret=key).verify(delivery(headers, body)) == 0
    assert wrong(made(svix, at + 301, secret=key), delivery(headers, body)) == "stale"
    assert wrong(made(svix, at, secret=key), delivery({**headers, "svix-id": "msg_2"}, body)) == "bad_signature"
    assert wrong(made(standard, at, secret=key), delivery(headers, body)) == "unsigned"


def test_secrets_take_turns() -> None:
    old, new = b64encode(b"the-old-key").decode(), b64encode(b"the-new-key").decode()
    both = made(standard, secret=[new, f"whsec_{old}"])
    assert both.verify(signed_for_standard(key=new)) == 0
    assert both.verify(signed_for_standard(key=old)) == 1
    assert made(stripe, secret="new-secret").verify(signed_for_stripe("old-secret", "new-secret")) == 0
    assert wrong(made(stripe, secret="another-"), signed_for_stripe("old-secret", "new-secret")) == "bad_signature"


def test_stripes_time_is_signed() -> None:
    good = signed_for_stripe(SECRET, at=NOW - 400)
    assert wrong(made(stripe, secret=SECRET), good) == "stale"
    assert made(stripe, secret=SECRET, tolerance="10m").verify(good) == 0
    newer = delivery(
        {"Stripe-Signature": (good.header(b"stripe-signature") or b"").decode().replace("t=1699", "t=1700")}
    )
    assert wrong(made(stripe, secret=SECRET, tolerance="1d"), newer) == "bad_signature"


@pytest.mark.parametrize("secret", ["not base64!", "whsec_", "whsec_YWJj", "whpk_plJ3nmyCDGBKInavdOK15jsl"])
def test_standard_secrets_are_base64(secret: str) -> None:
    with pytest.raises(ValidationError) as error:
        StandardOptions.model_validate({"secret": secret})
    assert secret not in str(error.value)
