"""An issuer of tokens in the test's hands: its keys, its tokens, and its key set on a scripted upstream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from gateway.plugin import Answer, Context, Headers, Json, UpstreamError
from gateway.testing.clock import ManualClock

START = 1_700_000_000

Private: TypeAlias = "rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey"
KEYS: Mapping[str, Private] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
OTHER = rsa.generate_private_key(65537, 2048)
SECRET = "0123456789abcdef0123456789abcdef"


def pem(key: Private) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def token(algorithm: str = "RS256", key: Private | str | None = None, kid: str | None = None, **claims: Json) -> str:
    """A token of ada's for an hour, but for what is said otherwise; None leaves a claim out."""
    given: dict[str, Json] = {"sub": "ada", "iss": "https://id", "aud": "shop", "exp": START + 3600, **claims}
    payload = {name: value for name, value in given.items() if value is not None}
    signed = key or (SECRET if algorithm.startswith("HS") else KEYS[algorithm])
    return jwt.encode(payload, signed, algorithm, headers={} if kid is None else {"kid": kid})


def jwk(algorithm: str, kid: str | None, **more: Json) -> dict[str, Json]:
    made = get_default_algorithms()[algorithm].to_jwk(KEYS[algorithm].public_key(), as_dict=True)
    return {**made, **({} if kid is None else {"kid": kid}), **more}


def key_set(*keys: dict[str, Json]) -> Answer:
    return Answer(status=200, headers=(), body=json.dumps({"keys": list(keys)}).encode())


Reply: TypeAlias = "Answer | UpstreamError | Callable[[Headers], Answer]"


@dataclass
class Upstream:
    """Answers by a script, whose last line is repeated; while `hold` is set and not free, it answers nobody."""

    script: list[Reply]
    asked: list[tuple[str, bytes, Headers]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    name: str = "id.example"

    async def fetch(self, method: str, target: bytes, headers: Headers, *, max_body: int, body: bytes = b"") -> Answer:
        self.asked.append((method, target, headers))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await asyncio.sleep(0)
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(reply, UpstreamError):
            raise reply
        answer = reply if isinstance(reply, Answer) else reply(headers)
        if len(answer.body) > max_body:
            raise UpstreamError("too large")
        return answer


def context(clock: ManualClock, upstream: Upstream) -> Context:
    return Context(clock=clock, upstreams={"shop": upstream}, upstream_at=lambda url: upstream)
