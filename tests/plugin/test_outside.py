from __future__ import annotations

import pytest

from gateway.plugin import origin_and_target, outside_url

EXAMPLE, RISK = "https://id.example.com/keys", "all would hear it"


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://id.example/keys", "https://id.example", b"/keys"),
        ("https://id.example:8443/k?v=1", "https://id.example:8443", b"/k?v=1"),
        ("https://id.example", "https://id.example", b"/"),
        ("http://127.0.0.1:1/k", "http://127.0.0.1:1", b"/k"),
        ("http://[::1]/k", "http://[::1]", b"/k"),
        ("http://localhost?a", "http://localhost", b"/?a"),
    ],
)
def test_good_urls(url: str, origin: str, target: bytes) -> None:
    assert outside_url(url, example=EXAMPLE, risk=RISK) == url
    assert origin_and_target(url) == (origin, target)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://id.example/keys", RISK),
        ("http://192.0.2.1/keys", RISK),
        ("ftp://id/k", f"expected a URL, as in {EXAMPLE}"),
        ("id.example", "expected a URL"),
        ("https://", "expected a URL"),
        ("https://u:p@id/k", "expected a URL"),
        ("https://id/k#x", "expected a URL"),
        ("https://i:x/", "its port is no port"),
    ],
)
def test_bad_urls(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        outside_url(url, example=EXAMPLE, risk=RISK)
