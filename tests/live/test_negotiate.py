from __future__ import annotations

import pytest

from gateway.core.http import Request
from gateway.core.position import Position
from gateway.core.settings import LiveSettings, PluginUse
from gateway.errors import ClientError
from gateway.live.negotiate import (
    check_options,
    check_origin,
    interval_of,
    mode_of,
    position_of,
    request_of,
    split_query,
    with_own_credentials,
)

LIVE = LiveSettings(source=PluginUse(name="poll", options=None), modes=("items", "snapshot"))


def request(kind: str = "http", headers: dict[str, str] | None = None, **options: str) -> Request:
    return Request(
        kind=kind,
        method="GET",
        target=b"/x",
        headers=tuple((name.encode(), value.encode()) for name, value in (headers or {}).items()),
        params={},
        options={f"live.{name}": value for name, value in options.items()},
    )


@pytest.mark.parametrize(
    ("query", "rest", "options"),
    [
        (b"", b"", {}),
        (b"a=1&b=%20&a=2", b"a=1&b=%20&a=2", {}),
        (b"live.mode=items", b"", {"live.mode": "items"}),
        (b"a=1&live.since=e.4&b=2", b"a=1&b=2", {"live.since": "e.4"}),
        (b"alive.x=1&live.x=a%20b+c", b"alive.x=1", {"live.x": "a b c"}),
        (b"&&live.mode=a&", b"&&", {"live.mode": "a"}),
    ],
)
def test_the_gateways_own_parameters_are_taken_out(query: bytes, rest: bytes, options: dict[str, str]) -> None:
    assert split_query(query) == (rest, options)


def test_the_rest_of_the_query_belongs_to_the_target() -> None:
    scope = {"type": "http", "method": "GET", "raw_path": b"/a%2Fb", "headers": []}
    assert request_of({**scope, "query_string": b"x=1&live.mode=items"}, {}).target == b"/a%2Fb?x=1"
    assert request_of({**scope, "query_string": b"live.mode=items"}, {}).target == b"/a%2Fb"


def test_the_position_comes_from_the_query_or_from_last_event_id() -> None:
    header = {"last-event-id": "e.2"}
    assert position_of(request()) is None
    assert position_of(request(headers={"last-event-id": ""})) is None
    assert position_of(request(headers=header)) == Position("e", 2)
    assert position_of(request(headers=header, since="e.9")) == Position("e", 9)


@pytest.mark.parametrize("text", ["e", "e.", ".1", "e.-1", "e.01", "e.1.2", "e.٣", "e" * 40 + ".1"])
def test_a_bad_position_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="not a position") as caught:
        position_of(request(since=text))
    assert (caught.value.status, caught.value.code) == (400, "bad_position")


def test_the_mode_is_the_clients_or_the_routes_first() -> None:
    assert mode_of(request(), LIVE) == "items"
    assert mode_of(request(mode="snapshot"), LIVE) == "snapshot"
    for mode in ("patch", "nonsense", ""):
        with pytest.raises(ClientError, match="choose one of: items, snapshot"):
            mode_of(request(mode=mode), LIVE)


def test_an_interval_is_a_duration_within_bounds() -> None:
    assert [interval_of(request(interval=text)) for text in ("1s", "2500ms", "1h")] == [1.0, 2.5, 3600.0]
    assert interval_of(request()) == 0.0
    for text, right in (
        ("10", "such as 500ms, 2s"),
        ("", "such as"),
        ("999ms", "from 1s to 1h"),
        ("2h", "from 1s to 1h"),
    ):
        with pytest.raises(ClientError, match=right) as caught:
            interval_of(request(interval=text))
        assert (caught.value.status, caught.value.code) == (400, "bad_interval")


def test_unknown_options_are_refused_with_the_nearest_name() -> None:
    check_options(request(since="", mode=""))
    with pytest.raises(ClientError, match=r"did you mean live\.since\?"):
        check_options(request(sinse="e.1"))
    with pytest.raises(ClientError, match=r"there are: live\.since, live\.mode"):
        check_options(request(xyz="1"))


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://shop.example", "shop.example", True),
        ("https://shop.example", "shop.example", True),
        ("http://shop.example:80", "shop.example", True),
        ("https://SHOP.example", "shop.example:443", True),
        ("http://shop.example:8080", "shop.example:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("https://app.example", "shop.example", True),
        ("https://evil.example", "shop.example", False),
        ("http://shop.example:8080", "shop.example", False),
        ("http://shop.example.evil.example", "shop.example", False),
        ("http://shop.example@evil.example", "shop.example", False),
        ("null", "shop.example", False),
        ("null", "", False),
        ("http://[bad", "shop.example", False),
        ("http://shop.example:99999", "shop.example", False),
    ],
)
def test_foreign_pages_cannot_use_cookies(origin: str, host: str, allowed: bool) -> None:
    upgrade = request("websocket", {"origin": origin, "host": host, "cookie": "sid=1"})
    if allowed:
        check_origin(upgrade, ("https://app.example",))
    else:
        with pytest.raises(ClientError) as caught:
            check_origin(upgrade, ("https://app.example",))
        assert (caught.value.status, caught.value.code) == (403, "origin")


@pytest.mark.parametrize("scheme", ["Basic", "basic", "Digest", "Negotiate", "NTLM"])
def test_foreign_pages_cannot_use_logins_that_browsers_send_by_themselves(scheme: str) -> None:
    sent = {"host": "shop.example", "authorization": f"{scheme} abc"}
    check_origin(request("websocket", {**sent, "origin": "https://shop.example"}), ())
    with pytest.raises(ClientError):
        check_origin(request("websocket", {**sent, "origin": "https://evil.example"}), ())


def test_a_programs_own_token_may_come_from_anywhere() -> None:
    sent = {"host": "shop.example", "authorization": "Bearer abc", "origin": "https://evil.example"}
    check_origin(request("websocket", sent), ())


def test_without_cookies_or_origin_there_is_nothing_to_protect() -> None:
    evil = {"origin": "https://evil.example", "host": "shop.example"}
    check_origin(request("websocket", evil), ())
    check_origin(request("websocket", {"host": "shop.example", "cookie": "sid=1"}), ())
    check_origin(request("websocket", {**evil, "cookie": "sid=1"}), ("*",))


@pytest.mark.parametrize(
    ("method", "origin", "kept"),
    [
        ("POST", b"https://evil.example", [b"authorization"]),
        ("DELETE", b"null", [b"authorization"]),
        ("POST", b"https://friend.example", [b"cookie", b"authorization"]),
        ("POST", b"http://shop.example", [b"cookie", b"authorization"]),
        ("POST", None, [b"cookie", b"authorization"]),
        ("GET", b"https://evil.example", [b"cookie", b"authorization"]),
    ],
)
def test_what_a_browser_sent_for_another_sites_page_is_nobodys_word(
    method: str, origin: bytes | None, kept: list[bytes]
) -> None:
    headers = [(b"host", b"shop.example"), (b"cookie", b"s=1"), (b"authorization", b"Bearer t")]
    given = Request(
        kind="http",
        method=method,
        target=b"/",
        headers=(*headers, *([(b"origin", origin)] if origin is not None else [])),
        params={},
        options={},
    )
    names = [name for name, _ in with_own_credentials(given, ("https://friend.example",)).headers]
    assert [name for name in names if name in (b"cookie", b"authorization")] == kept


def test_a_browsers_login_is_nobodys_word_either() -> None:
    headers = ((b"host", b"shop.example"), (b"authorization", b"Basic YTpi"), (b"origin", b"https://evil.example"))
    given = Request(kind="http", method="POST", target=b"/", headers=headers, params={}, options={})
    assert with_own_credentials(given, ()).header(b"authorization") is None
