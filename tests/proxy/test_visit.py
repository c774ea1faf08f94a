from __future__ import annotations

from gateway.core.stats import RouteStats
from gateway.proxy.visit import Visit
from tests.proxy.passing import ROUTE
from tests.proxy.played import Client
from tests.proxy.test_inbound import scope_of


def test_it_says_what_is_asked_and_where_it_counts() -> None:
    client, scope, counted = Client(), scope_of(), RouteStats()
    visit = Visit(scope, client.receive, client.send, ROUTE, counted)
    assert (visit.inbound.method, visit.scope, visit.route) == ("POST", scope, ROUTE)
    assert visit.counted is counted
