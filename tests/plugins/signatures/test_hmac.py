"""The generic scheme: every way of signing that an operator can describe, and mistakes in the description."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.plugin import Delivery, Signature
from gateway.testing.signature import SignatureContract
from gateway_plugins.signatures.hmac import HmacOptions, plugin
from tests.plugins.signatures.signed import BODY, NOW, delivery, mac, made, wrong

SECRET = b"a-secret"
# Zoom signs so; https://developers.zoom.us/docs/api/webhooks/
ZOOM: dict[str, object] = {
    "secret": "a-secret",
    "header": "x-zm-signature",
    "prefix": "v0=",
    "payload": "v0:{timestamp}:{body}",
    "timestamp": {"header": "x-zm-request-timestamp"},
}


def zoom(at: int = NOW) -> Delivery:
    signature = "v0=" + mac(SECRET, f"v0:{at}:".encode() + BODY)
    return delivery({"X-Zm-Signature": signature, "X-Zm-Request-Timestamp": str(at)})


def zooms(now: float, **options: object) -> Signature:
    return made(plugin, now, **ZOOM, **options)


class TestContract(SignatureContract):
    @pytest.fixture
    def signature(self) -> Signature:
        return zooms(NOW)

    @pytest.fixture
    def good(self) -> Delivery:
        return zoom()

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [SECRET]


def test_tolerance_is_the_operators() -> None:
    assert zooms(NOW + 299).verify(zoom()) == 0
    assert wrong(zooms(NOW + 301), zoom()) == "stale"
    assert zooms(NOW + 301, tolerance="10m").verify(zoom()) == 0
    assert wrong(zooms(NOW - 31, tolerance="30s"), zoom()) == "stale"


@pytest.mark.parametrize(
    ("key", "secret"), [("text", "a-secret"), ("base64", "YS1zZWNyZXQ="), ("hex", "612d736563726574")]
)
def test_keys_may_be_written_in_three_ways(key: str, secret: str) -> None:
    signature = made(plugin, secret=secret, key=key, header="X-Sig", algorithm="sha512")
    assert signature.verify(delivery({"x-sig": mac(SECRET, BODY, "sha512")})) == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"header": None}, "header"),
        ({"header": "X Sig"}, "expected the name of a header"),
        ({"payload": "{timestamp}"}, "has to be signed"),
        ({"payload": "{body}"}, "go together"),
        ({"timestamp": None, "payload": "{body}", "tolerance": "5m"}, "tolerance needs timestamp"),
        ({"timestamp": None}, "go together"),
        ({"timestamp": {}}, "give header or prefix"),
        ({"timestamp": {"header": "X-Time", "prefix": "t="}}, "give header or prefix"),
        ({"timestamp": {"prefix": "t="}}, "needs separator"),
        ({"key": "base64"}, "expected base64"),
        ({"key": "hex"}, "expected hexadecimal"),
        ({"algorithm": "md5"}, "sha256"),
        ({"encoding": "raw"}, "base64"),
        ({"separator": ""}, "at least 1"),
        ({"secrets": "x"}, "Extra inputs"),
    ],
)
def test_mistakes(options: dict[str, object], why: str) -> None:
    given = {name: value for name, value in {**ZOOM, **options}.items() if value is not None}
    with pytest.raises(ValidationError) as error:
        HmacOptions.model_validate(given)
    assert why in str(error.value)
    assert "a-secret" not in str(error.value)
