"""What the options of all signature schemes share: secrets, and how old a delivery may be."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, SecretStr

from gateway.plugin import Duration, Options, Secrets

# One delivery is enough to try out all that are shorter: 8 random characters are about 48 bits.
SHORTEST = 8

# A secret is changed by adding the new one, so there are two for a while; each costs another HMAC of every forgery.
_MOST = 5

# What Stripe, Slack and Standard Webhooks say: enough for clocks and queues, little for replays.
USUAL = 300.0


def _plausible(secrets: list[SecretStr]) -> list[SecretStr]:
    if len(secrets) > _MOST:
        raise ValueError(f"more than {_MOST}: remove those that nothing is signed with any more")
    if any(len(secret) < SHORTEST for secret in secrets):
        raise ValueError(f"expected at least {SHORTEST} characters: shorter ones are soon guessed")
    return secrets


def _tolerable(seconds: float) -> float:
    if not 1 <= seconds <= 86_400:
        raise ValueError("must be from 1s to 1d")
    return seconds


Keys = Annotated[Secrets, AfterValidator(_plausible)]
"""What may be signed with: one, or the new one and those that still count."""

Tolerance = Annotated[Duration, AfterValidator(_tolerable)]


class SecretOptions(Options):
    """A scheme that signs the body alone."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    secret: Keys
    """what deliveries are signed with; a list while it is being changed"""


class TimedOptions(SecretOptions):
    """A scheme that signs the time as well."""

    tolerance: Tolerance = USUAL
    """how far the time of signing may be from now, either way"""


def plain(secrets: list[SecretStr]) -> list[bytes]:
    """The secrets as they are."""
    return [secret.get_secret_value().encode() for secret in secrets]


def from_base64(text: str) -> bytes:
    """A key; raises ValueError, without the text."""
    try:
        key = b64decode(text, validate=True)
    except (Error, ValueError):
        raise ValueError("expected base64") from None
    if len(key) < SHORTEST:
        raise ValueError(f"expected base64 of at least {SHORTEST} bytes")
    return key
