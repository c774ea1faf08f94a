"""Mistakes between values; golden files have the sentences, this that odd input breaks no check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks import check
from gateway.config.plugins import Model, model
from gateway.config.tree import Tree, Value, show
from gateway.errors import Problem

MODEL = model()


def told(value: dict[str, Value], installed: Model = MODEL) -> list[str]:
    problems: list[Problem] = check(Tree(file="f", value={"broker": {"memory": {}}, **value}), installed)
    return [problem.path for problem in problems]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("[::]:80", "[::1]:80", True),
        ("[::]:80", "127.0.0.1:80", False),
        ("0.0.0.0:80", "[::1]:80", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("nonsense", "nonsense", False),
    ],
)
def test_listeners_clash(one: str, other: str, clash: bool) -> None:
    assert told({"listen": [one, {"address": other}]}) == (["listen[1].address"] if clash else [])


def test_the_admin_listener_counts() -> None:
    assert told({"listen": ["127.0.0.1:9090"]}) == ["listen[0]"]
    assert told({"listen": ["127.0.0.1:9090"], "admin": "off"}) == []
    assert told({"listen": ["127.0.0.1:9090"], "admin": {"listen": "127.0.0.1:9090"}}) == ["admin.listen"]


def test_an_empty_key_is_told_wherever_it_is_but_for_a_plugins_name() -> None:
    live: Value = {"poll": None, "items": None, "log": {"age": None}}
    routes: Value = [{"path": "/a", "upstream": None, "live": live}]
    assert told({"access_log": None, "routes": routes, "broker": {"memory": None}}) == [
        "access_log",
        "routes[0].upstream",
        "routes[0].live.items",
        "routes[0].live.log.age",
    ]


KEYS = (
    "routes upstreams listen admin broker live path methods modes tls pool url items max idle cert key ca address host"
)
NAMES = st.sampled_from([*KEYS.split(), "name", "upstream", "poll", "memory"])
ANY: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "/a", "items", "127.0.0.1:80", "http://a", "off"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(NAMES, ANY, max_size=5))
def test_whatever_was_written_checks_go_on(value: dict[str, Value]) -> None:
    for path in told(value):
        assert path == "" or path[0].isalpha()
    assert show(()) == ""
