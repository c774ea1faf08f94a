"""The source contract, as far as it holds for every installed source without a backend."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.plugin import Refused, Request, Source
from tests.plugin.installed import make, names


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request(kind="http", method="GET", target=b"/x", headers=headers, params={}, options={})


@pytest.mark.parametrize("name", names("sources"))
def test_equal_requests_share_and_credentials_are_not_in_the_key(name: str) -> None:
    source = cast("Source", make("sources", name))
    mine, same, other = (source.share(request((b"authorization", token))) for token in (b"s3cret", b"s3cret", b"o"))
    assert mine == same
    assert b"s3cret" not in mine.key
    assert (mine.key == other.key) == (mine.headers == other.headers), "what goes upstream must be in the key"


def test_a_refusal_tells_the_backends_status_alone() -> None:
    refused = Refused(401, [(b"www-authenticate", b"Basic")])
    assert (refused.status, str(refused)) == (401, "the backend answered 401")
    assert Refused(404).headers == []
