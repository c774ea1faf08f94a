from __future__ import annotations

from gateway.errors import (
    ClientError,
    ConfigError,
    Problem,
    TidegateError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)


def test_upstream_errors_know_what_a_client_is_answered() -> None:
    assert {error.code: error.status for error in (UpstreamUnavailable, UpstreamTimeout, UpstreamProtocolError)} == {
        "upstream_unavailable": 502,
        "upstream_timeout": 504,
        "upstream_protocol": 502,
    }


def test_everything_raised_on_purpose_has_one_base() -> None:
    for error in (ClientError(400, "x", "y"), UpstreamError("x"), ConfigError([])):
        assert isinstance(error, TidegateError)


def test_a_client_error_carries_its_answer() -> None:
    error = ClientError(429, "too_many", "try later", close_code=4429).with_headers((b"retry-after", b"1"))
    assert (str(error), error.status, error.close_code) == ("try later", 429, 4429)
    assert error.headers == ((b"retry-after", b"1"),)


def test_a_close_code_says_what_the_status_would_have() -> None:
    codes = {status: ClientError(status, "x", "y").close_code for status in (400, 401, 403, 404, 405, 410, 429, 503)}
    assert codes == {
        400: 1008, 401: 4401, 403: 4403, 404: 4404, 405: 1008, 410: 4404, 429: 4429, 503: 1012,
    }  # fmt: skip
    assert ClientError(400, "x", "y", close_code=4400).close_code == 4400


def test_problems_come_in_the_order_of_the_file() -> None:
    late = Problem("g.yaml", 9, 1, "routes[0]", "unknown key 'x'")
    early = Problem("g.yaml", 2, 3, "", "duplicate key 'y'")
    error = ConfigError([late, early])
    assert error.problems == [early, late]
    assert str(error) == "g.yaml:2:3: duplicate key 'y'\ng.yaml:9:1: routes[0]: unknown key 'x'"
