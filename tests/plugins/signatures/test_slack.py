"""Slack: the example of its documentation, and its question."""

from __future__ import annotations

import pytest

from gateway.plugin import Delivery, Handshaking, Json, Signature
from gateway.testing.signature import SignatureContract
from gateway_plugins.signatures.slack import plugin
from tests.plugins.signatures.signed import BODY, NOW, delivery, mac, made, wrong

# https://api.slack.com/authentication/verifying-requests-from-slack
SECRET, AT = "8f742231b10e8888abcd99yyyzzz85a5", 1531420618
EXAMPLE = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


class TestContract(SignatureContract):
    @pytest.fixture
    def signature(self) -> Signature:
        return made(plugin, secret=SECRET)

    @pytest.fixture
    def good(self) -> Delivery:
        signature = mac(SECRET.encode(), f"v0:{NOW}:".encode() + BODY)
        return delivery({"X-Slack-Signature": f"v0={signature}", "X-Slack-Request-Timestamp": str(NOW)})

    @pytest.fixture
    def secrets(self) -> list[bytes]:
        return [SECRET.encode()]


def test_the_example_of_slacks_documentation() -> None:
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    example = delivery({"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": str(AT)}, EXAMPLE)
    assert made(plugin, AT + 3, secret=SECRET).verify(example) == 0
    assert wrong(made(plugin, AT + 301, secret=SECRET), example) == "stale"


def test_the_question_is_answered_with_its_challenge() -> None:
    slack = made(plugin, secret=SECRET)
    assert isinstance(slack, Handshaking)
    assert slack.handshake({"type": "url_verification", "token": "x", "challenge": "3eZ"}) == {"challenge": "3eZ"}
    others: tuple[Json, ...] = (
        {"type": "event_callback", "challenge": "3eZ"},
        {"type": "url_verification"},
        [],
        "url_verification",
    )
    assert [slack.handshake(body) for body in others] == [None] * len(others)
