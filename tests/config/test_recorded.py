from __future__ import annotations

import json

import pytest

from gateway.config.recorded import RecordedTest, compiled, recordings_follow_live_routes
from gateway.config.tree import Tree, Value


def test_a_test_compiles() -> None:
    test = RecordedTest.model_validate(
        {
            "name": "n",
            "url": "/a",
            "claims": {"sub": "ada"},
            "steps": [
                {"answer": {"status": 201, "headers": {"ETag": "x"}, "body": [None]}, "events": [{"type": "gap"}]},
                {"answer": {"text": "x", "headers": {"Content-Type": "text/csv"}}},
                {"answer": {"body": None}, "events": [{"type": "snapshot", "data": None}]},
                {"answer": {"status": 304}},
                {"answer": "none"},
            ],
        }
    )
    first, second, third, fourth, fifth = compiled(test).steps
    assert first.answer is not None
    assert first.answer.headers == ((b"content-type", b"application/json"), (b"etag", b"x"))
    assert json.loads(first.answer.body) == [None]
    assert not first.events[0].exact
    assert second.answer is not None
    assert (second.answer.headers, second.answer.body) == (((b"content-type", b"text/csv"),), b"x")
    assert third.answer is not None
    assert third.answer.body == b"null"
    assert third.events[0].exact
    assert fourth.answer is not None
    assert fourth.answer.body == b""
    assert fifth.answer is None


@pytest.mark.parametrize(
    ("url", "live"), [("/a", True), ("http://h/a?x", True), ("/b", False), ("/c", False), ("/../a", False)]
)
def test_urls_are_those_of_live_routes(url: str, live: bool) -> None:
    routes: list[Value] = [{"path": "/a", "live": {}}, {"path": "/b"}, {"path": "x"}]
    tree = Tree(file="f", value={"routes": routes, "tests": [{"url": url}, {"url": 3}, 4]})
    found = list(recordings_follow_live_routes(tree))
    assert found == ([] if live else [(("tests", 0, "url"), "no live route answers this URL")])
