from __future__ import annotations

import json

import pytest

from gateway.core.problem import problem


def test_body_and_headers_of_a_problem() -> None:
    headers, body = problem(404, "no_route", "no route answers this path")
    assert json.loads(body) == {
        "title": "Not Found",
        "status": 404,
        "code": "no_route",
        "detail": "no route answers this path",
    }
    assert dict(headers) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(body)).encode(),
        b"cache-control": b"no-store",
    }


def test_extra_headers_come_last() -> None:
    headers, _ = problem(405, "method_not_allowed", "only GET", ((b"allow", b"GET"),))
    assert headers[-1] == (b"allow", b"GET")


@pytest.mark.parametrize(("status", "title"), [(499, "Client Error"), (599, "Server Error"), (299, "Error")])
def test_a_status_without_a_registered_phrase_has_a_title_all_the_same(status: int, title: str) -> None:
    assert json.loads(problem(status, "x", "y")[1])["title"] == title


def test_text_beyond_ascii_is_escaped_and_counted_in_bytes() -> None:
    headers, body = problem(400, "x", 'quote " and \u2028 and é')
    assert body.isascii()
    assert json.loads(body)["detail"] == 'quote " and \u2028 and é'
    assert dict(headers)[b"content-length"] == b"%d" % len(body)


def test_further_members() -> None:
    _, body = problem(422, "x", "y", more={"errors": [1]})
    assert json.loads(body)["errors"] == [1]
