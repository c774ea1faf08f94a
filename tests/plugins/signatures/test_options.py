"""Secrets and tolerances as operators write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway_plugins.signatures.options import TimedOptions, from_base64, plain


@pytest.mark.parametrize(
    ("secret", "wanted"),
    [("one-secret", [b"one-secret"]), (["new-secret", "gänse-öl"], [b"new-secret", "gänse-öl".encode()])],
)
def test_one_secret_or_several(secret: object, wanted: list[bytes]) -> None:
    options = TimedOptions.model_validate({"secret": secret})
    assert plain(options.secret) == wanted
    assert options.tolerance == 300
    assert options.model_dump(mode="json") == {"secret": ["***"] * len(wanted), "tolerance": "5m"}
    assert not any(text.decode() in repr(options) for text in wanted)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "Field required"),
        ({"secret": []}, "at least one"),
        ({"secret": ""}, "is empty"),
        ({"secret": "seven-7"}, "at least 8 characters"),
        ({"secret": ["long-enough", "short"]}, "at least 8 characters"),
        ({"secret": ["long-enough", "long-enough"]}, "twice"),
        ({"secret": [f"secret-{index}" for index in range(6)]}, "more than 5"),
        ({"secret": 12345678}, "list"),
        ({"secret": "long-enough", "tolerance": "0s"}, "from 1s to 1d"),
        ({"secret": "long-enough", "tolerance": "2d"}, "from 1s to 1d"),
        ({"secret": "long-enough", "tolerance": 300}, "expected a duration"),
    ],
)
def test_mistakes_show_no_secret(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError) as error:
        TimedOptions.model_validate(options)
    assert why in str(error.value)
    assert "enough" not in str(error.value)
    assert "seven" not in str(error.value)


def test_keys_in_base64() -> None:
    assert from_base64("c2VjcmV0LWtleQ==") == b"secret-key"
    for text in ("c2VjcmV0LWtleQ", "c2VjcmV0\nLWtleQ==", "ä", "c2Vj", ""):
        with pytest.raises(ValueError, match="expected base64") as error:
            from_base64(text)
        assert not text or text not in str(error.value)
