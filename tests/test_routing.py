from __future__ import annotations

import base64

import pytest

from gateway.core.asgi import Scope
from gateway.core.route import RouteTable, parse_template
from gateway.core.settings import ChannelSettings, LiveSettings, PluginUse, Route, SessionSettings
from gateway.errors import ClientError
from gateway.plugin import Options
from gateway.routing import granted, links, matched, may_show_it_later, token_as_header

PAGE = b"https://app.example"
LIVE = LiveSettings(source=PluginUse(name="poll", options=Options()), origins=(PAGE.decode(),))
CHANNEL = ChannelSettings(name="news", publish=True, origins=(PAGE.decode(),))
TABLE = RouteTable(
    [
        Route(name="here", path=parse_template("/things/{id}"), host="here.example", upstream="shop"),
        Route(name="news", path=parse_template("/news"), channel=CHANNEL),
        Route(name="live", path=parse_template("/live"), upstream="shop", live=LIVE),
        Route(name="rest", path=parse_template("/rest"), upstream="shop"),
    ]
)


def test_a_path_that_a_server_has_decoded_is_encoded_again() -> None:
    scope: Scope = {"path": "/things/a b", "headers": [(b"host", b"here.example")]}
    route, params = matched(TABLE, scope, "GET")
    assert (route.name, dict(params), scope["raw_path"]) == ("here", {"id": "a b"}, b"/things/a%20b")


def test_where_there_is_no_route() -> None:
    with pytest.raises(ClientError) as error:
        matched(TABLE, {"raw_path": b"/things/1", "headers": [(b"host", b"there.example")]}, "GET")
    assert error.value.status == 404


@pytest.mark.parametrize(
    ("path", "origin", "method", "methods"),
    [
        (b"/news", PAGE, "POST", b"GET, POST"),
        (b"/news", b"https://evil.example", "POST", None),
        (b"/live", PAGE, "GET", b"GET"),
        (b"/live", PAGE, "POST", None),  # the backend's to say
        (b"/rest", PAGE, "GET", None),
        (b"/nowhere", PAGE, "GET", None),
    ],
)
def test_which_pages_may_ask(path: bytes, origin: bytes, method: str, methods: bytes | None) -> None:
    told = granted(TABLE, {"raw_path": path, "headers": [(b"origin", origin)]}, method)
    assert (dict(told)[b"access-control-allow-methods"] if told is not None else None) == methods


def test_nothing_is_linked_where_nothing_streams() -> None:
    assert links([]) == []


@pytest.mark.parametrize(
    ("seconds", "kind", "code", "later"),
    [
        (5.0, "websocket", "unauthenticated", True),
        (None, "websocket", "unauthenticated", False),
        (5.0, "http", "unauthenticated", False),
        (5.0, "websocket", "bad_token", False),
    ],
)
def test_who_may_show_a_token_later(seconds: float | None, kind: str, code: str, later: bool) -> None:
    route = Route(name="live", path=parse_template("/live"), session=SessionSettings(auth_timeout=seconds))
    assert may_show_it_later({"type": kind}, route, ClientError(401, code, "no")) is later


def test_a_token_among_the_subprotocols_is_a_header() -> None:
    bearer = "bearer." + base64.urlsafe_b64encode(b"abc").decode().rstrip("=")
    scope: Scope = {"headers": [], "subprotocols": ["tidegate.json.v1", bearer]}
    token_as_header(scope)
    assert scope == {"headers": [(b"authorization", b"Bearer abc")], "subprotocols": ["tidegate.json.v1"]}


def test_a_header_counts_before_a_subprotocol() -> None:
    bearer = "bearer." + base64.urlsafe_b64encode(b"abc").decode().rstrip("=")
    scope: Scope = {"headers": [(b"authorization", b"Bearer own")], "subprotocols": ["tidegate.json.v1", bearer]}
    token_as_header(scope)
    assert scope["headers"] == [(b"authorization", b"Bearer own")]
