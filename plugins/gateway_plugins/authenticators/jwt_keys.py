"""Keys that check signatures, and the algorithms that each kind of key may be used with.

The table is the guard against algorithm confusion: an RSA key is never a secret, a secret never a public key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
Key: TypeAlias = "RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | bytes"
Found = list[tuple[Key, list[str]]]
"""Keys, each with the algorithms that it may be used with."""

# What identity providers sign with unless told otherwise; secrets are never among them.
ASYMMETRIC: list[Algorithm] = ["RS256", "ES256", "EdDSA"]

_CURVES = {"secp256r1": ["ES256"], "secp384r1": ["ES384"], "secp521r1": ["ES512"]}
_RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
# RFC 7518 section 3.2: at least as long as the hash.
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_RSA_BITS = 2048  # RFC 7518 section 3.3


class Keys(Protocol):
    async def find(self, kid: object) -> Found:
        """The keys that may have signed a token whose header has this `kid`. Raises UpstreamError."""


class FixedKeys:
    """One key of the configuration; `kid` means nothing to it."""

    def __init__(self, pem: str | None, secret: str | None, algorithms: Sequence[str] | None) -> None:
        key = secret.encode() if secret is not None else load_public_key(pem or "")
        fitting = list(_SECRET_BYTES) if secret is not None else suited(key)
        default = fitting[:1]
        self._found: Found = [(key, [name for name in algorithms or default if name in fitting])]

    async def find(self, kid: object) -> Found:
        return self._found


def suited(key: object) -> list[str]:
    """The algorithms that a public key may be used with; none for a key that is too weak or of a strange kind."""
    if isinstance(key, RSAPublicKey):
        return _RSA if key.key_size >= _RSA_BITS else []
    if isinstance(key, EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, [])
    return ["EdDSA"] if isinstance(key, Ed25519PublicKey) else []


def load_public_key(pem: str) -> RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey:
    """From PEM, a certificate's among them. Raises ValueError."""
    data = pem.encode()
    try:
        if b"BEGIN CERTIFICATE" in data:
            key: object = load_pem_x509_certificate(data).public_key()
        else:
            key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("expected a public key or certificate in PEM, as in ${file:/run/secrets/issuer.pem}") from None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey) or not suited(key):
        raise ValueError(f"expected a key of RSA (from {_RSA_BITS} bits), P-256, P-384, P-521 or Ed25519")
    return key


def public_key(pem: str) -> str:
    """The text, if it is a key that can be used; raises ValueError."""
    load_public_key(pem)
    return pem


def key_mistake(kind: Literal["jwks", "key", "secret"], value: str, algorithms: Sequence[str] | None) -> str:
    """What is wrong between a key and its algorithms; nothing: the empty text."""
    if kind == "secret":
        names = algorithms or ["HS256"]
        if foreign := [name for name in names if name not in _SECRET_BYTES]:
            return f"{foreign[0]} is not for a secret: with one, algorithms are {', '.join(_SECRET_BYTES)}"
        least = max(_SECRET_BYTES[name] for name in names)
        short = len(value.encode()) < least
        return f"the secret must have at least {least} bytes (RFC 7518 section 3.2)" if short else ""
    if foreign := [name for name in algorithms or () if name in _SECRET_BYTES]:
        return f"{foreign[0]} is for a secret, not for public keys"
    fitting = suited(load_public_key(value)) if kind == "key" else algorithms or ()
    if foreign := [name for name in algorithms or () if name not in fitting]:
        return f"{foreign[0]} is not for this key: with it, algorithms are {', '.join(fitting)}"
    return ""
