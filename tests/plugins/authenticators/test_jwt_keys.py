from __future__ import annotations

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway_plugins.authenticators.jwt_keys import FixedKeys, key_mistake, load_public_key, public_key, suited
from tests.plugins.authenticators.issuer import KEYS, SECRET, pem


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_a_key_is_for_the_algorithms_of_its_kind(algorithm: str) -> None:
    ((key, algorithms),) = await FixedKeys(pem(KEYS[algorithm]), None, None).find("whatever")
    assert algorithms == [algorithm]
    assert algorithm in suited(key)
    assert not {"HS256", "HS384", "HS512", "none"} & set(suited(key))


async def test_a_secret_is_for_nothing_else() -> None:
    ((key, algorithms),) = await FixedKeys(None, SECRET, ["HS256", "HS384", "RS256"]).find(None)
    assert (key, algorithms) == (SECRET.encode(), ["HS256", "HS384"])
    assert suited(key) == []


def test_a_certificate_is_its_key() -> None:
    certificate = trustme.CA().issue_cert("a").cert_chain_pems[0].bytes().decode()
    assert suited(load_public_key(certificate))


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP256K1()),
        dsa.generate_private_key(2048),
    ],
    ids=["short", "curve", "dsa"],
)
def test_weak_and_strange_keys_are_refused(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey,
) -> None:
    text = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(ValueError, match="expected a key of RSA"):
        public_key(text)


def test_nothing_is_wrong() -> None:
    assert key_mistake("secret", SECRET, None) == ""
    assert key_mistake("key", pem(KEYS["RS256"]), ["PS512"]) == ""
    assert key_mistake("jwks", "", ["ES256", "RS512"]) == ""
