"""What a certificate says of itself: whom it is for, and for how long.

Pure: bytes in, values out. Whether it is trusted is OpenSSL's affair, in `wire`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """`names` are its DNS names in lower case, `subject` is RFC 4514, times are seconds since 1970."""

    subject: str
    names: tuple[str, ...]
    not_before: float
    not_after: float

    def fault(self, now: float) -> str:
        """Why it is not valid now; nothing when it is."""
        if now > self.not_after:
            return f"the certificate expired on {_day(self.not_after)}"
        if now < self.not_before:
            return f"the certificate is not valid before {_day(self.not_before)}"
        return ""


def read_certificate(pem: bytes) -> Certificate:
    """The first certificate of a PEM file; raises ValueError when there is none."""
    return _described(x509.load_pem_x509_certificate(pem))


def read_der(der: bytes) -> Certificate:
    """A certificate as it travels in a handshake; raises ValueError."""
    return _described(x509.load_der_x509_certificate(der))


def _described(found: x509.Certificate) -> Certificate:
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(f"the certificate is malformed: {error}") from error
    return Certificate(
        subject=found.subject.rfc4514_string(),
        names=names,
        not_before=found.not_valid_before_utc.timestamp(),
        not_after=found.not_valid_after_utc.timestamp(),
    )


def named(host: str, by_name: Mapping[str, T], default: T) -> T:
    """What is kept for a host, by its name or by the wildcard over its first label (RFC 6125 section 6.4.3)."""
    host = host.lower().removesuffix(".")
    found = by_name.get(host)
    if found is None:
        found = by_name.get("*." + host.partition(".")[2])
    return default if found is None else found


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
