from __future__ import annotations

import pytest

from gateway.core.writes import SELF, parent, succeeded, touched


@pytest.mark.parametrize(
    ("path", "above"),
    [
        (b"/api/shirts/2", b"/api/shirts"),
        (b"/api/shirts", b"/api"),
        (b"/api", None),
        (b"/", None),
        (b"", None),
        (b"*", None),
        (b"/api/shirts/2/", b"/api/shirts/"),
        (b"/api/", None),
        (b"/api/a%2Fb", b"/api"),
        (b"//x", b"/"),
    ],
)
def test_the_collection_above(path: bytes, above: bytes | None) -> None:
    assert parent(path) == above


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299, 302, 303])
def test_done(status: int) -> None:
    assert succeeded(status)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 304, 307, 308, 400, 401, 404, 409, 412, 499, 500, 502, 504])
def test_not_done(status: int) -> None:
    assert not succeeded(status)


def test_without_rules_it_is_the_path_and_the_one_above() -> None:
    assert list(touched(None, b"/api/shirts/2", {})) == [b"/api/shirts/2", b"/api/shirts"]
    assert list(touched(None, b"/api", {})) == [b"/api"]


def test_rules() -> None:
    rules = (SELF, "/api/shirts", "/api/shops/{shop}/shirts/{id}", "/caf\u00e9/x y/")
    assert list(touched(rules, b"/a%20b", {"shop": "a/b", "id": "\u00fc?#"})) == [
        b"/a%20b",
        b"/api/shirts",
        b"/api/shops/a%2Fb/shirts/%C3%BC%3F%23",
        b"/caf%C3%A9/x%20y/",
    ]


def test_no_rules_at_all() -> None:
    assert list(touched((), b"/api/shirts/2", {})) == []
