"""Names of routes, and routes that an earlier one hides; golden files `routes*.yaml` have the sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.routes import all_are_reached, implied, names_differ, route_names, routes
from gateway.config.tree import Tree, Value, show
from gateway.core.route import decode_path, parse_template


def tree(*given: Value) -> Tree:
    return Tree(file="f", value={"routes": list(given)})


def test_what_is_no_route_is_left_to_the_model() -> None:
    odd = tree("x", None, {"path": 3}, {"path": "/a", "methods": "GET", "host": 3, "name": []})
    assert [path for path, _ in routes(odd)] == [("routes", 2), ("routes", 3)]
    assert list(names_differ(odd)) == []
    assert list(all_are_reached(odd)) == []


def test_get_implies_head() -> None:
    assert implied(["GET"]) == {"GET", "HEAD"}
    assert implied(["POST"]) == {"POST"}
    assert implied([]) == set()


def test_a_route_is_called_as_its_path_unless_others_share_it() -> None:
    assert route_names(
        [(None, "/a", ["GET"], None), ("b", "/b", [], None), (None, "/c", ["GET"], None), (None, "/c", [], "h.example")]
    ) == ["/a", "b", "GET /c", "h.example/c"]


def test_given_names_give_way_to_nobody_and_default_names_to_given_ones() -> None:
    one: Value = {"path": "/a", "name": "x"}
    other: Value = {"path": "/b", "name": "x"}
    assert [show(path) for path, _ in names_differ(tree(one, other))] == ["routes[1].name"]
    assert [show(path) for path, _ in names_differ(tree({"path": "/a"}, {"path": "/b", "name": "/a"}))] == [
        "routes[1].name"
    ]


SEGMENT = st.sampled_from(["a", "b", "{x}", "*"])
TEMPLATE = st.tuples(st.lists(SEGMENT, max_size=2), st.sampled_from(["", "/**"])).map(
    lambda parts: ("".join(f"/{part}" for part in parts[0]) + parts[1]) or "/"
)
ROUTE = st.fixed_dictionaries(
    {"path": TEMPLATE.filter(lambda text: text.count("{x}") < 2)},
    optional={
        "methods": st.lists(st.sampled_from(["GET", "PUT"]), min_size=1, max_size=2, unique=True),
        "host": st.sampled_from(["h", "i"]),
    },
)


@given(st.lists(ROUTE, min_size=1, max_size=5))
def test_a_hidden_route_answers_nothing(given_routes: list[dict[str, Value]]) -> None:
    found = tree(*given_routes)
    hidden = {path[1] for path, _ in all_are_reached(found)}
    for path in ("/", "/a", "/b", "/a/b", "/b/a", "/a/", "/a/b/c"):
        for method in ("GET", "HEAD", "PUT", "POST"):
            for host in ("h", "i", "j"):
                assert _first(given_routes, path, method, host) not in hidden


def _first(given_routes: list[dict[str, Value]], path: str, method: str, host: str) -> int:
    for index, route in enumerate(given_routes):
        methods = route.get("methods", [])
        assert isinstance(methods, list)
        allowed = implied([str(name) for name in methods])
        fits = parse_template(str(route["path"])).fit(decode_path(path.encode())) is not None
        if fits and (not allowed or method in allowed) and route.get("host") in (None, host):
            return index
    return -1
