"""Zoom's question, as its documentation has it."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from gateway.plugin import Handshaking, Json
from gateway_plugins.signatures.hmac import plugin
from gateway_plugins.signatures.question import zoom
from tests.plugins.signatures.signed import made

SECRET = b"a-secret-of-zoom"
ASKED: Json = {
    "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"},
    "event_ts": 1654503849680,
    "event": "endpoint.url_validation",
}


def test_the_token_comes_back_signed() -> None:
    signed = hmac.new(SECRET, b"qgg8vlvZRS6UYooatFL8Aw", hashlib.sha256).hexdigest()
    assert zoom(ASKED, SECRET) == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": signed}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"event": "meeting.started", "payload": {"plainToken": "a"}},
        {"event": "endpoint.url_validation"},
        {"event": "endpoint.url_validation", "payload": {"plainToken": 1}},
        {"event": "endpoint.url_validation", "payload": {"plainToken": ""}},
        {"event": "endpoint.url_validation", "payload": {"plainToken": "x" * 257}},
    ],
)
def test_what_is_no_question(body: Json) -> None:
    assert zoom(body, SECRET) is None


def test_only_where_it_is_said() -> None:
    secrets, header = [SECRET.decode(), "an-older-secret"], "x-zm-signature"
    assert not isinstance(made(plugin, secret=secrets, header=header), Handshaking)
    asked = made(plugin, secret=secrets, header=header, question="zoom")
    assert isinstance(asked, Handshaking)
    assert asked.handshake(ASKED) == zoom(ASKED, SECRET), "with the newest"
