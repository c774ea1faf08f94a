"""Options that make no sense together are told, each by its key; what makes sense is not."""

from __future__ import annotations

import pytest

from gateway.core.settings import Items
from gateway.plugin import Place
from gateway_plugins.sources.poll_fit import unfit
from gateway_plugins.sources.poll_options import PollOptions

HERE = Place(path="/things", items=Items(), auth=True)
FREE = {"credentials": "none", "always": True}
SINCE = {"param": "after", "from": "max:at"}


def found(options: object, place: Place = HERE) -> list[str]:
    return [key for key, _ in unfit(PollOptions.model_validate(options), place)]


def test_what_makes_sense() -> None:
    for options in (
        {},
        FREE,
        {"credentials": {"service": {"bearer": "x"}}, "always": True},
        {"share_by": ["claims.tenant"], "share_private": True},
        {"max_backoff": "5s", "interval": "5s"},
        {"interval": "10m"},
        {"conditional": {"ttl": "6s"}, "interval": "5s"},
        {"conditional": {"max_304": 3}, "pages": {"page": "p", "first": 0, "etag_of_all": True}},
        {"pages": {"stop_when_known": True, "full_every": "6s"}, "interval": "5s"},
        {"pages": {"field": "next", "cursor": "after"}, "since": SINCE},
        {"decode": "csv"},
    ):
        assert found(options) == [], options
    assert found({"decode": "xml"}, Place(path="/", items=Items(at="shop.shirt[]"))) == []
    assert found({"decode": "text"}, Place(path="/")) == []
    assert (
        found({"share_by": ["claims.x"], "credentials": "none"}, Place(path="/", auth=True, told=frozenset({"x"})))
        == []
    )


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (FREE, Place(path="/things/{id}", params=("id",), fixed=False)),
        ({"always": True}, HERE),
        (FREE, Place(path="/things", auth=True, told=frozenset({"x-user"}))),
        (FREE, Place(path="/things", own_host=True)),
    ],
)
def test_what_is_polled_for_nobody_has_to_be_known(options: object, place: Place) -> None:
    assert found(options, place) == ["always"]
    assert found({**options, "always": False}, place) == []  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"share_private": True}, "share_private"),
        ({"share_by": ["claims.tenant"], "credentials": "none"}, "share_by"),
        ({"interval": "1m", "max_backoff": "30s"}, "max_backoff"),
        ({"conditional": {"etag": False, "ttl": "1h"}}, "conditional.ttl"),
        ({"conditional": {"ttl": "5s"}, "interval": "5s"}, "conditional.ttl"),
        ({"conditional": {"etag": False, "max_304": 5}}, "conditional.max_304"),
        ({"pages": {"offset": "skip", "first": 0}}, "pages.first"),
        ({"pages": {"page": "p", "etag_of_all": True}, "conditional": {"etag": False}}, "pages.etag_of_all"),
        ({"pages": {"page": "after"}, "since": SINCE}, "pages.page"),
        ({"pages": {"offset": "after"}, "since": SINCE}, "pages.offset"),
        ({"interval": "5m", "since": SINCE}, "since.full_every"),
        ({"pages": {"stop_when_known": True}, "since": SINCE}, "pages.stop_when_known"),
        ({"pages": {"stop_when_known": True, "max": 1}}, "pages.stop_when_known"),
        ({"pages": {"stop_when_known": True}, "interval": "5m"}, "pages.full_every"),
        ({"pages": {"full_every": "1h"}}, "pages.full_every"),
        ({"decode": "text"}, "decode"),
        ({"decode": "xml"}, "decode"),
    ],
)
def test_options_that_make_no_sense_together(options: object, key: str) -> None:
    assert found(options) == [key]


def test_claims_are_of_clients_that_somebody_knows() -> None:
    assert found({"share_by": ["claims.tenant"]}, Place(path="/things")) == ["share_by"]


def test_a_header_has_one_origin() -> None:
    told = Place(path="/things", auth=True, told=frozenset({"x-user"}))
    assert found({"credentials": {"forward": ["X-User"]}}, told) == ["credentials"]
    assert found({"credentials": {"service": {"headers": {"X-User": "me"}}}}, told) == ["credentials"]
