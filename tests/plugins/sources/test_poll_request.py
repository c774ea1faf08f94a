from __future__ import annotations

import pytest

from gateway_plugins.sources.poll_request import Asking


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"method": "POST"}, "POST needs body"),
        ({"method": "POST", "body": ""}, "POST needs body"),
        ({"body": "{}"}, "body needs method: POST"),
        ({"method": "PUT", "body": "{}"}, "method"),
        ({"method": "POST", "body": "{}", "content_type": "json\r\nx: y"}, "expected a media type"),
    ],
)
def test_requests_that_make_no_sense(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Asking.model_validate(value)


def test_bodies_as_they_are_sent() -> None:
    assert Asking().payload == b""
    assert Asking(method="POST", body="{ }").payload == b"{ }"
    assert Asking(method="POST", body={"q": [1]}).payload == b'{"q":[1]}'
