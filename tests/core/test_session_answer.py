from __future__ import annotations

import pytest

from gateway.core.asgi import Headers
from gateway.core.session_answer import answer_headers


def test_names_are_in_lower_case_and_repeated_ones_have_a_list() -> None:
    given = [(b"ETag", b'"1"'), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"SET-COOKIE", b"c=\xe9")]
    assert answer_headers(given) == ({"etag": '"1"', "set-cookie": ["a=1", "b=2", "c=é"]}, False)


@pytest.mark.parametrize(
    ("kind", "encoded", "called_json"),
    [
        (b"application/json", [], True),
        (b"Application/JSON ; charset=utf-8", [], True),
        (b"application/problem+json", [], True),
        (b"application/jsonl", [], False),
        (b"text/plain", [], False),
        (b"application/json", [(b"Content-Encoding", b"gzip")], False),
        (b"application/json", [(b"Content-Type", b"text/html")], False),
    ],
)
def test_whether_a_body_is_called_json(kind: bytes, encoded: Headers, called_json: bool) -> None:
    assert answer_headers([(b"Content-Type", kind), *encoded])[1] is called_json


def test_of_an_answer_that_says_nothing() -> None:
    assert answer_headers([]) == ({}, False)
