"""JSON Web Tokens (RFC 7519): a client is whom a token says that a trusted issuer signed.

The configuration alone decides which algorithms count, and a key is used with those of its own kind only, so that a
token can't choose how it is checked (RFC 8725 sections 3.1 and 3.2). `exp` is required: what never ends can't be
taken back. What was verified is remembered by a keyed hash of the token, never by the token.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from typing import Annotated, Literal, cast

import jwt
from pydantic import AfterValidator, Field, model_validator

from gateway.plugin import (
    AuthenticatorPlugin,
    ClientError,
    Clock,
    Context,
    Duration,
    Identity,
    Json,
    Names,
    Options,
    Plugin,
    Recent,
    Request,
    Secret,
    bearer_token,
)
from gateway_plugins.authenticators.jwks import KeySet, check_url
from gateway_plugins.authenticators.jwt_keys import ASYMMETRIC, Algorithm, FixedKeys, Key, Keys, key_mistake, public_key

# Tokens remembered at once: 4 MB at most, and a token is verified again when it was forgotten, for 0.1 ms.
_REMEMBERED = 10_000

_REFUSED = b'Bearer error="invalid_token"'


class JwtOptions(Options):
    """JSON Web Tokens."""

    jwks: Annotated[str, AfterValidator(check_url)] | None = None
    key: Annotated[str, AfterValidator(public_key)] | None = None
    secret: Secret | None = None
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] | None = None
    issuer: Names | None = None
    audience: Names | None = None
    subject: str = "sub"
    leeway: Duration = 30.0
    cookie: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")] | None = None
    refresh: Duration = 300.0

    @model_validator(mode="after")
    def _fit(self) -> JwtOptions:
        given = [name for name in ("jwks", "key", "secret") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give one of jwks (a URL), key (PEM) and secret")
        kind = cast("Literal['jwks', 'key', 'secret']", given[0])
        value = self.secret.get_secret_value() if self.secret is not None else self.key or ""
        if wrong := key_mistake(kind, value, self.algorithms):
            raise ValueError(wrong)
        return self

    def schemes(self) -> tuple[dict[str, Json], ...]:
        bearer: dict[str, Json] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        cookie: dict[str, Json] = {"type": "httpApiKey", "in": "cookie", "name": self.cookie}
        return (bearer, cookie) if self.cookie is not None else (bearer,)


class JsonWebTokens:
    """The authenticator."""

    challenge = b"Bearer"

    def __init__(self, options: JwtOptions, context: Context) -> None:
        self._options = options
        self._clock: Clock = context.clock
        self._keys = _keys_of(options, context)
        self._known: Recent[bytes, Identity] = Recent(_REMEMBERED)
        self._hash = partial(blake2b, key=secrets.token_bytes(32), digest_size=16)
        self._jwt = jwt.PyJWT({"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp"]})

    async def authenticate(self, request: Request) -> Identity | None:
        token = bearer_token(request, self._options.cookie)
        if token is None:
            return None
        hashed, now = self._hash(token.encode("latin-1")).digest(), self._clock.time()
        identity = self._known.get(hashed, now)
        if identity is None:
            identity = await self._verify(token)
            # no longer than keys are trusted unseen: a key that was withdrawn must not live on in what it signed
            until = min(identity.expires or 0.0, now + self._options.refresh)
            self._known.put(hashed, identity, until)
        return identity

    async def _verify(self, token: str) -> Identity:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            for key, algorithms in await self._keys.find(kid):
                claims = self._decoded(token, key, algorithms)
                if claims is not None:
                    return self._identity(claims)
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            pass  # why is for whoever made the token, and he has it; the client is told nothing that helps to guess
        raise _refusal("the token does not hold: its signature, issuer, audience or form is not what it should be")

    def _decoded(self, token: str, key: Key, algorithms: list[str]) -> Mapping[str, Json] | None:
        options = self._options
        try:
            return cast(
                "Mapping[str, Json]",
                self._jwt.decode(
                    token,
                    key,
                    algorithms=algorithms,
                    audience=options.audience,
                    issuer=options.issuer,
                    options=None if options.audience is not None else {"verify_aud": False},
                ),
            )
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            return None  # of another key, perhaps

    def _identity(self, claims: Mapping[str, Json]) -> Identity:
        leeway, now = self._options.leeway, self._clock.time()
        expires = _seconds(claims["exp"])
        if expires + leeway <= now:
            raise _refusal("the token has expired")
        if _seconds(claims.get("nbf", 0)) - leeway > now:
            raise _refusal("the token is not valid yet")
        subject = claims.get(self._options.subject)
        if not isinstance(subject, str) or not subject:
            raise ValueError("no subject")
        return Identity(subject=subject, claims=claims, expires=expires + leeway)


def _keys_of(options: JwtOptions, context: Context) -> Keys:
    if options.jwks is not None:
        return KeySet(options.jwks, options.algorithms or ASYMMETRIC, options.refresh, context)
    secret = options.secret.get_secret_value() if options.secret is not None else None
    return FixedKeys(options.key, secret, options.algorithms)


def _seconds(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a time")
    return float(value)


def _refusal(detail: str) -> ClientError:
    error = ClientError(401, "bad_token", detail, close_code=4401)
    return error.with_headers((b"www-authenticate", _REFUSED))


plugin: AuthenticatorPlugin[JwtOptions] = Plugin(JwtOptions, JsonWebTokens)
