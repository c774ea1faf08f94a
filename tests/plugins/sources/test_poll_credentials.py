"""Whose credentials polls are made with: what an operator may write, and what is sent."""

from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_credentials import Credentials, Service
from gateway_plugins.sources.poll_options import PollOptions


@pytest.mark.parametrize(
    ("value", "forwarded"),
    [
        ("forward", ["authorization", "cookie"]),
        ("none", []),
        ({"forward": ["X-Api-Key"]}, ["x-api-key"]),
        ({"forward": ["Authorization", "Cookie:SID"]}, ["authorization", "cookie:SID"]),
    ],
)
def test_what_is_forwarded(value: object, forwarded: list[str]) -> None:
    assert Credentials.model_validate(value).forward == forwarded


def test_the_gateways_own() -> None:
    service = {"basic": {"user": "gateway", "password": "geheim"}, "headers": {"X-Api-Key": "k"}}
    lines = Service.model_validate(service).lines()
    assert lines == [(b"x-api-key", b"k"), (b"authorization", b"Basic Z2F0ZXdheTpnZWhlaW0=")]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "expected forward or service"),
        ("all", "expected forward, none"),
        ({"forward": ["Host"]}, "belongs to the poll itself"),
        ({"forward": ["X-Key:"]}, "expected the name of a header"),
        ({"forward": ["cookie:"]}, "expected the name of a cookie"),
        ({"forward": ["cookie:a=b"]}, "expected the name of a cookie"),
        ({"forward": ["Cookie", "cookie:a"]}, "cookie is all of them"),
        ({"forward": ["Cookie"], "service": {"bearer": "a"}}, "two kinds of credentials"),
        ({"service": {}}, "expected bearer, basic, oauth2 or headers"),
        ({"service": {"bearer": "a\nb"}}, "characters that a header cannot"),
        ({"service": {"bearer": "a", "headers": {"Authorization": "b"}}}, "both Authorization"),
        (
            {
                "service": {
                    "bearer": "a",
                    "oauth2": {"token_url": "https://i/t", "client_id": "a", "client_secret": "b"},
                }
            },
            "bearer and",
        ),
    ],
)
def test_what_makes_no_sense(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PollOptions.model_validate({"credentials": value})
