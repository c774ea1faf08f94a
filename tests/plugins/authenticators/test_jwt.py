"""Tokens that hold and tokens that don't: confused algorithms, `none`, times, issuers, forms; what is remembered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from pydantic import ValidationError

from gateway.plugin import Authenticator, ClientError, Identity, Request
from gateway.testing.authenticator import AuthenticatorContract, asking
from gateway.testing.clock import ManualClock
from gateway_plugins.authenticators.jwt import JwtOptions, plugin
from tests.plugins.authenticators.issuer import (
    KEYS,
    OTHER,
    SECRET,
    START,
    Upstream,
    context,
    jwk,
    key_set,
    pem,
    token,
)


def made(clock: ManualClock | None = None, upstream: Upstream | None = None, **options: object) -> Authenticator:
    given = options or {"key": pem(KEYS["RS256"])}
    return plugin.make(
        JwtOptions.model_validate(given), context(clock or ManualClock(), upstream or Upstream([key_set()]))
    )


def bearing(text: str) -> Request:
    return asking((b"authorization", b"Bearer " + text.encode("latin-1")))


async def verdict(authenticator: Authenticator, text: str) -> Identity | str:
    """The identity, or the words of the refusal."""
    try:
        identity = await authenticator.authenticate(bearing(text))
    except ClientError as error:
        refusal = error
    else:
        assert identity is not None
        return identity
    assert (refusal.status, refusal.headers) == (401, ((b"www-authenticate", b'Bearer error="invalid_token"'),))
    return refusal.detail.partition(":")[0]


class TestContract(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self) -> Authenticator:
        return made()

    @pytest.fixture
    def good(self) -> Request:
        return bearing(token())

    @pytest.fixture
    def bad(self) -> Request:
        return bearing(token(key=OTHER))

    @pytest.fixture
    def secrets(self, good: Request, bad: Request) -> list[bytes]:
        return [request.headers[0][1].partition(b" ")[2] for request in (good, bad)]


class TestContractWithAKeySet(TestContract):
    @pytest.fixture
    def authenticator(self) -> Authenticator:
        return made(upstream=Upstream([key_set(jwk("RS256", "a"))]), jwks="https://id.example/keys")


class TestContractWithASecret(TestContract):
    @pytest.fixture
    def authenticator(self) -> Authenticator:
        return made(secret=SECRET)

    @pytest.fixture
    def good(self) -> Request:
        return bearing(token("HS256"))

    @pytest.fixture
    def bad(self) -> Request:
        return bearing(token("HS256", "f" * 32))


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_each_kind_of_key(algorithm: str) -> None:
    identity = await verdict(made(key=pem(KEYS[algorithm])), token(algorithm, role="staff"))
    assert isinstance(identity, Identity)
    assert (identity.subject, identity.claims["role"], identity.expires) == ("ada", "staff", START + 3600 + 30)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: dict[str, object], key: bytes = b"", body: bytes = b"") -> str:
    """A token made by hand, with an HMAC of `key` for a signature."""
    payload = body or json.dumps({"sub": "eve", "exp": START + 3600, "iss": "https://id", "aud": "shop"}).encode()
    head = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
    return f"{head}.{b64(hmac.digest(key, head.encode(), hashlib.sha256)) if key else ''}"


WRONG_FORM = "the token does not hold"
RSA_PEM = pem(KEYS["RS256"]).encode()


@pytest.mark.parametrize(
    "text",
    [
        forged({"alg": "none"}),
        forged({"alg": "None", "typ": "JWT"}),
        forged({"alg": "nOnE"}),
        forged({"alg": ""}),
        forged({}),
        forged({"alg": "HS256"}, RSA_PEM),
        forged({"alg": "HS256"}, RSA_PEM.strip()),
        forged({"alg": "HS256", "jwk": {"kty": "oct", "k": b64(b"k" * 32)}}, b"k" * 32),
        forged({"alg": "RS256", "jku": "http://evil.example/keys"}, b"k"),
        forged({"alg": "RS256", "x5u": "http://evil.example/cert"}, b"k"),
        forged({"alg": "RS256", "kid": "../../../../dev/null"}, b"k"),
        forged({"alg": "RS256", "kid": "' OR 1=1 --"}, b"k"),
        forged({"alg": "RS256", "kid": {"a": 1}}, b"k"),
        forged({"alg": "RS256", "kid": 7}, b"k"),
        forged({"alg": ["RS256"]}, b"k"),
        token(key=OTHER),
        token("RS256", KEYS["RS256"])[:-4] + "AAAA",
        token("ES256"),
        token("HS256"),
        token(exp=None),
        token(sub=None),
        token(sub=""),
        token(sub=7),
        token(exp=True),
        token(exp="soon"),
        token(exp=[1]),
        "a.b",
        "a.b.c.d",
        "..",
        "é.é.é",
    ],
)
async def test_what_does_not_hold_is_refused(text: str) -> None:
    assert await verdict(made(), text) == WRONG_FORM


@pytest.mark.parametrize("body", [b"[]", b"7", b'{"sub":"e","exp":1e999}', b'{"sub":"e","exp":NaN}', b"[" * 5000])
async def test_bodies_that_are_no_claims_are_refused_though_they_are_signed(body: bytes) -> None:
    text = forged({"alg": "HS256"}, SECRET.encode(), body)
    assert await verdict(made(secret=SECRET), text) == WRONG_FORM


async def test_critical_headers_that_nobody_knows_are_refused() -> None:
    text = forged({"alg": "HS256", "crit": ["exp2"], "exp2": 1}, SECRET.encode())
    assert await verdict(made(secret=SECRET), text) == WRONG_FORM


async def test_the_algorithms_are_the_configurations() -> None:
    only = made(key=pem(KEYS["RS256"]), algorithms=["PS256"])
    assert await verdict(only, token("RS256")) == WRONG_FORM
    assert isinstance(await verdict(only, token("PS256", KEYS["RS256"])), Identity)
    assert await verdict(made(), token("PS256", KEYS["RS256"])) == WRONG_FORM


@pytest.mark.parametrize(
    ("claims", "options", "good"),
    [
        ({"iss": "https://evil"}, {"issuer": "https://id"}, False),
        ({"iss": None}, {"issuer": "https://id"}, False),
        ({}, {"issuer": "https://id"}, True),
        ({}, {"issuer": ["https://other", "https://id"]}, True),
        ({"aud": "bank"}, {"audience": "shop"}, False),
        ({"aud": None}, {"audience": "shop"}, False),
        ({"aud": {"shop": 1}}, {"audience": "shop"}, False),
        ({"aud": ["bank", "shop"]}, {"audience": "shop"}, True),
        ({}, {"audience": ["bank", "shop"]}, True),
        ({"aud": "anything"}, {}, True),
        ({"uid": "u7"}, {"subject": "uid"}, True),
        ({}, {"subject": "uid"}, False),
    ],
)
async def test_issuer_audience_and_subject(claims: dict[str, object], options: dict[str, object], good: bool) -> None:
    found = await verdict(made(key=pem(KEYS["RS256"]), **options), token(**claims))  # type: ignore[arg-type]
    assert isinstance(found, Identity) is good


async def test_times_are_taken_with_the_leeway() -> None:
    clock = ManualClock()
    authenticator = made(clock, key=pem(KEYS["RS256"]), leeway="10s")
    early, brief = token(nbf=START + 20), token(exp=START + 1)
    assert await verdict(authenticator, early) == "the token is not valid yet"
    assert isinstance(await verdict(authenticator, brief), Identity)
    clock.advance(10.5)
    assert isinstance(await verdict(authenticator, early), Identity)
    assert isinstance(await verdict(authenticator, brief), Identity)
    clock.advance(1)
    assert await verdict(authenticator, brief) == "the token has expired", "what is remembered ends as well"


async def test_the_cookie_is_taken_where_it_is_named_and_the_header_comes_first() -> None:
    authenticator = made(key=pem(KEYS["RS256"]), cookie="session")
    cookie = (b"cookie", b"a=b; session=" + token().encode() + b"; c")
    assert await authenticator.authenticate(asking(cookie)) is not None
    assert await made().authenticate(asking(cookie)) is None
    with pytest.raises(ClientError):
        await authenticator.authenticate(asking((b"authorization", b"Bearer x"), cookie))


async def test_other_schemes_are_not_its_own() -> None:
    assert await made().authenticate(asking((b"authorization", b"Basic YTpi"))) is None


async def test_a_token_is_verified_once_in_a_while_and_remembered_without_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ManualClock()
    upstream = Upstream([key_set(jwk("RS256", None)), key_set(jwk("EdDSA", None))])
    authenticator = made(clock, upstream, jwks="https://id.example/keys", refresh="1m")
    text = token()
    first = await verdict(authenticator, text)
    assert await verdict(authenticator, text) is first
    clock.advance(61)
    assert await verdict(authenticator, text) == WRONG_FORM, "a key that was withdrawn counts no longer"
    assert text not in repr(vars(authenticator))


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_plugins.authenticators.jwt._REMEMBERED", 3)
    authenticator = made(secret=SECRET)
    for number in range(10):
        await verdict(authenticator, token("HS256", n=number))
    assert "3 of 3" in repr(vars(authenticator)["_known"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give one of jwks"),
        ({"secret": SECRET, "key": pem(KEYS["RS256"])}, "give one of jwks"),
        ({"secret": "short"}, "at least 32 bytes"),
        ({"secret": SECRET, "algorithms": ["HS512"]}, "at least 64 bytes"),
        ({"secret": SECRET, "algorithms": ["RS256"]}, "RS256 is not for a secret"),
        ({"key": pem(KEYS["RS256"]), "algorithms": ["HS256"]}, "HS256 is for a secret"),
        ({"key": pem(KEYS["RS256"]), "algorithms": ["ES256"]}, "ES256 is not for this key"),
        ({"key": "ssh-rsa AAAA"}, "expected a public key or certificate in PEM"),
        ({"jwks": "https://id/keys", "algorithms": ["HS256"]}, "HS256 is for a secret"),
        ({"jwks": "http://id.example/keys"}, "fetch them by https"),
        ({"jwks": "https://id/keys", "algorithms": ["none"]}, "Input should be"),
        ({"jwks": "https://id/keys", "algorithms": []}, "at least 1"),
        ({"jwks": "https://id/keys", "audience": []}, "give at least one"),
        ({"jwks": "https://id/keys", "cookie": "a=b"}, "match pattern"),
    ],
)
def test_mistakes(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as wrong:
        JwtOptions.model_validate(options)
    assert SECRET not in str(wrong.value)


def test_the_secret_is_not_shown() -> None:
    options = JwtOptions.model_validate({"secret": SECRET})
    assert SECRET not in repr(options) + options.model_dump_json()
