from __future__ import annotations

import pytest

from gateway.core.cors import asks_for, preflight, sharing

APP = b"https://app.example"
ORIGINS = ("https://app.example",)


def test_a_page_of_a_named_origin_may_read_with_its_cookies() -> None:
    assert sharing([(b"Origin", APP)], ORIGINS) == [
        (b"access-control-allow-origin", APP),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"preference-applied, retry-after, www-authenticate"),
        (b"vary", b"origin"),
    ]


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"http://app.example", b"https://app.example:8443", b"null"]
)
def test_a_page_of_another_may_not(origin: bytes) -> None:
    assert sharing([(b"origin", origin)], ORIGINS) == [(b"vary", b"origin")]
    assert preflight([(b"origin", origin)], ORIGINS) is None


def test_all_may_read_what_needs_no_cookies() -> None:
    shared = dict(sharing([(b"origin", b"https://any.example")], ("*",)))
    assert shared[b"access-control-allow-origin"] == b"*"
    assert b"access-control-allow-credentials" not in shared
    assert b"access-control-allow-credentials" in dict(sharing([(b"origin", APP)], ("*", *ORIGINS)))


def test_nothing_is_said_where_nothing_is_shared_or_no_page_asks() -> None:
    assert sharing([(b"origin", APP)], ()) == []
    assert sharing([], ORIGINS) == [(b"vary", b"origin")]
    assert preflight([], ORIGINS) is None
    assert preflight([(b"origin", APP)], ()) is None


def test_a_preflight_is_granted_the_headers_that_it_names() -> None:
    granted = preflight([(b"origin", APP), (b"access-control-request-headers", b"last-event-id, prefer")], ORIGINS)
    assert granted is not None
    assert dict(granted) == {
        b"access-control-allow-origin": APP,
        b"access-control-allow-credentials": b"true",
        b"access-control-allow-headers": b"last-event-id, prefer",
        b"access-control-allow-methods": b"GET",
        b"access-control-max-age": b"600",
        b"vary": b"origin, access-control-request-method, access-control-request-headers",
    }


@pytest.mark.parametrize("names", [b"", b"a\rb", b"a: b", b"x" * 1001, b"\xe9"])
def test_what_is_no_list_of_names_is_not_repeated(names: bytes) -> None:
    granted = preflight([(b"origin", APP), (b"access-control-request-headers", names)], ORIGINS)
    assert granted is not None
    assert b"access-control-allow-headers" not in dict(granted)


@pytest.mark.parametrize(
    ("method", "wanted", "origin", "asks"),
    [
        ("OPTIONS", b"GET", APP, "GET"),
        ("OPTIONS", b"POST", APP, "POST"),
        ("OPTIONS", b"PUT", APP, None),
        ("OPTIONS", b"GET", None, None),
        ("OPTIONS", None, APP, None),
        ("GET", b"GET", APP, None),
    ],
)
def test_a_preflight(method: str, wanted: bytes | None, origin: bytes | None, asks: str | None) -> None:
    named = {b"access-control-request-method": wanted, b"origin": origin}
    headers = [(name, value) for name, value in named.items() if value is not None]
    assert asks_for({"method": method, "headers": headers}) == asks
    assert asks_for({"type": "websocket", "headers": headers}) is None


def test_a_preflight_is_granted_the_methods_that_there_are() -> None:
    granted = preflight([(b"origin", APP)], ORIGINS, b"GET, POST")
    assert granted is not None
    assert dict(granted)[b"access-control-allow-methods"] == b"GET, POST"
