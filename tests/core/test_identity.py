from __future__ import annotations

import pytest

from gateway.core.identity import Identity


def test_nobody_can_change_it() -> None:
    claims = {"role": "staff"}
    identity = Identity(subject="ada", claims=claims)
    claims["role"] = "admin"
    assert identity.claims == {"role": "staff"}
    with pytest.raises(TypeError):
        identity.claims["role"] = "admin"  # type: ignore[index]


def test_what_is_printed_holds_no_claims_and_no_headers() -> None:
    identity = Identity(subject="ada", claims={"card": "4242"}, headers=((b"x-token", b"s3cret"),))
    assert repr(identity) == "<Identity 'ada'>"
