"""Questions before webhooks, and what is answered."""

from __future__ import annotations

import json

import pytest

from gateway.core.challenge import answered, echo
from gateway.core.settings import Challenge
from gateway.errors import ClientError

META = Challenge(param="hub.challenge", where=(("hub.mode", "subscribe"), ("hub.verify_token", "a-s\u00e9cret")))
GOOD = b"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=a-s%C3%A9cret"


def test_the_text_of_the_question() -> None:
    assert echo(META, GOOD) == "1158201444"
    assert echo(Challenge(param="challenge"), b"challenge=a%20b+c%26&challenge=second") == "a b c&"


@pytest.mark.parametrize(
    "query",
    [b"", b"a=b", b"hub.challenge=", b"hub.challenge=" + b"x" * 2049, b"&".join([b"a=b"] * 200) + b"&" + GOOD],
    ids=range(5),
)
def test_what_is_no_question(query: bytes) -> None:
    assert echo(META, query) is None


@pytest.mark.parametrize(
    "query",
    [
        GOOD.replace(b"subscribe", b"unsubscribe"),
        GOOD.replace(b"%A9", b"%A8"),
        GOOD.replace(b"a-s%C3%A9cret", b""),
        b"hub.mode=subscribe&hub.challenge=1",
        GOOD.replace(b"&hub.verify_token", b"&hub.verify_token=other&hub.verify_token"),
    ],
)
def test_a_question_of_a_stranger(query: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        echo(META, query)
    assert (caught.value.status, caught.value.code) == (403, "bad_challenge")
    assert "cret" not in caught.value.detail


def test_nothing_that_a_browser_takes_for_a_page() -> None:
    headers, body = answered(Challenge(param="challenge"), "<script>\u00e9\udc80")
    said = dict(headers)
    assert (said[b"content-type"], said[b"x-content-type-options"]) == (b"text/plain; charset=utf-8", b"nosniff")
    assert body == "<script>\u00e9?".encode()
    assert int(said[b"content-length"]) == len(body)


def test_as_json() -> None:
    headers, body = answered(Challenge(param="hub.challenge", answer="json"), "15f7")
    assert (dict(headers)[b"content-type"], json.loads(body)) == (b"application/json", {"hub.challenge": "15f7"})


def test_what_is_expected_is_not_shown() -> None:
    assert "cret" not in repr(META)
