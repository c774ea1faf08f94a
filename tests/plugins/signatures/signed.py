"""Deliveries for tests, signed by the rules of each sender's documentation with nothing of ours."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

from gateway.plugin import Context, Delivery, Plugin, Signature
from gateway.plugin.registry import O
from gateway.testing.clock import ManualClock
from gateway.testing.signature import refused

NOW = 1_700_000_000
BODY = b'{"id": 7, "name": "gr\xc3\xbcn"}'


def mac(secret: bytes, data: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(secret, data, getattr(hashlib, algorithm)).hexdigest()


def mac64(secret: bytes, data: bytes) -> str:
    return b64encode(hmac.new(secret, data, hashlib.sha256).digest()).decode()


def delivery(headers: dict[str, str], body: bytes = BODY) -> Delivery:
    lines = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Delivery(method="POST", target=b"/hooks/a?b=c", headers=lines, body=body)


def made(plugin: Plugin[O, Signature], now: float = NOW, **options: object) -> Signature:
    return plugin.make(plugin.options.model_validate(options), Context(clock=ManualClock(time=now)))


def wrong(signature: Signature, given: Delivery) -> str:
    """What a delivery is refused for."""
    error = refused(signature, given)
    assert error is not None, "it passed"
    assert error.status == 401
    return error.code
