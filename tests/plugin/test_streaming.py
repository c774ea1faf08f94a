"""How a stream is served is seen in the tests of the transports that use it."""

from __future__ import annotations

import pytest

from gateway.plugin import Request, stream_wish


@pytest.mark.parametrize(
    ("kind", "method", "accept", "wanted"),
    [
        ("http", "GET", b"a/b", 1.0),
        ("http", "HEAD", b"a/b;q=0.5", 0.5),
        ("http", "GET", b"*/*", 0.0),
        ("http", "POST", b"a/b", 0.0),
        ("websocket", "GET", b"a/b", 0.0),
    ],
)
def test_who_wants_a_stream(kind: str, method: str, accept: bytes, wanted: float) -> None:
    request = Request(kind=kind, method=method, target=b"/", headers=((b"accept", accept),), params={}, options={})
    assert stream_wish(request, b"a/b") == wanted
