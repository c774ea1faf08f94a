"""What a source's options are told of their route, and where what they find wrong is shown."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.placed import misplaced
from gateway.config.plugins import model
from gateway.config.tree import Tree, Value
from gateway.plugin import Place
from gateway_plugins.sources.poll_options import PollOptions

CONFIG: dict[str, Value] = {
    "upstreams": {"a": {"url": "http://a"}, "b": {"url": "http://b", "host": "upstream"}},
    "auth": {
        "keys": {"api_key": {"keys_file": "keys"}, "headers": {"X-User": "${claims.sub}"}},
        "plain": {"api_key": {"keys_file": "keys"}},
    },
    "routes": [
        {"path": "/x", "session": {}},
        {"path": "/a/{id}", "upstream": "a", "auth": ["keys", "plain"], "live": {"poll": {}, "items": {"at": "data"}}},
        {"path": "/b", "upstream": "b", "auth": "plain", "live": {"poll": {}}},
    ],
}


def test_a_source_sees_its_route(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Place] = []

    def note(self: PollOptions, place: Place) -> Iterator[tuple[str, str]]:
        seen.append(place)
        yield "pages.first", "wrong"

    monkeypatch.setattr(PollOptions, "misplaced", note)
    found = list(misplaced(Tree(file="x", value=copy.deepcopy(CONFIG)), model().sources))
    assert found == [(("routes", index, "live", "poll", "pages", "first"), "wrong") for index in (1, 2)]
    one, other = seen
    assert (one.path, one.params, one.fixed, one.auth, one.own_host) == ("/a/{id}", ("id",), False, True, True)
    assert one.told == {"x-user"}
    assert one.items is not None
    assert one.items.at == "data"
    assert other == Place(path="/b", auth=True)


@pytest.mark.parametrize(
    "route",
    [
        {"path": "/a{", "upstream": "a", "live": {"poll": {}}},
        {"upstream": "a", "live": {"poll": {}}},
        {"path": "/a", "live": {"poll": {}}},
        {"path": "/a", "upstream": "none", "live": {"poll": {}}},
        {"path": "/a", "upstream": "a", "auth": "nobody", "live": {"poll": {}}},
        {"path": "/a", "upstream": "a", "live": {"poll": {"interval": 3}}},
        {"path": "/a", "upstream": "a", "live": {"poll": {}, "items": {"key": 3}}},
        {"path": "/a", "upstream": "a", "live": 3},
        3,
    ],
)
def test_a_route_that_is_wrong_itself_is_passed_over(monkeypatch: pytest.MonkeyPatch, route: Value) -> None:
    monkeypatch.setattr(PollOptions, "misplaced", lambda self, place: [("pages", place.path)])
    routes = CONFIG["routes"]
    assert isinstance(routes, list)
    value = copy.deepcopy({**CONFIG, "routes": [route, routes[2]]})
    found = list(misplaced(Tree(file="x", value=value), model().sources))
    assert found == [(("routes", 1, "live", "poll", "pages"), "/b")]
