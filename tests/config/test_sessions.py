from __future__ import annotations

from gateway.config.sessions import routes_have_one_answer, sessions_follow_live_routes
from gateway.config.tree import Tree, Value

LIVE: Value = {"path": "/api/{id}", "upstream": "a", "live": {}}


def tree(*routes: Value) -> Tree:
    made = Tree(file="f")
    made.value["routes"] = list(routes)
    return made


def test_a_route_has_an_upstream_or_sessions() -> None:
    wrong = tree({"path": "/a"}, {"path": "/b", "upstrem": "x"}, {"path": "/c", "session": {}, "upstream": "x"}, LIVE)
    assert [path for path, _ in routes_have_one_answer(wrong)] == [
        ("routes", 0, "upstream"),
        ("routes", 2, "upstream"),
    ]
    methods = tree(
        {"path": "/c", "session": {}, "methods": ["POST"]}, {"path": "/d", "session": {}, "methods": ["GET"]}
    )
    assert [path for path, _ in routes_have_one_answer(methods)] == [("routes", 0, "methods")]


def test_patterns_have_something_live_within() -> None:
    session: Value = {"path": "/live", "session": {"subscribe": ["/api/**", "/api/7", "/other", 5, "x"]}}
    found = list(sessions_follow_live_routes(tree(session, LIVE)))
    assert [path[-1] for path, _ in found] == [2]
