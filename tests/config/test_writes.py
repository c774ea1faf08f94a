from __future__ import annotations

import pytest

from gateway.config.tree import Tree, Value
from gateway.config.writes import refreshes_reach_live_routes


def found(*routes: Value) -> list[tuple[tuple[str | int, ...], str]]:
    return list(refreshes_reach_live_routes(Tree(file="f", value={"routes": list(routes)})))


@pytest.mark.parametrize(
    ("live", "refresh"),
    [
        ("/a", "/a"),
        ("/a/{x}", "/a/b"),
        ("/a/b", "/a/{id}"),
        ("/a/{x}", "/a/{id}"),
        ("/a/**", "/a/b/{id}"),
        ("/a/**", "/a"),
        ("/**", "/x"),
    ],
)
def test_paths_that_a_live_route_answers(live: str, refresh: str) -> None:
    assert found({"path": live, "live": {}}, {"path": "/w/{id}", "refresh_on_write": [refresh, "self"]}) == []


@pytest.mark.parametrize(("live", "refresh"), [("/a", "/b"), ("/a/{x}", "/a"), ("/a", "/a/b"), ("/a/**", "/b/c")])
def test_paths_that_none_answers(live: str, refresh: str) -> None:
    ((path, message),) = found({"path": live, "live": {}}, {"path": "/w", "refresh_on_write": [refresh]})
    assert path == ("routes", 1, "refresh_on_write", 0)
    assert "no live route" in message


def test_parameters_are_the_routes_own() -> None:
    ((path, message),) = found({"path": "/a/{x}", "live": {}, "refresh_on_write": ["/a/{x}", "/a/{y}"]})
    assert path == ("routes", 0, "refresh_on_write", 1)
    assert message == "the route's path has no parameter {y}"


@pytest.mark.parametrize("rule", [3, None, "x", "/a/{b", "/**/a"])
def test_what_is_no_path_is_told_elsewhere(rule: Value) -> None:
    assert found({"path": "/w", "refresh_on_write": [rule]}) == []
