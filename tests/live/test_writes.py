"""What a write that was done asks to be looked at."""

from __future__ import annotations

import pytest

from gateway.core.route import Match, RouteTable, parse_template
from gateway.core.settings import LiveSettings, PluginUse, Route
from gateway.core.stats import Stats
from gateway.live.writes import Writes

LIVE = LiveSettings(source=PluginUse(name="", options=None))


def route(path: str, *refresh: str, live: bool = False, host: str | None = None, name: str = "") -> Route:
    return Route(
        name=name or path,
        path=parse_template(path),
        upstream="shop",
        host=host,
        live=LIVE if live else None,
        refresh_on_write=refresh or None,
    )


class Told:
    """Channels that are followed at some paths."""

    def __init__(self, *routes: Route, followed: int = 1) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.gone: list[bool] = []
        self.stats = Stats()
        self.table = RouteTable(routes)
        self._followed = followed
        self.announced = Writes(self.table, self._refresh, self.stats, hosts=[one.host for one in routes]).announced
        self._writes = Writes(self.table, self._refresh, self.stats)

    def _refresh(self, name: str, path: bytes, gone: bool) -> int:
        self.asked.append((name, path))
        self.gone.append(gone)
        return self._followed

    def write(self, path: bytes, host: bytes = b"shop", method: str = "POST") -> list[tuple[str, bytes]]:
        match = self.table.match(method, path, host)
        assert isinstance(match, Match)
        self.asked.clear()
        self._writes.done({"method": method, "raw_path": path, "headers": [(b"host", host)]}, match.route)
        return self.asked


def test_the_path_and_its_collection_where_they_are_live() -> None:
    told = Told(route("/api/shirts", live=True), route("/api/shirts/{id}", live=True), route("/**"))
    assert told.write(b"/api/shirts/2") == [("/api/shirts/{id}", b"/api/shirts/2"), ("/api/shirts", b"/api/shirts")]
    assert told.write(b"/api/shirts") == [("/api/shirts", b"/api/shirts")]
    assert told.write(b"/api/shirts/2/buy") == [("/api/shirts/{id}", b"/api/shirts/2")]
    assert told.write(b"/api/other") == []


def test_what_was_deleted_is_said_to_be_gone() -> None:
    told = Told(route("/api/shirts", live=True), route("/**"))
    told.write(b"/api/shirts/2", method="PATCH")
    told.write(b"/api/shirts/2", method="DELETE")
    assert told.gone == [False, True]


def test_the_route_that_answers_reads_decides() -> None:
    """Writes may have a route of their own, and another host another API."""
    told = Told(
        Route(name="w", path=parse_template("/x"), upstream="a", methods=frozenset({"POST"})),
        route("/x", live=True, host="a", name="a"),
        route("/x", live=True, host="b", name="b"),
    )
    assert told.write(b"/x", b"a") == [("a", b"/x")]
    assert told.write(b"/x", b"b:8080") == [("b", b"/x")]
    assert told.write(b"/x", b"c") == []


def test_what_the_route_names() -> None:
    told = Told(
        route("/api/shops/{shop}/sell/{id}", "/api/shirts/{id}", "/api/shirts", "self", "/api/shirts"),
        route("/api/shirts", live=True),
        route("/api/shirts/{id}", live=True),
    )
    assert told.write(b"/api/shops/1/sell/a%2Fb") == [
        ("/api/shirts/{id}", b"/api/shirts/a%2Fb"),
        ("/api/shirts", b"/api/shirts"),
    ]


def test_a_parameter_that_makes_dot_segments_reaches_nothing() -> None:
    told = Told(route("/buy/{id}", "/api/{id}"), route("/api/{id}", live=True))
    told._writes.done({"method": "POST", "raw_path": b"/buy/x", "headers": []}, route("/buy/{id}", "/api/{id}"))
    assert told.asked == [("/api/{id}", b"/api/x")]
    odd = Route(name="odd", path=parse_template("/buy/{id}"), upstream="a", refresh_on_write=("/api/..",))
    told._writes.done({"method": "POST", "raw_path": b"/buy/x", "headers": []}, odd)
    assert len(told.asked) == 1


@pytest.mark.parametrize(("followed", "result"), [(3, "asked"), (0, "unfollowed")])
def test_it_is_counted_by_what_was_read(followed: int, result: str) -> None:
    told = Told(route("/api/shirts", live=True), route("/**"), followed=followed)
    told.write(b"/api/shirts")
    assert told.stats.routes["/api/shirts"].refreshes == {result: 1}
    assert not told.stats.routes["/**"].refreshes


def test_what_a_webhook_announces_is_looked_at_under_every_host() -> None:
    told = Told(
        route("/api/a", live=True, name="one", host="one.example"),
        route("/api/a", live=True, name="two", host="two.example"),
        route("/api/a", live=True, name="rest"),
        route("/api/b"),
        route("/api/{id}", live=True),
    )
    assert told.announced(b"/api/a") == 3
    assert sorted(told.asked) == [("one", b"/api/a"), ("rest", b"/api/a"), ("two", b"/api/a")]
    assert told.gone == [True] * 3
    told.asked.clear()
    assert told.announced(b"/api/7") == 1
    assert told.asked == [("/api/{id}", b"/api/7")]
    assert told.stats.routes["/api/{id}"].refreshes == {"asked": 1}


def test_what_no_live_route_is_at_cannot_be_announced() -> None:
    told = Told(route("/api/b"), route("/api/{id}", live=True), followed=0)
    assert [told.announced(path) for path in (b"/api/b", b"/api/%2E%2E", b"/other", b"/api/7/x")] == [None] * 4
    assert told.announced(b"/api/7") == 0
    assert told.stats.routes["/api/{id}"].refreshes == {"unfollowed": 1}
