from __future__ import annotations

from gateway.core.http import Request, header


def test_headers_are_found_in_any_case_and_the_first_wins() -> None:
    headers = [(b"X-A", b"1"), (b"x-a", b"2"), (b"X-B", b"")]
    assert header(headers, b"x-a") == b"1"
    assert header(headers, b"x-b") == b""
    assert header(headers, b"x-c") is None
    request = Request(kind="http", method="GET", target=b"/", headers=tuple(headers), params={}, options={})
    assert request.header(b"x-a") == b"1"
