"""The keys of webhooks, one by one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.webhook_keys import Dedupe, Publication, WebhookKeys


def test_an_id_alone_stands_for_dedupe() -> None:
    assert Dedupe.model_validate("${body.id}") == Dedupe(id="${body.id}", ttl="1d")  # type: ignore[arg-type]  # as written


def test_defaults() -> None:
    keys = WebhookKeys.model_validate({"verify": "none"})
    assert (keys.verify, keys.publish, keys.refresh, keys.max_body, keys.timeout) == ("none", [], None, 1024**2, 10)
    assert Publication(channel="a").data == "body"


@pytest.mark.parametrize(
    "more",
    [
        {"refresh": ["/a", "/a"]},
        {"refresh": ["/a/*"]},
        {"publish": [{"channel": "a..b"}]},
        {"max_body": "26MB"},
        {"max_body": "1B"},
        {"dedupe": "id"},
        {"when": "("},
        {"challenge": {}},
        {"challenge": {"param": "a b"}},
        {"challenge": {"param": "a", "where": {"a": "b"}}},
        {"challenge": {"param": "a", "where": {"b": ""}}},
        {"challenge": {"param": "a", "answer": "xml"}},
    ],
    ids=str,
)
def test_mistakes(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WebhookKeys.model_validate({"verify": "none", **more})
