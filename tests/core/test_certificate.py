"""Names and dates of certificates, and which of several is meant."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
import trustme

from gateway.core.certificate import Certificate, named, read_certificate, read_der

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def pem() -> bytes:
    issued = trustme.CA().issue_cert(
        "Shop.Example", "*.api.example", "192.0.2.1", common_name="shop", organization_name="Us, Inc", not_after=NOON
    )
    return b"# a comment\n" + b"".join(blob.bytes() for blob in issued.cert_chain_pems)


def test_what_is_read(pem: bytes) -> None:
    found = read_certificate(pem)
    assert found.names == ("shop.example", "*.api.example")
    assert found.not_after == NOON.timestamp()
    assert found.subject.startswith("CN=shop,")
    assert r"O=Us\, Inc" in found.subject
    der = ssl.PEM_cert_to_DER_cert(pem.decode().partition("comment\n")[2])
    assert read_der(der) == found


def test_a_certificate_without_names() -> None:
    authority = trustme.CA()
    assert read_certificate(authority.cert_pem.bytes()).names == ()


@pytest.mark.parametrize("pem", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_none(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_certificate(pem)
    with pytest.raises(ValueError, match=r"."):
        read_der(pem)


def test_validity() -> None:
    one = Certificate(subject="CN=a", names=(), not_before=1_000_000, not_after=2_000_000)
    assert one.fault(1_000_000) == one.fault(2_000_000) == ""
    assert one.fault(2_000_001) == "the certificate expired on 1970-01-24 03:33 UTC"
    assert one.fault(999_999) == "the certificate is not valid before 1970-01-12 13:46 UTC"


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("shop.example", 1),
        ("SHOP.example", 1),
        ("shop.example.", 1),
        ("a.api.example", 2),
        ("api.example", 0),
        ("a.b.api.example", 0),
        ("*.api.example", 2),
        ("example", 0),
        ("", 0),
        (".", 0),
    ],
)
def test_by_name(host: str, found: int) -> None:
    assert named(host, {"shop.example": 1, "*.api.example": 2}, 0) == found
